// The ledger, now or as of an earlier time, the lag of the lists, and the event log.
import { ask, messageOf, sawServerTime } from "../api/client.ts";
import { Ledger, Log, type EventFilter, type LoggedEvent } from "../api/operations.ts";
import { plural, span } from "../lib/format.ts";
import { setQuery, type Route, type View } from "../route.ts";
import { figureChoices, figuresOf, forbidden, poll, report, state } from "../state.ts";
import { h, reactive, type Child, type VNode } from "../ui/h.ts";
import { actorOf, button, card, cell, choose, facts, mono, quiet, textFilter, time } from "../ui/parts.ts";
import { fromField } from "../ui/zone.ts";
import { balanced, ledgerFigures, type Books } from "./ledger_figures.ts";

const pageSize = 50;

interface Asked { sender: string; at: string; type: string; stream: string; message: string }

const read = (query: URLSearchParams): Asked => Object.fromEntries(["sender", "at", "type", "stream", "message"]
  .map(name => [name, query.get(name) ?? ""])) as unknown as Asked;

export function ledger(route: Route): View {
  const view = reactive({
    asked: read(route.query), books: null as Books | null, events: null as LoggedEvent[] | null, end: null as string | null, more: false,
    searching: false, fault: "", logFault: "",
  });
  let stop: () => void = () => {};

  function begin(query: URLSearchParams): void {
    Object.assign(view, { asked: read(query), books: null, events: null, end: null, more: false, fault: "", logFault: "" });
    stop();
    if (forbidden(Ledger)) return;
    const { at } = view.asked;
    const asOf = at && !Number.isNaN(Date.parse(at)) ? fromField(at) : null;
    // The past is loaded once, because it does not change.
    if (asOf) void load(asOf);
    else stop = poll(2000, () => load(null));
    void log(null);
  }

  async function load(asOf: string | null): Promise<void> {
    try {
      const { ledger: books } = await ask(Ledger, { senderId: figuresOf(view.asked.sender), asOf });
      if (!asOf) sawServerTime(books.asOf);
      Object.assign(view, { books, fault: "" });
    } catch (error) {
      view.fault = messageOf(error);
      if (!asOf) throw error;
    }
  }

  async function log(after: string | null): Promise<void> {
    view.searching = true;
    const { sender, at, type, stream, message } = view.asked;
    const filter: EventFilter = {
      ...(type ? { types: type.split(/[\s,]+/) } : {}), ...(stream ? { streamPrefix: stream } : {}), ...(sender ? { senderId: sender } : {}),
      ...(message ? { correlationId: message } : {}), ...(at && !Number.isNaN(Date.parse(at)) ? { to: fromField(at) } : {}),
    };
    try {
      const { events: { edges, pageInfo } } = await ask(Log, { filter, first: pageSize, after });
      const events = [...(after && view.events ? view.events : []), ...edges.map(({ node }) => node)].slice(-1000);
      Object.assign(view, { events, more: pageInfo.hasNextPage, end: pageInfo.endCursor, logFault: "" });
    } catch (error) {
      view.logFault = messageOf(error);
      report(error);
    }
    view.searching = false;
  }

  begin(route.query);
  return { title: "Ledger and log", stop: () => stop(), moved: begin, render };

  function render(): VNode {
    const reason = forbidden(Ledger), { books, events, end, more, searching, fault, logFault } = view;
    const { sender, at, type, stream, message } = view.asked;
    if (reason) return h("section", { class: "card narrow" }, h("h2", null, "Ledger and log"), quiet(reason));
    return h("div", { class: "board" },
      h("div", { class: "filters wide", role: "group", "aria-label": "Filters" },
        choose("Sender", figuresOf(sender) ?? "", figureChoices("all"), value => setQuery({ sender: value })),
        h(textFilter, { label: "As of", type: "datetime-local", step: 1, value: at, id: "as-of", onchange: value => setQuery({ at: value }) }),
        at ? button("Now", () => setQuery({ at: null }), { class: "plain small" }) : null),
      card(["Ledger ", balanced(books)], { id: "ledger", class: "wide" },
        quiet(books ? ["Complete up to ", time(books.asOf, "seconds")] : ""),
        fault ? h("p", { class: "error", role: "alert" }, fault) : null, ledgerFigures(books),
        quiet("Every accepted message is in exactly one column. ", state.behind === null ? "" : state.behind === 0
          ? "The lists are up to date." : `The lists are ${span(state.behind)} behind the event log.`)),
      card("Log", { id: "log", class: "wide" }, button("Reload", () => void log(null)),
        h("div", { class: "filters" },
          h(textFilter, { label: "Type", value: type, placeholder: "Queued, Sent", onchange: value => setQuery({ type: value }) }),
          h(textFilter, { label: "Stream begins with", value: stream, placeholder: "sender-", onchange: value => setQuery({ stream: value }) }),
          h(textFilter, { label: "Message", value: message, placeholder: "ID", onchange: value => setQuery({ message: value }) }),
          type || stream || message ? h("a", { class: "clear", href: "#/ledger" }, "Clear all") : null),
        logFault ? h("p", { class: "error", role: "alert" }, logFault) : null,
        events === null ? quiet(searching ? "Searching the event log…" : "") : events.length === 0 && !more ? quiet("No events found.")
          : eventTable(events),
        h("div", { class: "pager" }, button(searching ? "Searching…" : "Older", () => void log(end), { disabled: !more || searching, id: "older-events" }),
          quiet(events ? plural(events.length, "event") : ""))));
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
