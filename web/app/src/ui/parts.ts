// Building blocks of the views.
import { serverNow } from "../api/client.ts";
import { see, tick } from "../state.ts";
import { age, shortId, words } from "../lib/format.ts";
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { zonedClock } from "./zone.ts";
import { h, type Child, type Props, type VNode } from "./h.ts";

export type Tone = "good" | "move" | "wait" | "warn" | "bad";

const tones: Record<string, Tone> = {
  QUEUED: "wait", SENDING: "move", RETRYING: "warn", AMBIGUOUS: "warn", SENT: "move", DELIVERED: "good", READ: "good",
  FAILED: "bad", DEAD_LETTERED: "bad", CANCELLED: "wait", EXPIRED: "warn", DISCARDED: "wait", SUPPRESSED: "wait",
  ACTIVE: "good", PAUSED: "warn", HELD: "bad",
  WARNING: "warn", CRITICAL: "bad", RAISED: "bad", ACKNOWLEDGED: "warn", RESOLVED: "good",
  TRANSIENT: "warn", PERMANENT: "bad", SENDER: "bad", THROTTLED: "move",
};

export const toneOf = (name: string): Tone => tones[name] ?? "wait";

export const chip = (text: string, tone: Tone, props?: Props): VNode => h("span", { class: "chip", "data-tone": tone, ...props }, text);

export const statusChip = (name: string): VNode => chip(words(name), toneOf(name));

export const quiet = (...children: Child[]): VNode => h("p", { class: "quiet" }, ...children);

export const mono = (text: string): VNode => h("span", { class: "mono" }, text);

/** Two sheets, drawn, because few fonts have the character for it. */
const copyIcon = (): VNode => h("svg", { class: "icon", width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" },
  h("path", { d: "M4.5 3.5h6v7h-6zM7.5 3.5v-2h-6v7h3" }));

/** A button that copies a text. It says so for a moment. */
export function Copy({ text, what }: { text: string; what: string }): VNode {
  const said = useSignal("");
  useEffect(() => {
    if (!said.value) return;
    const timer = setTimeout(() => { said.value = ""; }, 2000);
    return () => clearTimeout(timer);
  }, [said.value]);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      said.value = "Copied";
    } catch {
      said.value = "Not copied: the browser doesn't allow it";
    }
  };
  return h("span", { class: "copy" }, h("button", { type: "button", class: "plain small", "aria-label": `Copy ${what}`, title: `Copy ${what}`, onclick: copy }, copyIcon()),
    h("span", { role: "status", class: said.value ? "quiet" : "unseen" }, said.value));
}

/** A text in a fixed-width font, with a button that copies it. */
export const copied = (text: string, what: string): Child => [h("span", { class: "mono" }, text), " ", h(Copy, { text, what })];

/** A link to a message, by the end of its ID. */
export function messageLink(id: string): VNode {
  see(id);
  return h("a", { class: "mono", href: `#/messages/${id}`, title: id, "aria-label": `Message ${shortId(id)}` }, shortId(id));
}

/** A card with a heading and tools to the right of it. */
export function card(title: Child, props: Props & { tools?: never }, tools: Child, ...children: Child[]): VNode {
  const key = props.key ?? String(props.id ?? "card"), id = `${props.id ? String(props.id) : key}-title`;
  return h("section", { ...props, key, class: `card ${props.class ?? ""}`.trim(), "aria-labelledby": id },
    h("div", { class: "heading" }, h("h2", { id }, title), tools ? h("div", { class: "tools" }, tools) : null), ...children);
}

/** A view whose address has a fault, with a link to the view without filters. */
export const astray = (title: string, fault: string, href: string): VNode =>
  card(title, { id: "astray", class: "wide" }, h("a", { class: "clear", href }, "Clear all"), h("p", { class: "error", role: "alert" }, fault));

export interface Column { name: string; title?: string; class?: string }

/** A table with headings. In a narrow window, columns with the class extra are hidden, and the cells of a table with the class stack are stacked. */
export function table(props: Props, caption: string, columns: readonly Column[], rows: Child): VNode {
  return h("table", props,
    h("caption", { class: "unseen" }, caption),
    h("thead", null, h("tr", null, columns.map(({ name, title, class: names }) =>
      h("th", { scope: "col", class: names ?? null }, title ? h("abbr", { title }, name) : name)))),
    h("tbody", null, rows));
}

/** A cell that shows its column's name where the table is stacked. */
export const cell = (label: string, props: Props | null, ...children: Child[]): VNode => h("td", { ...props, "data-label": label },
  ...children);

export const time = (at: string, digits?: "minutes" | "seconds" | "milliseconds"): VNode =>
  h("time", { datetime: at, title: at }, zonedClock(at, serverNow(), digits));

/** Returns the server's time. What is drawn with it is drawn again every second. */
export const drawnAt = (): number => (tick.value, serverNow());

export const ago = (at: string): VNode =>
  h("time", { datetime: at, title: zonedClock(at, serverNow()) }, age((drawnAt() - Date.parse(at)) / 1000));

