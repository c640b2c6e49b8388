// The messages: the newest ones live, or the results of a search, page by page.
import { ask, messageOf, sawServerTime, ServerAway, since } from "../api/client.ts";
import { CancelMany, MessageCounts, MessageUpdates, Messages, Position, type MessageCountsData, type MessageFilter, type MessageRow,
  type MessageStatus } from "../api/operations.ts";
import { connection } from "../api/socket.ts";
import { age, count, laneName, plural, shortId, words } from "../lib/format.ts";
import { describe, fromQuery, priorities, statuses, toQuery, types, type Filters } from "../lib/recognize.ts";
import { go, link, type Route, type View } from "../route.ts";
import { everySecond, forbidden, poll, refresh, report, senderChoices } from "../state.ts";
import { h, type Child, type VNode } from "../ui/dom.ts";
import { button, card, cell, chip, choose, quiet, statusChip, table } from "../ui/parts.ts";
import { cancelMessages } from "./actions.ts";

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
  let filters: Filters, feed: Feed | null = null, page: Pages | null = null;

  function begin(query: URLSearchParams): void {
    end();
    filters = fromQuery(query);
    // Filters by sender and status can be followed live. Other filters are searched.
    const followed = Object.keys(filters).every(name => name === "sender" || name === "status") && !query.has("page");
    if (followed) feed = new Feed(filters);
    else page = new Pages(filters);
  }

  function end(): void {
    feed?.stop();
    page?.stop();
    [feed, page] = [null, null];
  }

  begin(route.query);
  return {
    title: "Messages", stop: end, moved: begin,
    render: () => h("div", { class: "board" }, filterBar(filters, feed !== null),
      feed ? feed.render() : page!.render()),
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
  };
}

// ───────────── filters ─────────────

function filterBar(filters: Filters, live: boolean): VNode {
  const change = (next: Filters): void => go(link(["messages"], withPage(toQuery(next), !live)));
  const status = filters.status?.length === troubled.length && troubled.every(s => filters.status!.includes(s)) ? "trouble"
    : filters.overdue ? "overdue" : filters.status?.[0] ?? "";
  const rest: Filters = { ...filters };
  if (filters.overdue) delete rest.overdue;
  for (const name of ["status", "sender", "type", "priority"] as const) delete rest[name];
  const parts = describe(rest);
  const set = <K extends "sender" | "type" | "priority">(name: K, value: string): void => {
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
    parts.length > 0 ? h("p", { class: "searched" }, "Filtered by ", h("strong", null, parts.join(", "))) : null,
    Object.keys(filters).length > 0 ? h("a", { class: "clear", href: "#/messages" }, "Clear all") : null);
}

function withPage(query: URLSearchParams, listed: boolean): URLSearchParams {
  if (listed && [...query.keys()].every(name => name === "sender" || name === "status")) query.set("page", "1");
  return query;
}

// ───────────── rows ─────────────

const columns = [
  { name: "ID" }, { name: "To" }, { name: "Sender", class: "extra" }, { name: "Type", class: "extra" }, { name: "Lane", class: "extra" },
  { name: "Status" }, { name: "Why", class: "extra" }, { name: "Att.", title: "Attempts", class: "number" },
    { name: "Age", class: "number" },
];

const messageTable = (rows: readonly MessageRow[]): VNode =>
  table({ class: "messages", id: "messages" }, "Messages, newest first", columns, rows.map(message => h("tr", { key: message.id },
    h("td", null, h("a", { class: "mono", href: link(["messages", message.id]), title: message.id, "aria-label": `Message ${message.id}` },
      shortId(message.id))),
    h("td", { class: "mono" }, message.to ?? message.toUserId ?? "erased"),
    h("td", { class: "extra" }, message.sender.id),
    h("td", { class: "extra" }, words(message.type)),
    h("td", { class: "extra" }, laneName(message.priority)),
    cell("Status", null, statusChip(message.status)),
    h("td", { class: "extra quiet" }, message.overdueSince ? chip("overdue", "warn") : message.failure
      ? `${words(message.failure.category)}${message.failure.code === null ? "" : ` ${message.failure.code}`}` : ""),
    h("td", { class: "number" }, message.attempts),
    h("td", { class: "number" }, age(since(message.queuedAt) / 1000)))));

// ───────────── live ─────────────

/** The newest messages, updated live. */
class Feed {
  private rows = new Map<string, MessageRow>(); // oldest first
  private note = "Loading…";
  private holding = false;
  private stopped = false;
  private unfollow: () => void = () => {};
  private timer: ReturnType<typeof setTimeout> | undefined;
  private passedBy = -Infinity; // when a new message was last omitted
  private second = { at: 0, seen: 0, plain: 0, troubled: 0 };
  private readonly filters: Filters;
  private readonly untick = everySecond();

  constructor(filters: Filters) {
    this.filters = filters;
    document.addEventListener("visibilitychange", this.turn);
    void this.start();
  }

  stop(): void {
    this.stopped = true;
    this.untick();
    clearTimeout(this.timer);
    this.unfollow();
    document.removeEventListener("visibilitychange", this.turn);
  }

  private turn = (): void => {
    if (document.hidden) this.unfollow();
    else if (!this.holding) void this.start();
  };

