// The pages of a list. The address has the current one, so that back, reload, and links keep it.
import { setQuery } from "../route.ts";
import { h, type Child, type VNode } from "./h.ts";
import { button } from "./parts.ts";

export interface Page {
  /** The cursor that the page begins after. Null for the first page. */
  after: string | null;
  number: number;
}

export const pageOf = (query: URLSearchParams): Page => ({ after: query.get("after"), number: Math.max(1, Math.floor(Number(query.get("page"))) || 1) });

/** Changes a filter of a list, and goes to its first page. */
export const setFilter = (change: Record<string, string | null>): void => setQuery({ ...change, after: null, page: null });

/** The names of the buttons of a list that begins with the newest. */
export const byTime: readonly [string, string] = ["Newer", "Older"];

/** The buttons that turn pages, with their names. The browser's history has an entry for each, with the cursors of the pages before it. */
export function pager(page: Page, next: string | null, [previous, following]: readonly [string, string], ...notes: Child[]): VNode {
  const before = ((history.state as { before?: (string | null)[] } | null)?.before ?? []).slice(0, page.number - 1);
  const turn = (to: Page, earlier: readonly (string | null)[]): void =>
    setQuery({ after: to.after, page: String(to.number) }, { before: earlier });
  return h("nav", { class: "pager", "aria-label": "Pages" },
    button(previous, () => {
      if (before.length === page.number - 1) turn({ after: before.at(-1) ?? null, number: page.number - 1 }, before.slice(0, -1));
      else turn({ after: null, number: 1 }, []); // a link led here, so the pages before it are unknown
    }, { disabled: page.number <= 1 }),
    h("span", { class: "quiet" }, `Page ${page.number}`),
    button(following, () => turn({ after: next, number: page.number + 1 }, [...before, page.after]), { disabled: next === null, id: "older" }),
    notes.map((note, i) => h("span", { key: i, class: "quiet" }, note)));
}
