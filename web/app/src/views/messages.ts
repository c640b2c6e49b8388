// The messages: the newest ones live, or the results of a search, page by page.
import { ask, messageOf, sawServerTime, ServerAway, serverNow } from "../api/client.ts";
import { CancelMany, MessageCounts, MessageUpdates, Messages, Position, type MessageCountsData, type MessagesData, type MessageFilter, type MessageRow,
  type MessageStatus } from "../api/operations.ts";
import { connection } from "../api/socket.ts";
import { count, csv, laneName, percent, plural, words } from "../lib/format.ts";
import { firstRange, firstRanges } from "../lib/ranges.ts";
import { describe, fromQuery, priorities, statuses, toQuery, types, type Filters } from "../lib/recognize.ts";
import { go, link, type Route, type View } from "../route.ts";
import { forbidden, poll, report, senderChoices, tick } from "../state.ts";
import { h, memo, reactive, type Child, type Props, type VNode } from "../ui/h.ts";
import { fromField, toField, utc } from "../ui/zone.ts";
import { byTime, pageOf, pager, type Page } from "../ui/pager.ts";
import { ago, astray, button, card, cell, chip, choose, messageLink, quiet, save, statusChip, table, textFilter, toneOf } from "../ui/parts.ts";
import { attempt, note } from "../ui/overlay.ts";
import { cancelMessages } from "./actions.ts";
import { open, sumOf } from "./campaign_parts.ts";

const pageSize = 50;
const rowLimit = 40; // rows that change live
const rowsPerSecond = 3; // of a busy sender, only a sample is shown, so that each row can be followed
const troubledPerSecond = 2;
const busy = 400; // updates per second above which rows are polled instead of followed
const busyEvery = 2000;
const listEvery = 4000;
const countEvery = 10_000; // a count reads all matching rows
const busyRounds = 15; // polls before another attempt to follow
const troubled: readonly MessageStatus[] = ["RETRYING", "AMBIGUOUS", "FAILED", "DEAD_LETTERED", "EXPIRED"];

export function messages(route: Route): View {
  const view = reactive({ filters: {} as Filters, list: null as Feed | Pages | null });

  function begin(query: URLSearchParams): void {
    view.list?.stop();
    view.filters = fromQuery(query);
    view.list = null;
    if (view.filters.invalid) return; // it selects nothing, rather than everything
    // Filters by sender and status can be followed live. Other filters are searched.
    const followed = Object.keys(view.filters).every(name => name === "sender" || name === "status") && !query.has("page");
    view.list = followed ? new Feed(view.filters) : new Pages(view.filters, pageOf(query));
  }

  begin(route.query);
  return {
    title: "Messages", stop: () => view.list?.stop(), moved: begin,
    render: () => (view.list ? h("div", { class: "board" }, filterBar(view.filters, view.list instanceof Feed), view.list.render())
      : astray("Messages", view.filters.invalid!, "#/messages")),
  };
}

export function messageFilter(filters: Filters): MessageFilter {
  return {
    senderId: filters.sender ?? null, status: (filters.status as MessageStatus[] | undefined) ?? null, to: filters.to ?? null,
    toUserId: filters.user ?? null,
      idempotencyKey: filters.key ?? null,
    whatsappId: filters.wamid ?? null, labels: filters.labels ?? null, type: (filters.type as MessageFilter["type"]) ?? null,
    priority: (filters.priority as MessageFilter["priority"]) ?? null, template: filters.template ?? null,
    errorCategory: filters.category ?? null, errorCode: filters.code ?? null, overdue: filters.overdue ?? null,
    queuedAfter: filters.from ?? null, queuedBefore: filters.until ?? null,
  };
}

// ───────────── filters ─────────────

