// One box for all that messages are looked for by. It says what it takes the words for, and Enter goes there.
import { describe, recognise, toQuery } from "../lib/recognise.ts";
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
  const found = describe(recognise(typed));
  return h("form", {
    class: "search", role: "search",
    onsubmit: (event: Event) => {
      event.preventDefault();
      const box = document.getElementById("search") as HTMLInputElement;
      const filters = recognise(box.value); // what stands there now: it may not be drawn yet
      if (describe(filters).length === 0) return;
      go(filters.id ? link(["messages", filters.id]) : link(["messages"], toQuery(filters)));
      typed = box.value = "";
      refresh();
    },
  },
  h("label", { class: "unseen", for: "search" }, "Search messages"),
  h("input", {
    id: "search", type: "search", name: "q", placeholder: "Message id, number, key, wamid, label=value, status", autocomplete: "off",
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
    found.length > 0 ? ["Enter looks for ", h("strong", null, found.join(", ")), "."]
      : "Words may be combined: failed campaign=spring, or with a name before them: sender:demo code:131026 template:hello key:order-7."));
}
