// The search box for messages. It shows how it interprets the text, and Enter opens the results.
import { seenId } from "../state.ts";
import { describe, recognize, toQuery } from "../lib/recognize.ts";
import { go, link } from "../route.ts";
import { h, reactive, type VNode } from "./h.ts";

const box = reactive({ typed: "", focused: false });

export const focusSearch = (): void => {
  const input = document.getElementById("search") as HTMLInputElement;
  input.focus();
  input.select();
};

/** Returns what the text means: where its results are, or why there are none, and a description. */
function understand(typed: string): { to?: string; fault?: string; found: string[] } {
  const { invalid, ...filters } = recognize(typed), found = describe(filters);
  if (invalid) return { fault: invalid, found };
  if (found.length === 0) return { found };
  const id = filters.id ?? (filters.end === undefined ? undefined : seenId(filters.end));
  if (id) return { to: link(["messages", id]), found };
  if (filters.end === undefined) return { to: link(["messages"], toQuery(filters)), found };
  return { fault: `No list in this tab has shown a message that ends in …${filters.end}. Enter its whole ID, or key:${filters.end} for an idempotency key.`, found };
}

export function SearchBox(): VNode {
  const { fault, found } = understand(box.typed);
  return h("form", {
    class: "search", role: "search",
    onsubmit: (event: Event) => {
      event.preventDefault();
      const { to } = understand(box.typed); // the current text may not be drawn yet
      if (!to) return;
      go(to);
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
    fault ? h("strong", null, fault)
      : found.length > 0 ? ["Press Enter to search for ", h("strong", null, found.join(", ")), "."]
      : "Combine terms: failed campaign=spring. Or name the fields: sender:demo code:131026 template:hello key:order-7."));
}
