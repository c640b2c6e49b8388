// The command palette: every view, sender, and shortcut, by name.
import { useLayoutEffect, useRef } from "preact/hooks";
import { go } from "../route.ts";
import { h, reactive, type VNode } from "./h.ts";

export interface Command { name: string; /** The address of what it shows, or what it does. */ run: string | (() => void); keys?: string }

const palette = reactive({ commands: null as readonly Command[] | null, typed: "", at: 0 });

let serial = 0;
let element: HTMLDialogElement | null = null; // that was drawn last

export function openPalette(commands: readonly Command[]): void {
  serial++;
  Object.assign(palette, { commands, typed: "", at: 0 });
}

function close(): void {
  palette.commands = null;
  element?.close(); // at once, because what the command shows can have the focus only then
}

function run(command: Command | undefined): void {
  if (!command) return;
  close();
  if (typeof command.run === "string") go(command.run);
  else command.run();
}

/** Returns the commands that contain all typed words. */
function matching(): readonly Command[] {
  const words = palette.typed.toLowerCase().split(/\s+/);
  return (palette.commands ?? []).filter(({ name }) => words.every(word => name.toLowerCase().includes(word)));
}

function Open({ commands }: { commands: readonly Command[] }): VNode {
  const node = useRef<HTMLDialogElement>(null), found = matching(), at = Math.min(palette.at, found.length - 1);
  useLayoutEffect(() => {
    const shown = element = node.current!;
    shown.showModal();
    return () => shown.close(); // gives the focus back
  }, []);
  useLayoutEffect(() => document.getElementById(`command-${at}`)?.scrollIntoView({ block: "nearest" }), [at, palette.typed]);
  const key = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      palette.at = (at + step + found.length) % Math.max(found.length, 1);
    } else if (event.key === "Enter") {
      event.preventDefault();
      run(matching()[palette.at]); // the current text may not be drawn yet
    }
  };
  return h("dialog", { class: "dialog palette", "aria-label": "Commands", ref: node as never,
    onclose: () => { if (palette.commands === commands) close(); } }, // the event can come when there is another one
    h("input", {
      type: "text", role: "combobox", "aria-label": "Command", "aria-expanded": "true", "aria-controls": "palette", autocomplete: "off", spellcheck: false,
      "aria-activedescendant": found.length > 0 ? `command-${at}` : null, placeholder: "Go to…", value: palette.typed, onkeydown: key,
      oninput: (event: Event) => Object.assign(palette, { typed: (event.target as HTMLInputElement).value, at: 0 }),
    }),
    h("ul", { id: "palette", role: "listbox", "aria-label": "Commands" }, found.map((command, i) =>
      h("li", { key: command.name, id: `command-${i}`, role: "option", "aria-selected": String(i === at), onclick: () => run(command) },
        h("span", null, command.name), command.keys ? h("kbd", null, command.keys) : null))),
    found.length === 0 ? h("p", { class: "quiet", role: "status" }, "No command has this name.") : null);
}

export const Palette = (): VNode | null => palette.commands && h(Open, { key: serial, commands: palette.commands });
