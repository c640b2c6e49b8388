// The search box for messages. It shows how it interprets the text, and Enter opens the results.
import { describe, recognize, toQuery } from "../lib/recognize.ts";
import { go, link } from "../route.ts";
import { h, reactive, type VNode } from "./h.ts";

const box = reactive({ typed: "", focused: false });

export const focusSearch = (): void => {
  const input = document.getElementById("search") as HTMLInputElement;
  input.focus();
  input.select();
};

export function SearchBox(): VNode {
  const { invalid, ...filters } = recognize(box.typed);
  const found = describe(filters);
  return h("form", {
    class: "search", role: "search",
    onsubmit: (event: Event) => {
      event.preventDefault();
      const filters = recognize(box.typed);
      if (filters.invalid || describe(filters).length === 0) return;
      go(filters.id ? link(["messages", filters.id]) : link(["messages"], toQuery(filters)));
      box.typed = "";
    },
  },
  h("label", { class: "unseen", for: "search" }, "Search messages"),
  h("input", {
    id: "search", type: "search", name: "q", placeholder: "Message ID, number, key, wamid, label=value, status", autocomplete: "off", spellcheck: false, value: box.typed,
    "aria-describedby": "search-hint",
    oninput: (event: Event) => {
      box.typed = (event.target as HTMLInputElement).value;
    },
    onfocus: () => { box.focused = true; },
    onblur: () => { box.focused = false; },
    onkeydown: (event: KeyboardEvent) => {
      if (event.key === "Escape") (event.target as HTMLElement).blur();
    },
  }),
  h("kbd", { "aria-hidden": "true" }, "/"),
  h("p", { id: "search-hint", class: box.focused ? "search-hint" : "unseen", role: "status" },
    invalid ? h("strong", null, invalid) : found.length > 0 ? ["Press Enter to search for ", h("strong", null, found.join(", ")), "."]
      : "Combine terms: failed campaign=spring. Or name the fields: sender:demo code:131026 template:hello key:order-7."));
}