function filterBar(filters: Filters, live: boolean): VNode {
  const change = (next: Filters): void => go(link(["messages"], withPage(toQuery(next), !live)));
  const { status: chosen = [], overdue } = filters;
  const status = overdue ? "overdue" : chosen.length === troubled.length && troubled.every(s => chosen.includes(s)) ? "trouble"
    : chosen.length > 1 ? "several" : chosen[0] ?? "";
  const rest: Filters = { ...filters };
  delete rest.overdue;
  if (!overdue && status !== "several") delete rest.status; // the choice shows it
  for (const name of ["sender", "type", "priority", "from", "until"] as const) delete rest[name];
  const parts = describe(rest);
  const set = <K extends "sender" | "type" | "priority" | "from" | "until">(name: K, value: string): void => {
    const next: Filters = { ...filters };
    if (value) next[name] = value;
    else delete next[name];
    change(next);
  };
  return h("div", { class: "filters wide", role: "group", "aria-label": "Filters" },
    choose("Status", status, [["", "all"], ["trouble", "in trouble"], ["overdue", "overdue"], ...statuses.map(s => [s, words(s)] as const)], value => {
      const next: Filters = { ...filters };
      delete next.overdue;
      if (value === "overdue") next.overdue = true;
      if (value === "trouble") next.status = [...troubled];
      else if (value && value !== "overdue") next.status = [value];
      else delete next.status;
      change(next);
    }, { id: "status-filter" }),
    choose("Sender", filters.sender ?? "", senderChoices("all"), value => set("sender", value)),
    choose("Type", filters.type ?? "", [["", "all"], ...types.map(t => [t, words(t)] as const)], value => set("type", value)),
    choose("Lane", filters.priority ?? "", [["", "all"], ...priorities.map(p => [p, laneName(p)] as const)],
      value => set("priority", value)),
    choose("Queued", recent(filters), [["", "any time"], ...firstRanges, ...(recent(filters) === "other" ? [["other", "other times"]] as const : [])], id => {
      if (id === "other") return;
      const { from: _, until: __, ...next } = filters;
      if (!id) return change(next);
      const { from, to } = firstRange(id, serverNow(), utc.value);
      change({ ...next, from: new Date(from).toISOString(), ...(id === "yesterday" ? { until: new Date(to).toISOString() } : {}) });
    }),
    h(textFilter, { label: "From", type: "datetime-local", step: 1, value: toField(filters.from ?? ""), onchange: value => set("from", fromField(value)) }),
    h(textFilter, { label: "Until", type: "datetime-local", step: 1, value: toField(filters.until ?? ""), onchange: value => set("until", fromField(value)) }),
    parts.length > 0 ? h("p", { class: "searched" }, "Filtered by ", h("strong", null, parts.join(", "))) : null,
    filters.labels?.length === 1 ? h("a", { href: link(["campaigns", filters.labels[0]!.name, filters.labels[0]!.value]) }, "As a campaign") : null,
    Object.keys(filters).length > 0 ? h("a", { class: "clear", href: "#/messages" }, "Clear all") : null);
}

/** Returns the proposed time range that the filters have, "other" for another one, or an empty text. */
function recent({ from, until }: Filters): string {
  if (!from && !until) return "";
  return firstRanges.find(([id]) => {
    const range = firstRange(id, serverNow(), utc.value);
    return Date.parse(from ?? "") === range.from && (id === "yesterday" ? Date.parse(until ?? "") === range.to : !until);
  })?.[0] ?? "other";
}

function withPage(query: URLSearchParams, listed: boolean): URLSearchParams {
  if (listed && [...query.keys()].every(name => name === "sender" || name === "status")) query.set("page", "1");
  return query;
}

// ───────────── rows ─────────────

const columns = [
  { name: "ID" }, { name: "To" }, { name: "Sender", class: "extra" }, { name: "Type", class: "extra" }, { name: "Lane", class: "extra" },
  { name: "Status" }, { name: "Why", class: "extra" }, { name: "Att.", title: "Attempts", class: "number extra" },
    { name: "Age", class: "number" },
];

const messageTable = (rows: readonly MessageRow[], props?: Props): VNode =>
  table({ ...props, class: "messages", id: "messages" }, "Messages, newest first", columns, rows.map(message => h(Row, { key: message.id, message })));