  /** Loads the position of the lists, then the newest messages, and follows the event log from that position, so that no change is missed. */
  private async start(asking = 0): Promise<void> {
    clearTimeout(this.timer);
    this.unfollow();
    this.unfollow = () => {};
    try {
      const { readModel: { position } } = await ask(Position, {});
      const { messages: { edges } } = await ask(Messages, { filter: messageFilter(this.filters), first: rowLimit });
      if (this.stopped || this.holding) return;
      this.rows = new Map(edges.toReversed().map(({ node }) => [node.id, node]));
      this.note = "";
      refresh();
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
      if (this.stopped) return;
      report(error);
      this.note = "Could not load the messages. Retrying.";
      this.timer = setTimeout(() => void this.start(), 2000);
    }
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
    if (this.rows.has(message.id)) {
      // A row that no longer matches stays while it is among the newest, so that its outcome is visible.
      this.rows.set(message.id, message);
    } else if (fits && this.sampled(message)) {
      this.rows.set(message.id, message);
      if (this.rows.size > rowLimit) this.rows.delete(this.rows.keys().next().value!);
    } else if (fits && message.status === "QUEUED") {
      this.passedBy = Date.now();
      return;
    } else {
      return;
    }
    refresh();
  }

  private sampled(message: MessageRow): boolean {
    if (this.filters.status) return this.second.plain++ < 2 * rowsPerSecond;
    return troubled.includes(message.status) ? this.second.troubled++ < troubledPerSecond : this.second.plain++ < rowsPerSecond;
  }

  private hold(): void {
    this.holding = !this.holding;
    clearTimeout(this.timer);
    if (this.holding) this.unfollow();
    else void this.start();
    refresh();
  }

  render(): VNode {
    const rows = [...this.rows.values()].reverse();
    const sample = Date.now() - this.passedBy < 5000;
    return card(["Messages ", this.holding ? chip("paused", "warn") : chip("live", "good")], { id: "live-messages", class: "wide" }, [
      button(this.holding ? "Resume" : "Pause", () => this.hold(), { id: "hold", "aria-pressed": String(this.holding) }),
      h("a", { class: "plain button", href: link(["messages"], withPage(toQuery(this.filters), true)) }, "List all"),
    ],
    messageTable(rows),
    quiet(this.note || (this.holding ? "Paused."
      : rows.length === 0 ? (this.filters.status ? "No messages with this status." : "No messages yet.")
      : sample ? "A sample of a few new messages per second, so that you can follow them. The overview counts all messages." : "\u00a0")));
  }
}

// ───────────── listed ─────────────

/** The results of a search, page by page. The current page is polled, so that it shows the progress of its messages. */
class Pages {
  private rows: MessageRow[] | null = null;
  private counts: MessageCountsData["messageCounts"] | null = null;
  private cursors: (string | null)[] = [null]; // one for each visited page
  private next: string | null = null;
  private fault = "";
  private readonly filters: Filters;
  private round = 0;
  private ends: (() => void)[] = [];
  private readonly abort = new AbortController();

  constructor(filters: Filters) {
    this.filters = filters;
    this.reload();
  }

  private reload(): void {
    for (const end of this.ends) end();
    this.ends = [poll(listEvery, () => this.load()), poll(countEvery, () => this.count())];
  }

  stop(): void {
    for (const end of this.ends) end();
    this.abort.abort();
  }

  private async count(): Promise<void> {
    this.counts = (await ask(MessageCounts, { filter: messageFilter(this.filters) }, this.abort.signal)).messageCounts;
    refresh();
  }

  private async load(): Promise<void> {
    const mine = ++this.round;
    try {
      const { messages: { edges, pageInfo } } = await ask(Messages, {
        filter: messageFilter(this.filters), first: pageSize, after: this.cursors.at(-1) ?? null,
      }, this.abort.signal);
      if (mine !== this.round) return; // the user has turned the page
      this.rows = edges.map(({ node }) => node);
      this.next = pageInfo.hasNextPage ? pageInfo.endCursor : null;
      this.fault = "";
    } catch (error) {
      if (this.abort.signal.aborted || mine !== this.round) return;
      if (error instanceof ServerAway) report(error); // keep the current rows
      else this.fault = messageOf(error);
    }
    refresh();
  }

  render(): VNode {
    const total = this.counts?.reduce((sum, { count: n }) => sum + n, 0);
    const newer = (): void => { this.cursors.pop(); void this.load(); };
    const older = (): void => { this.cursors.push(this.next); void this.load(); };
    const summary: Child = this.counts === null ? "…" : this.counts.map(({ status, count: n }) =>
      h("a", { key: status, class: "count-link", href: link(["messages"], withPage(toQuery({ ...this.filters, status: [status] }), true)) },
        statusChip(status), ` ${count(n)}`));
    const waiting = this.counts?.some(({ status }) => status === "QUEUED" || status === "RETRYING") && !forbidden(CancelMany);
    return card(["Messages ", total === undefined ? null : h("span", { class: "quiet", id: "found" }, plural(total, "message"))],
      { id: "found-messages", class: "wide" }, [
      waiting ? button("Cancel waiting messages…",
        () => cancelMessages(messageFilter(this.filters), describe(this.filters).join(", "), () => this.reload()), { id: "cancel-many" })
        : null,
      h("a", { class: "plain button", href: link(["messages"]) }, "Live"),
    ],
      h("div", { class: "counts" }, summary),
      this.fault ? h("p", { class: "error", role: "alert" }, this.fault) : null,
      this.rows === null ? quiet(this.fault ? "" : "Loading…") : this.rows.length === 0 ? quiet("No messages found.")
        : messageTable(this.rows),
      h("div", { class: "pager" },
        button("Newer", newer, { disabled: this.cursors.length <= 1 }),
        h("span", { class: "quiet" }, `Page ${this.cursors.length}`),
        button("Older", older, { disabled: this.next === null, id: "older" }),
        h("span", { class: "quiet" }, "Updates automatically.")));
  }
}
