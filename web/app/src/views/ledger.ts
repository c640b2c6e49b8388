// The ledger, now or as of an earlier time, the lag of the lists, and the event log.
import { ask, messageOf, sawServerTime } from "../api/client.ts";
import { Ledger, Log, type EventFilter, type LoggedEvent } from "../api/operations.ts";
import { plural, span } from "../lib/format.ts";
import { setQuery, type Route, type View } from "../route.ts";
import { figureChoices, figuresOf, forbidden, poll, refresh, report, state } from "../state.ts";
import { h, type Child, type VNode } from "../ui/dom.ts";
import { button, card, cell, choose, facts, held, mono, quiet, time } from "../ui/parts.ts";
import { balanced, ledgerFigures, type Books } from "./ledger_figures.ts";

const pageSize = 50;

export function ledger(route: Route): View {
  let sender = "", at = "", type = "", stream = "", message = "";
  let books: Books | null = null, events: LoggedEvent[] | null = null, end: string | null = null, more = false, searching = false,
    fault = "", logFault = "";
  let stop: () => void = () => {};

  function read(query: URLSearchParams): void {
    [sender, at, type, stream, message] = ["sender", "at", "type", "stream", "message"].map(name => query.get(name) ?? "") as [string,
      string, string, string, string];
    [books, events, end, more, fault, logFault] = [null, null, null, false, "", ""];
    stop();
    if (forbidden(Ledger)) return;
    const asOf = at && !Number.isNaN(Date.parse(at)) ? new Date(at).toISOString() : null;
    // The past is loaded once, because it does not change.
    if (asOf) void load(asOf);
    else stop = poll(2000, () => load(null));
    void log(null);
  }

  async function load(asOf: string | null): Promise<void> {
    try {
      books = (await ask(Ledger, { senderId: figuresOf(sender), asOf })).ledger;
      if (!asOf) sawServerTime(books.asOf);
      fault = "";
    } catch (error) {
      fault = messageOf(error);
      if (!asOf) throw error;
    }
    refresh();
  }

  async function log(after: string | null): Promise<void> {
    searching = true;
    refresh();
    const filter: EventFilter = {
      ...(type ? { types: type.split(/[\s,]+/) } : {}), ...(stream ? { streamPrefix: stream } : {}),
        ...(sender ? { senderId: sender } : {}),
      ...(message ? { correlationId: message } : {}), ...(at && !Number.isNaN(Date.parse(at)) ? { to: new Date(at).toISOString() } : {}),
    };
    try {
      const { events: { edges, pageInfo } } = await ask(Log, { filter, first: pageSize, after });
      events = [...(after && events ? events : []), ...edges.map(({ node }) => node)].slice(-1000);
      [more, end, logFault] = [pageInfo.hasNextPage, pageInfo.endCursor, ""];
    } catch (error) {
      logFault = messageOf(error);
      report(error);
    }
    searching = false;
    refresh();
  }

  read(route.query);
  return { title: "Ledger and log", stop: () => stop(), moved: read, render };

  function render(): VNode {
    const reason = forbidden(Ledger);
    if (reason) return h("section", { class: "card narrow" }, h("h2", null, "Ledger and log"), quiet(reason));
    return h("div", { class: "board" },
      h("div", { class: "filters wide", role: "group", "aria-label": "Filters" },
        choose("Sender", figuresOf(sender) ?? "", figureChoices("all"), value => setQuery({ sender: value })),
        h("label", { class: "choose", key: "at" }, h("span", null, "As of"), h("input", {
          type: "datetime-local", step: 1, value: at, id: "as-of", onchange: (event: Event) => setQuery({ at: held(event) }),
        })),
        at ? button("Now", () => setQuery({ at: null }), { class: "plain small" }) : null),
      card(["Ledger ", balanced(books)], { id: "ledger", class: "wide" },
        quiet(books ? ["Complete up to ", time(books.asOf, "seconds")] : ""),
        fault ? h("p", { class: "error", role: "alert" }, fault) : null, ledgerFigures(books),
        quiet("Every accepted message is in exactly one column. ", state.behind === null ? "" : state.behind === 0
          ? "The lists are up to date." : `The lists are ${span(state.behind)} behind the event log.`)),
      card("Log", { id: "log", class: "wide" }, button("Reload", () => void log(null)),
        h("div", { class: "filters" },
          input("Type", type, "Queued, Sent", value => setQuery({ type: value })),
            input("Stream begins with", stream, "sender-", value => setQuery({ stream: value })),
          input("Message", message, "ID", value => setQuery({ message: value })),
          type || stream || message ? h("a", { class: "clear", href: "#/ledger" }, "Clear all") : null),
        logFault ? h("p", { class: "error", role: "alert" }, logFault) : null,
        events === null ? quiet(searching ? "Searching the event log…" : "") : events.length === 0 && !more ? quiet("No events found.")
          : eventTable(events),
        h("div", { class: "pager" }, button(searching ? "Searching…" : "Older", () => void log(end), { disabled: !more || searching, id: "older-events" }),
          quiet(events ? plural(events.length, "event") : ""))));
  }

  function input(name: string, value: string, placeholder: string, onchange: (value: string) => void): VNode {
    return h("label", { class: "choose", key: name }, h("span", null, name), h("input", {
      value, placeholder, size: 16, autocomplete: "off", spellcheck: "false", onchange: (event: Event) => onchange(held(event)),
    }));
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
      cell("By", null, event.by.name ?? event.by.id),
      h("td", { class: "wrap" }, h("details", null, h("summary", null, "Data"),
        facts([["ID", mono(event.id)], ["Happened", event.occurredAt && time(event.occurredAt)], ["For", event.by.onBehalfOf]]),
        h("pre", { tabindex: 0 }, JSON.stringify(event.data, null, 2))))))));
}
