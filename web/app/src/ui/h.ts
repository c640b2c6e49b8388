// Preact's h, with the attributes that the views use, and objects whose fields are signals.
import { createElement, type Component, type FunctionComponent, type VNode } from "preact";
import { signal } from "@preact/signals";
import { visible } from "../lib/format.ts";

export type { VNode } from "preact";

export type Child = VNode | string | number | null | undefined | false | readonly Child[];
type Handler = (event: never) => void;
type Value = string | number | boolean | null | undefined | Handler | Record<string, string>;

/** Attributes by name, as in HTML. onX adds a listener, and style sets CSS properties. */
export interface Props { key?: string | number; ref?: (node: never) => void; [name: string]: Value }

type H = {
  (tag: string, props?: Props | null, ...children: Child[]): VNode;
  <P>(component: FunctionComponent<P>, props: P & { key?: string | number }, ...children: Child[]): VNode;
};

/** Texts are of operators, customers, and WhatsApp. None of them can change the direction of the text around it. */
const readable = (child: unknown): unknown => (typeof child === "string" ? visible(child) : Array.isArray(child) ? child.map(readable) : child);

export const h = ((type: never, props: never, ...children: unknown[]) => createElement(type, props, ...children.map(readable) as never[])) as unknown as H;

/**
 * Returns a component that is drawn again only if one of its props, or a signal that it reads, has changed. A row of a long list is
 * one, so that a change of another row costs nothing.
 */
export function memo<P extends object>(component: FunctionComponent<P>): FunctionComponent<P> {
  return function (this: Component<P>, props: P) {
    this.shouldComponentUpdate = next => (Object.keys(next) as (keyof P)[]).some(name => next[name] !== (this.props as P)[name]);
    return createElement(component, props);
  } as unknown as FunctionComponent<P>;
}

/**
 * Returns an object whose fields are signals: a component that reads one is drawn again when it is set. Collections in it are
 * replaced, not changed.
 */
export function reactive<T extends object>(fields: T): T {
  const made = {} as T;
  for (const name of Object.keys(fields) as (keyof T)[]) {
    const field = signal(fields[name]);
    Object.defineProperty(made, name, { enumerable: true, get: () => field.value, set: (value: T[keyof T]) => { field.value = value; } });
  }
  return made;
}