export const facts = (entries: readonly (readonly [string, Child])[]): VNode =>
  h("dl", { class: "facts" }, entries.filter(([, value]) => value !== null && value !== undefined && value !== false)
    .map(([name, value]) => [h("dt", { key: name }, name), h("dd", { key: name }, value)]));

/** A button. Its key keeps its node when other buttons appear or disappear, so that it does not lose the focus. */
export function button(text: string, onclick: () => void, props?: Props): VNode {
  return h("button", { type: "button", class: "plain", onclick, key: String(props?.id ?? text), ...props }, text);
}

/** Returns the value of the field that sent the event. */
export const held = (event: Event): string => (event.target as HTMLInputElement | HTMLSelectElement).value.trim();

let fields = 0;
const ids = new Map<string, string>();

/** A control with a label and a hint that screen readers read with it. */
export function field(label: string, control: VNode, hint?: Child): VNode {
  const { children, ...props } = control.props as Props & { children?: Child };
  const name = String(props.name ?? label);
  let id = ids.get(name);
  if (!id) ids.set(name, id = `field-${++fields}`);
  const described = hint ? { "aria-describedby": `${id}-hint` } : null;
  return h("div", { class: "field", key: name },
    h("label", { for: id }, label),
    h(control.type as string, { id, ...described, ...props }, children),
    hint ? h("p", { class: "hint", id: `${id}-hint` }, hint) : null);
}

export const options = (values: readonly (readonly [string, string])[], chosen?: string): VNode[] =>
  values.map(([value, text]) => h("option", { key: value, value, selected: value === chosen }, text));

/** A filter of a list. It calls onchoose with the chosen value. A value of the address that is not among the choices is shown too. */
export function choose(label: string, value: string, values: readonly (readonly [string, string])[], onchoose: (value: string) => void,
  props?: Props): VNode {
  return h("label", { class: "choose", key: `choose-${label}` }, h("span", null, label),
    h("select", { ...props, value, onchange: (event: Event) => onchoose((event.target as HTMLSelectElement).value) },
      options(value && !values.some(([id]) => id === value) ? [...values, [value, value]] : values, value)));
}

/** A filter of a list that is typed. It calls onchange when the text is complete. */
export function textFilter({ label, value, placeholder, onchange, type = "text", ...rest }: {
  label: string; value: string; placeholder?: string; onchange: (value: string) => void; type?: string; inputmode?: string; id?: string; step?: number;
}): VNode {
  const typed = useSignal(value);
  useEffect(() => { typed.value = value; }, [value]); // another one applies, for example after the filters were cleared
  return h("label", { class: "choose" }, h("span", null, label), h("input", {
    ...rest, type, placeholder: placeholder ?? null, size: 14, autocomplete: "off", spellcheck: false, value: typed.value,
    oninput: (event: Event) => { typed.value = (event.target as HTMLInputElement).value; },
    onchange: (event: Event) => onchange(held(event)),
  }));
}

/** Buttons of which one is selected. */
export function segments(label: string, value: string, values: readonly (readonly [string, string])[],
  onchoose: (value: string) => void): VNode {
  return h("div", { class: "segments", role: "group", "aria-label": label },
    values.map(([id, text]) => h("button", { type: "button", key: id, "aria-pressed": String(id === value), onclick: () => onchoose(id) },
      text)));
}

/** Returns the values of a form's fields. Blank fields are omitted. Texts of several lines keep the space around them, because it can be meant. */
export function values(form: HTMLFormElement): Record<string, string> {
  const held: Record<string, string> = {};
  for (const [name, value] of new FormData(form)) {
    if (typeof value !== "string" || value.trim() === "") continue;
    held[name] = form.elements.namedItem(name) instanceof HTMLTextAreaElement ? value : value.trim();
  }
  return held;
}

/** Marks the field that the server reported as invalid, and moves the focus to it. */
export function markField(form: HTMLFormElement, name: string | null): void {
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
  if (!name) return;
  const last = name.replace(/\[\d+\]/g, "").split(".").reverse();
  const control = last.map(part => form.elements.namedItem(part)).find(found => found instanceof HTMLElement);
  if (control instanceof HTMLElement) {
    control.setAttribute("aria-invalid", "true");
    control.focus();
  }
}

/** Has the browser save a file. */
export function save(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Returns a new idempotency key. crypto.randomUUID is not available over plain HTTP from another machine. */
export const freshKey = (): string =>
  `page-${Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, "0")).join("")}`;

/** Who or what caused an event, in words. A webhook has an ID of no use to a reader. */
export function actorOf({ kind, id, name, onBehalfOf }: { kind: string; id: string; name: string | null; onBehalfOf?: string | null }): string {
  const actor = kind === "WEBHOOK" ? "WhatsApp's webhook" : kind === "PLATFORM" ? id : `${words(kind)} ${name ?? id}`;
  return onBehalfOf ? `${actor} for ${onBehalfOf}` : actor;
}