const Row = memo(({ message }: { message: MessageRow }): VNode =>
  h("tr", null, h("td", null, messageLink(message.id)),
    h("td", { class: "mono" }, message.to ?? message.toUserId ?? "erased"),
    h("td", { class: "extra name" }, message.sender.id),
    h("td", { class: "extra" }, words(message.type)),
    h("td", { class: "extra" }, laneName(message.priority)),
    cell("Status", null, statusChip(message.status)),
    h("td", { class: "extra quiet" }, message.overdueSince ? chip("overdue", "warn") : message.failure
      ? `${words(message.failure.category)}${message.failure.code === null ? "" : ` ${message.failure.code}`}` : ""),
    h("td", { class: "number extra" }, message.attempts),
    h("td", { class: "number" }, ago(message.queuedAt))));

// ───────────── live ─────────────

/** Returns the newest rows, oldest first, after messages were added or updated. */
function newest(rows: ReadonlyMap<string, MessageRow>, ...messages: readonly MessageRow[]): ReadonlyMap<string, MessageRow> {
  const all = [...rows, ...messages.map(message => [message.id, message] as const)];
  return new Map([...new Map(all)].slice(-rowLimit));
}

/** The newest messages, updated live. */
class Feed {
  private readonly shown = reactive({
    rows: new Map() as ReadonlyMap<string, MessageRow>, // oldest first
    note: "Loading…", holding: false,
    passedBy: -Infinity, // when a new message was last omitted
    // The new messages while the pointer is over the rows, oldest first. As rows, they would move the one that is about to be clicked.
    waiting: new Map() as ReadonlyMap<string, MessageRow>,
    pointed: false,
  });
  private round = 0; // of starts; only the latest one continues
  private unfollow: () => void = () => {};
  private timer: ReturnType<typeof setTimeout> | undefined;
  private second = { at: 0, seen: 0, plain: 0, troubled: 0 };
  private readonly filters: Filters;

  constructor(filters: Filters) {
    this.filters = filters;
    document.addEventListener("visibilitychange", this.turn);
    void this.start();
  }

  stop(): void {
    this.halt();
    document.removeEventListener("visibilitychange", this.turn);
  }

  /** Ends the subscription or the polling, and a start in progress. */
  private halt(): void {
    this.round++;
    clearTimeout(this.timer);
    this.unfollow();
    this.unfollow = () => {};
  }

  private turn = (): void => {
    if (document.hidden) this.halt();
    else if (!this.shown.holding) void this.start();
  };

  /** Loads the position of the lists, then the newest messages, and follows the event log from that position, so that no change is missed. */
  private async start(asking = 0): Promise<void> {
    this.halt();
    const mine = this.round;
    try {
      const { readModel: { position } } = await ask(Position, {});
      const { messages: { edges } } = await ask(Messages, { filter: messageFilter(this.filters), first: rowLimit });
      if (mine !== this.round) return;
      this.load(new Map(edges.toReversed().map(({ node }) => [node.id, node])));
      this.shown.note = "";
      if (asking > 0) {
        this.timer = setTimeout(() => void this.start(asking - 1), busyEvery);
        return;
      }
      this.unfollow = connection.subscribe(MessageUpdates, { senderId: this.filters.sender ?? null, after: position }, {
        cursor: data => data.messageUpdates.cursor,
        gone: () => void this.start(),
        next: ({ messageUpdates: { at, message } }) => {
          sawServerTime(at);
          this.take(message);
        },
      });
    } catch (error) {
      if (mine !== this.round) return;
      report(error);
      this.shown.note = "Could not load the messages. Retrying.";
      this.timer = setTimeout(() => void this.start(), 2000);
    }
  }

  /** Shows the newest messages. While the pointer is over rows, these only change, and the others wait. */
  private load(loaded: ReadonlyMap<string, MessageRow>): void {
    const { rows, pointed } = this.shown;
    const kept = pointed && rows.size > 0;
    this.shown.rows = kept ? new Map([...rows].map(([id, row]) => [id, loaded.get(id) ?? row])) : loaded;
    this.shown.waiting = kept ? new Map([...loaded].filter(([id]) => !rows.has(id))) : new Map();
  }

