// The ledger, now or as of an earlier time, the lag of the lists, and the event log.
import { ask, messageOf, rejected, sawServerTime } from "../api/client.ts";
import { Ledger, Log, type EventFilter, type LoggedEvent } from "../api/operations.ts";
import { momentOf, plural, span } from "../lib/format.ts";
import { unknown } from "../lib/query.ts";
import type { Route, View } from "../route.ts";
import { figureChoices, figuresOf, forbidden, poll, state } from "../state.ts";
import { h, reactive, type Child, type VNode } from "../ui/h.ts";
import { actorOf, button, card, cell, choose, facts, mono, quiet, textFilter, time } from "../ui/parts.ts";
import { byTime, pageOf, pager, setFilter, type Page } from "../ui/pager.ts";
import { fromField, toField } from "../ui/zone.ts";
import { balanced, ledgerFigures, type Books } from "./ledger_figures.ts";

const pageSize = 50;

interface Asked { sender: string; at: string; type: string; stream: string; message: string; page: Page; invalid: string }

const names = ["sender", "at", "type", "stream", "message"];

const read = (query: URLSearchParams): Asked => ({
  ...Object.fromEntries(names.map(name => [name, query.get(name) ?? ""])) as Omit<Asked, "page" | "invalid">, page: pageOf(query),
  invalid: query.get("at") && momentOf(query.get("at")!) === null ? `“${query.get("at")}” is not a time.` : unknown(query, ...names, "page", "after"),
});

export function ledger(route: Route): View {
  const view = reactive({
    asked: read(route.query), books: null as Books | null, events: null as LoggedEvent[] | null, next: null as string | null,
    searching: false, fault: "", logFault: "",
  });
  let stop: () => void = () => {}, round = 0;

  function begin(query: URLSearchParams): void {
    const asked = read(query);
    round++; // a search that has not ended is of another address
    Object.assign(view, { asked, books: null, events: null, next: null, searching: false, fault: asked.invalid, logFault: "" });
    stop();
    if (forbidden(Ledger) || asked.invalid) return;
    const asOf = asOfAddress();
    stop = poll(2000, () => load(asOf));
    void log();
  }

  /** The time of the address. Older addresses have it without a time zone. */
  function asOfAddress(): string | null {
    const { at } = view.asked;
    return at ? /Z|[+-]\d\d:\d\d$/.test(at) ? new Date(at).toISOString() : fromField(at) : null;
  }

  /** Loads the ledger. Returns true if repeating it is of no use: the past does not change. */
  async function load(asOf: string | null): Promise<boolean> {
    const { asked } = view;
    try {
      const { ledger: books } = await ask(Ledger, { senderId: figuresOf(asked.sender), asOf });
      if (!asOf) sawServerTime(books.asOf);
      if (asked === view.asked) Object.assign(view, { books, fault: "" });
      return asOf !== null;
    } catch (error) {
      if (asked !== view.asked) return true;
      view.fault = messageOf(error);
      if (rejected(error)) return true;
      throw error;
    }
  }

  async function log(): Promise<void> {
    const mine = ++round;
    view.searching = true;
    const { type, stream, message, page } = view.asked, sender = figuresOf(view.asked.sender), to = asOfAddress();
    const types = type.split(/[\s,]+/).filter(Boolean);
    const filter: EventFilter = {
      ...(type ? { types } : {}), ...(stream ? { streamPrefix: stream } : {}), ...(sender ? { senderId: sender } : {}),
      ...(message ? { correlationId: message } : {}), ...(to ? { to } : {}),
    };
    try {
      if (type && types.length === 0) throw new Error(`“${type}” contains no event types.`);
      const { events: { edges, pageInfo } } = await ask(Log, { filter, first: pageSize, after: page.after });
      if (mine === round) Object.assign(view, { events: edges.map(({ node }) => node), next: pageInfo.hasNextPage ? pageInfo.endCursor : null, logFault: "" });
    } catch (error) {
      if (mine === round) view.logFault = messageOf(error);
    }
    if (mine === round) view.searching = false;
  }

  begin(route.query);
  return { title: "Ledger and log", stop: () => stop(), moved: begin, render };

  function render(): VNode {
    const reason = forbidden(Ledger), { books, events, next, searching, fault, logFault } = view;
    const { sender, at, type, stream, message, page } = view.asked;
    if (reason) return h("section", { class: "card narrow" }, h("h2", null, "Ledger and log"), quiet(reason));
    const asked = view.asked.invalid ? null : asOfAddress();
    return h("div", { class: "board" },
      h("div", { class: "filters wide", role: "group", "aria-label": "Filters" },
        choose("Sender", figuresOf(sender) ?? "", figureChoices("all"), value => setFilter({ sender: value })),
        h(textFilter, { label: "As of", type: "datetime-local", step: 1, value: toField(asked ?? ""), id: "as-of", onchange: value => setFilter({ at: fromField(value) }) }),
        at ? button("Now", () => setFilter({ at: null }), { class: "plain small" }) : null,
        view.asked.invalid ? h("a", { class: "clear", href: "#/ledger" }, "Clear all") : null),
      card(["Ledger ", balanced(books)], { id: "ledger", class: "wide" },
        quiet(books ? ["Complete up to ", time(books.asOf, "seconds")] : ""),
        fault ? h("p", { class: "error", role: "alert" }, fault) : null, ledgerFigures(books),
        quiet("Every accepted message is in exactly one column. ", state.behind === null ? "" : state.behind === 0
          ? "The lists are up to date." : `The lists are ${span(state.behind)} behind the event log.`)),
      card("Log", { id: "log", class: "wide" }, button("Reload", () => void log()),
        h("div", { class: "filters" },
          h(textFilter, { label: "Type", value: type, placeholder: "Queued, Sent", onchange: value => setFilter({ type: value }) }),
          h(textFilter, { label: "Stream begins with", value: stream, placeholder: "sender-", onchange: value => setFilter({ stream: value }) }),
          h(textFilter, { label: "Message", value: message, placeholder: "ID", onchange: value => setFilter({ message: value }) }),
          type || stream || message ? h("a", { class: "clear", href: "#/ledger" }, "Clear all") : null),
        logFault ? h("p", { class: "error", role: "alert" }, logFault) : null,
        events === null ? quiet(searching ? "Searching the event log…" : "") : events.length === 0 ? quiet(next ? "No events on this page. Older ones may match." : "No events found.")
          : eventTable(events),
        pager(page, next, byTime, events ? plural(events.length, "event") : "")));
  }
}

function eventTable(events: readonly LoggedEvent[]): Child {
  return h("table", { class: "stack log" },
    h("caption", { class: "unseen" }, "Recorded events, newest first"),
    h("thead", null, h("tr", null, ["Recorded", "Event", "Stream", "By", "Data"].map(name => h("th", { scope: "col", key: name }, name)))),
    h("tbody", null, events.map(event => h("tr", { key: event.id },
      cell("Recorded", null, time(event.recordedAt)),
      cell("Event", null, h("strong", null, event.type)),
      cell("Stream", { class: "mono wrap" }, event.correlationId ? h("a", { href: `#/messages/${event.correlationId}` }, `${event.stream}`)
        : event.stream, h("span", { class: "quiet" }, ` ${event.revision}`)),
      cell("By", { class: "wrap" }, actorOf(event.by)),
      h("td", { class: "wrap" }, h("details", null, h("summary", null, "Data"),
        facts([["ID", mono(event.id)], ["Happened", event.occurredAt && time(event.occurredAt)], ["By", mono(event.by.id)]]),
        h("pre", { tabindex: 0 }, JSON.stringify(event.data, null, 2))))))));
}
