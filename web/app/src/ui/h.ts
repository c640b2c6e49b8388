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

/** Text comes from operators, customers, and WhatsApp. It must not change the direction of surrounding text. */
const readable = (child: unknown): unknown => (typeof child === "string" ? visible(child) : Array.isArray(child) ? child.map(readable) : child);

/** The attributes that are shown or read out as text. */
const spoken = ["title", "aria-label"];

const labeled = (props: Props | null): Props | null => {
  const names = spoken.filter(name => typeof props?.[name] === "string");
  return names.length === 0 ? props : { ...props, ...Object.fromEntries(names.map(name => [name, visible(props![name] as string)])) };
};

export const h = ((type: never, props: Props | null, ...children: unknown[]) =>
  createElement(type, labeled(props) as never, ...children.map(readable) as never[])) as unknown as H;

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