  private take(message: MessageRow): void {
    const now = Math.floor(Date.now() / 1000);
    if (this.second.at !== now) this.second = { at: now, seen: 0, plain: 0, troubled: 0 };
    if (++this.second.seen > busy) {
      void this.start(busyRounds);
      return;
    }
    const { status } = this.filters;
    const fits = !status || status.includes(message.status);
    // A row that no longer matches stays while it is among the newest, so that its outcome is visible.
    const { rows, waiting } = this.shown;
    if (rows.has(message.id)) this.shown.rows = newest(rows, message);
    else if (waiting.has(message.id) || fits && this.sampled(message)) {
      if (this.shown.pointed) this.shown.waiting = newest(waiting, message);
      else this.shown.rows = newest(rows, message);
    } else if (fits && message.status === "QUEUED") {
      this.shown.passedBy = Date.now();
    }
  }

  private sampled(message: MessageRow): boolean {
    if (this.filters.status) return this.second.plain++ < 2 * rowsPerSecond;
    return troubled.includes(message.status) ? this.second.troubled++ < troubledPerSecond : this.second.plain++ < rowsPerSecond;
  }

  private point(over: boolean): void {
    this.shown.pointed = over;
    if (over || this.shown.waiting.size === 0) return;
    this.shown.rows = newest(this.shown.rows, ...this.shown.waiting.values());
    this.shown.waiting = new Map();
  }

  private hold(): void {
    this.shown.holding = !this.shown.holding;
    if (this.shown.holding) this.halt();
    else void this.start();
  }

  render(): VNode {
    const rows = [...this.shown.rows.values()].reverse(), waiting = this.shown.waiting.size;
    tick.value; // the note about the sample ends
    const sample = Date.now() - this.shown.passedBy < 5000;
    return card(["Messages ", this.shown.holding ? chip("paused", "warn") : chip("live", "good")], { id: "live-messages", class: "wide" }, [
      button(this.shown.holding ? "Resume" : "Pause", () => this.hold(), { id: "hold", "aria-pressed": String(this.shown.holding) }),
      h("a", { class: "plain button", href: link(["messages"], withPage(toQuery(this.filters), true)) }, "List all"),
    ],
    messageTable(rows, {
      "data-pointed": String(this.shown.pointed), onpointerenter: () => this.point(true), onpointerleave: () => this.point(false),
    }),
    quiet(this.shown.note || (this.shown.holding ? "Paused."
      : waiting > 0 ? `${plural(waiting, "new message")}: shown when the pointer leaves the list.`
      : rows.length === 0 ? (this.filters.status ? "No messages with this status." : "No messages yet.")
      : sample ? "A sample of a few new messages per second, so that you can follow them. The overview counts all messages." : "\u00a0")));
  }
}

// ───────────── export and progress

const exportLimit = 10_000;
const exportPage = 200;

/** Downloads the messages that match the filters as CSV, at most 10,000. */
async function exportRows(filters: Filters): Promise<void> {
  const rows: (string | number | null)[][] = [["id", "to", "sender", "type", "lane", "status", "category", "code", "attempts", "queued", "sent"]];
  for (let after: string | null = null; ;) {
    const { messages: { edges, pageInfo } }: MessagesData = await ask(Messages, { filter: messageFilter(filters), first: exportPage, after });
    rows.push(...edges.map(({ node: m }) => [m.id, m.to ?? m.toUserId, m.sender.id, m.type, m.priority, m.status, m.failure?.category ?? null,
      m.failure?.code ?? null, m.attempts, m.queuedAt, m.sentAt]));
    if (!pageInfo.hasNextPage) break;
    if (rows.length > exportLimit) {
      note(`Only the newest ${count(exportLimit)} messages are exported. Narrow the filter for the rest.`, true);
      break;
    }
    after = pageInfo.endCursor;
  }
  save("messages.csv", new Blob([csv(rows)], { type: "text/csv" }));
}

