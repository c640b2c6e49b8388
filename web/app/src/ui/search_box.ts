// The search box for messages. It shows how it interprets the text, and Enter opens the results.
import { describe, recognize, toQuery } from "../lib/recognize.ts";
import { go, link } from "../route.ts";
import { refresh } from "../state.ts";
import { h, type VNode } from "./dom.ts";

let typed = "";
let focused = false;

export const focusSearch = (): void => {
  const box = document.getElementById("search") as HTMLInputElement;
  box.focus();
  box.select();
};

export function searchBox(): VNode {
  const { invalid, ...filters } = recognize(typed);
  const found = describe(filters);
  return h("form", {
    class: "search", role: "search",
    onsubmit: (event: Event) => {
      event.preventDefault();
      const box = document.getElementById("search") as HTMLInputElement;
      const filters = recognize(box.value); // the current value, which may not be drawn yet
      if (filters.invalid || describe(filters).length === 0) return;
      go(filters.id ? link(["messages", filters.id]) : link(["messages"], toQuery(filters)));
      typed = box.value = "";
      refresh();
    },
  },
  h("label", { class: "unseen", for: "search" }, "Search messages"),
  h("input", {
    id: "search", type: "search", name: "q", placeholder: "Message ID, number, key, wamid, label=value, status", autocomplete: "off",
      spellcheck: "false",
    "aria-describedby": "search-hint",
    oninput: (event: Event) => {
      typed = (event.target as HTMLInputElement).value;
      refresh();
    },
    onfocus: () => { focused = true; refresh(); },
    onblur: () => { focused = false; refresh(); },
    onkeydown: (event: KeyboardEvent) => {
      if (event.key === "Escape") (event.target as HTMLElement).blur();
    },
  }),
  h("kbd", { "aria-hidden": "true" }, "/"),
  h("p", { id: "search-hint", class: focused ? "search-hint" : "unseen", role: "status" },
    invalid ? h("strong", null, invalid) : found.length > 0 ? ["Press Enter to search for ", h("strong", null, found.join(", ")), "."]
      : "Combine terms: failed campaign=spring. Or name the fields: sender:demo code:131026 template:hello key:order-7."));
}
