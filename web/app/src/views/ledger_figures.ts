// The ledger's columns, as shown on the overview and the ledger page.
import type { LedgerData } from "../api/operations.ts";
import { count } from "../lib/format.ts";
import { h, type VNode } from "../ui/h.ts";
import { chip, type Tone } from "../ui/parts.ts";

export type Books = LedgerData["ledger"];

const columns: readonly (readonly [keyof Books, string, Tone?])[] = [
  ["accepted", "Accepted"], ["open", "Open"], ["ambiguous", "Ambiguous", "warn"], ["sent", "Sent"], ["delivered", "Delivered"],
    ["read", "Read"],
  ["failed", "Failed", "bad"], ["deadLettered", "Dead letters", "bad"], ["cancelled", "Cancelled"], ["expired", "Expired", "warn"],
  ["discarded", "Discarded"], ["suppressed", "Suppressed"], ["sentTwice", "Sent twice", "warn"], ["overdue", "Overdue", "warn"],
];

export const ledgerFigures = (books: Books | null): VNode => h("dl", { class: "figures ledger" }, columns.map(([column, name, tone]) =>
  h("div", { key: column, "data-tone": books && tone && Number(books[column]) > 0 ? tone : null },
    h("dt", null, name), h("dd", null, books ? count(Number(books[column])) : "…"))));

export const balanced = (books: Books | null): VNode => books === null ? chip("…", "wait", { id: "balanced" })
  : chip(books.balanced ? "balanced" : "not balanced", books.balanced ? "good" : "bad", { id: "balanced" });