/** The progress of the messages as a bar: of a campaign, for example, if the filter is its label. */
function progress(counts: MessageCountsData["messageCounts"], total: number): VNode {
  const left = sumOf(counts, open);
  return h("div", { class: "progress" },
    h("div", { class: "progress-bar", "aria-hidden": "true" }, counts.map(({ status, count: n }) =>
      h("span", { key: status, "data-tone": toneOf(status), style: { width: `${n / total * 100}%` }, title: `${words(status)}: ${count(n)}` }))),
    quiet(`${percent((total - left) / total)} done`, left > 0 ? `, ${count(left)} to go` : ""));
}

// ───────────── listed ─────────────

/** The results of a search, page by page. The current page is polled, so that it shows the progress of its messages. */
class Pages {
  private readonly shown = reactive({
    rows: null as MessageRow[] | null, counts: null as MessageCountsData["messageCounts"] | null, next: null as string | null, fault: "",
  });
  private readonly filters: Filters;
  private readonly page: Page;
  private ends: (() => void)[] = [];
  private readonly abort = new AbortController();

  constructor(filters: Filters, page: Page) {
    [this.filters, this.page] = [filters, page];
    this.reload();
  }

  private reload(): void {
    if (this.abort.signal.aborted) return; // an operation ended after the view
    for (const end of this.ends) end();
    this.ends = [poll(listEvery, () => this.load()), poll(countEvery, () => this.count())];
  }

  stop(): void {
    for (const end of this.ends) end();
    this.abort.abort();
  }

  private async count(): Promise<void> {
    this.shown.counts = (await ask(MessageCounts, { filter: messageFilter(this.filters) }, this.abort.signal)).messageCounts;
  }

  private async load(): Promise<void> {
    try {
      const { messages: { edges, pageInfo } } = await ask(Messages, {
        filter: messageFilter(this.filters), first: pageSize, after: this.page.after,
      }, this.abort.signal);
      Object.assign(this.shown, { rows: edges.map(({ node }) => node), next: pageInfo.hasNextPage ? pageInfo.endCursor : null, fault: "" });
    } catch (error) {
      if (this.abort.signal.aborted) return;
      if (error instanceof ServerAway) report(error); // keep the current rows
      else this.shown.fault = messageOf(error);
    }
  }

  render(): VNode {
    const { rows, counts, next, fault } = this.shown;
    const total = counts?.reduce((sum, { count: n }) => sum + n, 0);
    const summary: Child = counts === null ? "…" : counts.map(({ status, count: n }) =>
      h("a", { key: status, class: "count-link", href: link(["messages"], withPage(toQuery({ ...this.filters, status: [status] }), true)) },
        statusChip(status), ` ${count(n)}`));
    const waiting = counts?.some(({ status }) => status === "QUEUED" || status === "RETRYING") && !forbidden(CancelMany);
    return card(["Messages ", total === undefined ? null : h("span", { class: "quiet", id: "found" }, plural(total, "message"))],
      { id: "found-messages", class: "wide" }, [
      waiting ? button("Cancel waiting messages…",
        () => cancelMessages(messageFilter(this.filters), describe(this.filters).join(", "), () => this.reload()), { id: "cancel-many" })
        : null,
      button("Export CSV", () => void attempt("Exported.", () => exportRows(this.filters)), { disabled: !rows?.length }),
      h("a", { class: "plain button", href: link(["messages"]) }, "Live"),
    ],
      counts && total ? progress(counts, total) : null,
      h("div", { class: "counts" }, summary),
      fault ? h("p", { class: "error", role: "alert" }, fault) : null,
      rows === null ? quiet(fault ? "" : "Loading…") : rows.length === 0 ? quiet("No messages found.")
        : messageTable(rows),
      pager(this.page, next, byTime, "Updates automatically."));
  }
}
