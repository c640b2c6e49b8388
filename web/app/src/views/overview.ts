// The overview: throughput, latency, failures, and queues.
import { ask, sawServerTime } from "../api/client.ts";
import { AlertRules, Alerts, CampaignPauses, Ledger, LiveMetrics, type AlertKind, type AlertNow, type LiveMetricsData, type Rule } from "../api/operations.ts";
import { connection } from "../api/socket.ts";
import { age, count, difference, duration, figure, percent, plural, seconds, span, words } from "../lib/format.ts";
import { windows, type Window } from "../lib/windows.ts";
import { unknown, unlisted } from "../lib/query.ts";
import { link, setQuery, type Route, type View } from "../route.ts";
import { figureChoices, figuresOf, forbidden, openAlerts, poll, putAlert, report, state } from "../state.ts";
import { h, reactive, type Child, type VNode } from "../ui/h.ts";
import { card, cell, choose, chip, quiet, segments, table, toneOf, type Tone } from "../ui/parts.ts";
import { Plot, type Mark, type Series } from "../ui/plot.ts";
import { alertLine } from "./alert_parts.ts";
import { comparisonOf } from "./compare.ts";
import { balanced, ledgerFigures, type Books } from "./ledger_figures.ts";
import { queuesTable } from "./queues.ts";
import { LiveSeries, type Loaded, type Metrics } from "./series.ts";

type Live = LiveMetricsData["metrics"];

const alertsEvery = 10_000;
const pausesEvery = 10_000;
const alertsMarked = 50;
const nowSpan = 10; // the window of "now" in seconds

function read(query: URLSearchParams): { window: Window; senderId: string | null; compare: boolean; invalid: string } {
  const invalid = unlisted(query, "window", windows.map(({ id }) => id)) || unlisted(query, "compare", ["previous"]) || unknown(query, "window", "compare", "sender");
  return { invalid, compare: query.get("compare") === "previous", window: windows.find(({ id }) => id === query.get("window")) ?? windows[1], senderId: figuresOf(query.get("sender")) };
}

export function overview(route: Route): View {
  const view = reactive({
    ...read(route.query), live: null as Live | null, now: null as Live | null, books: null as Books | null, rules: [] as Rule[], alerts: [] as AlertNow[],
    series: null as LiveSeries | null, previous: null as LiveSeries | null, pausedCampaigns: 0,
  });
  let ends: (() => void)[] = [];

  function begin(): void {
    end();
    [view.live, view.now, view.books, view.alerts] = [null, null, null, []];
    if (view.invalid) return;
    const { senderId } = view, mine = ends; // replaced when another sender or window is shown
    view.series = new LiveSeries(view.window, view.senderId);
    view.previous = view.compare ? new LiveSeries(view.window, view.senderId, view.window.seconds * 1000) : null;
    ends.push(follow(view.window.seconds, view.window.seconds > 3600 ? 5 : 2, metrics => { view.live = metrics; }),
      follow(nowSpan, 1, metrics => { view.now = metrics; }));
    if (!forbidden(Ledger)) ends.push(poll(2000, async () => {
      const { ledger: books } = await ask(Ledger, { senderId });
      sawServerTime(books.asOf);
      if (mine === ends) view.books = books;
    }));
    ends.push(poll(alertsEvery, async () => {
      const { alerts: { edges } } = await ask(Alerts, { filter: { senderId }, first: alertsMarked });
      if (mine === ends) view.alerts = edges.map(({ node }) => node);
      for (const { node } of edges) if (state.alerts.has(node.id)) putAlert(node); // with their current values
    }));
    ends.push(poll(60_000, async () => {
      view.rules = (await ask(AlertRules, {})).alertRules;
    }));
    ends.push(poll(pausesEvery, async () => {
      view.pausedCampaigns = (await ask(CampaignPauses, {})).campaignPauses.length;
    }));
  }

  function end(): void {
    view.series?.stop();
    view.previous?.stop();
    for (const stop of ends) stop();
    [view.series, view.previous, ends] = [null, null, []];
  }

  /** Follows the metrics while the tab is visible. */
  function follow(length: number, every: number, take: (metrics: Live) => void): () => void {
    let stop: (() => void) | null = null;
    const turn = (): void => {
      stop?.();
      stop = document.hidden ? null : connection.subscribe(LiveMetrics, { senderId: view.senderId, window: duration(length), every: duration(every) }, {
        refused: report,
        next: ({ metrics }) => {
          sawServerTime(metrics.at);
          take(metrics);
        },
      });
    };
    turn();
    document.addEventListener("visibilitychange", turn);
    return () => {
      document.removeEventListener("visibilitychange", turn);
      stop?.();
    };
  }

  begin();

  return {
    title: "Overview",
    stop: end,
    moved: query => {
      const asked = (): string => [view.window.id, view.senderId, view.compare, view.invalid].join(), before = asked();
      Object.assign(view, read(query));
      if (asked() !== before) begin();
    },
    render: () => {
      if (view.invalid) {
        return card("Overview", { id: "no-overview", class: "wide" }, null, h("p", { class: "error", role: "alert" }, view.invalid),
          quiet(h("a", { href: "#/" }, "Show the overview"), "."));
      }
      const shown = state.senders?.filter(sender => !view.senderId || sender.id === view.senderId) ?? [];
      const open = openAlerts().filter(alert => !view.senderId || !alert.sender || alert.sender.id === view.senderId);
      const loaded = view.series?.loaded ?? null, previous = view.previous?.loaded ?? null;
      const marks = (kinds: readonly AlertKind[]): Mark[] => view.alerts.filter(({ kind }) => kinds.includes(kind))
        .map(({ raisedAt, resolvedAt, summary, severity }) =>
          ({ from: Date.parse(raisedAt), to: resolvedAt && Date.parse(resolvedAt), name: summary, critical: severity === "CRITICAL" }) as Mark);
      const latency = latencySeries(loaded, previous, boundOf(view.rules, view.senderId)), throughput = throughputSeries(loaded, previous);
      return h("div", { class: "board" },
        h("div", { class: "filters wide", role: "group", "aria-label": "Filters" },
          choose("Sender", view.senderId ?? "", figureChoices("all senders"),
            value => setQuery({ sender: value }), { id: "sender-filter" }),
          segments("Window", view.window.id, windows.map(({ id, name }) => [id, name] as const), id => setQuery({ window: id })),
          choose("Compare with", view.compare ? "previous" : "", [["", "nothing"], ["previous", `the previous ${view.window.name}`]], value => setQuery({ compare: value }), { id: "compare" }),
          h("a", { href: link(["compare"], comparisonOf(view.window.seconds, view.senderId)) }, "Compare two time ranges")),
        tiles(view.now, view.live, view.window.name),
        view.compare ? comparison(loaded, previous, view.window.name) : null,
        h(Plot, { id: "throughput", title: "Throughput", series: throughput && { ...throughput, marks: marks(["ERROR_RATE", "QUEUE_GROWTH", "QUEUE_STALLED", "SENDER_HELD", "BREAKER_OPEN", "WEBHOOK_SILENCE"]) } }),
        h(Plot, { id: "latency", title: "Delivery latency", series: latency && { ...latency, marks: marks(["DELIVERY_LATENCY"]) } }),
        open.length > 0 ? card(["Open alerts ", chip(count(open.length), open.every(({ silence }) => silence) ? "warn" : "bad")], { id: "open-alerts", class: "wide" },
          h("a", { href: "#/alerts" }, "All alerts"),
          h("ul", { class: "alert-lines" }, open.slice(0, 4).map(alertLine))) : null,
        card("Errors by type", { id: "errors" }, h("span", { class: "quiet" }, `last ${view.window.name}`), errors(view.live, view.senderId)),
        card("Queues", { id: "queues" }, view.pausedCampaigns > 0 ? h("a", { href: "#/campaigns" }, plural(view.pausedCampaigns, "paused campaign")) : null,
          state.senders?.length === 0 ? quiet("No senders yet. ", h("a", { href: "#/senders" }, "Register one"), ".") : queuesTable(shown)),
        forbidden(Ledger) ? null
          : card(["Ledger ", balanced(view.books)], { id: "ledger", class: "wide" }, h("a", { href: "#/ledger" }, "Ledger and log"),
          ledgerFigures(view.books)));
    },
  };
}

function boundOf(rules: readonly Rule[], senderId: string | null): Rule | null {
  const latency = rules.filter(rule => rule.kind === "DELIVERY_LATENCY" && rule.enabled);
  return latency.find(rule => rule.senderId === senderId) ?? latency.find(rule => rule.senderId === null) ?? null;
}

// ───────────── tiles ─────────────

function tile(key: string, name: string, value: string, note: string, tone: Tone | null = null): VNode {
  return h("div", { key, class: "tile", "data-tone": tone, id: `tile-${key}` }, h("dt", null, name),
    h("dd", null, h("strong", null, value), h("span", { title: note }, note)));
}

function tiles(now: Live | null, live: Live | null, window: string): VNode {
  const perSecond = now ? now.sent / nowSpan : null;
  const p95 = seconds(live?.p95DeliveryLatency);
  const due = seconds(now?.oldestDueAge);
  return h("dl", { class: "tiles wide" },
    tile("rate", "Sent now", perSecond === null ? "…" : `${figure(perSecond)}/s`, live ? `${figure(live.sentPerMinute)}/min in ${window}`
      : "…"),
    tile("delivered", "Delivered", live ? percent(live.deliveryRate) : "…", live ? live.deliveryRate === null ? `none sent in ${window}` : `of those sent in ${window}` : "…"),
    tile("errors", "Error rate", live ? percent(live.errorRate) : "…", live ? `${count(live.failed + live.deadLettered)} failed or dead`
      : "…",
      live?.errorRate && live.errorRate > 0.02 ? "bad" : null),
    tile("latency", "Delivery p95", p95 === null ? live ? "–" : "…" : span(p95), live
      ? `average ${span(seconds(live.averageDeliveryLatency))}` : "…"),
    tile("queue", "Queue", now ? count(now.queueDepth) : "…", now ? due === null ? "nothing due"
      : `oldest ${due < 1 ? span(due) : age(due)}` : "…", due !== null && due > 60 ? "bad" : due !== null && due > 10 ? "warn" : null),
    tile("retried", "Retried", live ? count(live.retried) : "…", live ? `${count(live.throttled)} throttled, ${count(live.ambiguous)} lost`
      : "…"),
    tile("dead", "Dead letters", state.deadLetters === null ? "…" : count(state.deadLetters), "await a decision", state.deadLetters ? "bad"
      : null),
    tile("behind", "Read model", state.behind === null ? "…" : state.behind < 1 ? "current" : span(state.behind), (state.behind ?? 0) < 1
      ? "up to date" : "behind the event log", (state.behind ?? 0) > 5 ? "warn" : null));
}

// ───────────── plots ─────────────

/** The values of a line in the previous period, at the steps of this one. Both are loaded on their own, so one can be a step ahead. */
function earlier<T>(loaded: Loaded, previous: Loaded | null, pick: (metrics: Metrics) => T): (T | null)[] | null {
  if (!previous) return null;
  const ahead = Math.round((loaded.from - previous.from) / loaded.step) - loaded.points.length;
  return loaded.points.map((_, i) => { const point = previous.points[i + ahead]; return point ? pick(point) : null; });
}

function throughputSeries(loaded: Loaded | null, previous: Loaded | null): Series | null {
  if (!loaded) return null;
  const { from, step, points } = loaded;
  const most = Math.max(...points.map(point => Math.max(point.queued, point.sent, point.delivered)), 0);
  // Low rates are easier to read per minute.
  const perMinute = most / (step / 1000) < 0.5;
  const factor = (perMinute ? 60_000 : 1000) / step;
  const rate = (pick: (metrics: Metrics) => number): number[] => points.map(point => pick(point) * factor);
  const before = earlier(loaded, previous, m => m.sent * factor);
  return {
    from, step, steps: points.length, unit: perMinute ? "messages per minute" : "messages per second",
    write: value => `${figure(value)}${perMinute ? "/min" : "/s"}`,
    lines: [
      { name: "queued", look: "s-queued", values: rate(m => m.queued) },
      { name: "sent", look: "s-sent", values: rate(m => m.sent) },
      { name: "delivered", look: "s-delivered", values: rate(m => m.delivered) },
      { name: "failed", look: "s-failed", values: rate(m => m.failed) },
      { name: "dead", look: "s-dead", values: rate(m => m.deadLettered) },
      ...(before ? [{ name: "sent before", look: "s-before", values: before }] : []),
    ],
  };
}

function latencySeries(loaded: Loaded | null, previous: Loaded | null, rule: Rule | null): Series | null {
  if (!loaded) return null;
  const { from, step, points } = loaded, before = earlier(loaded, previous, m => seconds(m.p95DeliveryLatency));
  // Without deliveries there is no latency, so the line has a gap.
  const line = (name: string, look: string,
    pick: (metrics: Metrics) => string | null) => ({ name, look, values: points.map(point => seconds(pick(point))) });
  return {
    from, step, steps: points.length, unit: "time from the call to the delivery", write: value => (value === 0 ? "0 s" : span(value)),
    bound: rule ? { at: rule.threshold, name: `alert on ${words(rule.statistic)}` } : null,
    lines: [
      line("p50", "s-p50", m => m.p50DeliveryLatency), line("p95", "s-p95", m => m.p95DeliveryLatency),
      line("p99", "s-p99", m => m.p99DeliveryLatency), line("average", "s-average", m => m.averageDeliveryLatency),
      ...(before ? [{ name: "p95 before", look: "s-before", values: before }] : []),
    ],
  };
}

// ───────────── comparison ─────────────

const compared: readonly (readonly [string, (metrics: Metrics) => number])[] = [
  ["Queued", m => m.queued], ["Sent", m => m.sent], ["Delivered", m => m.delivered], ["Failed", m => m.failed], ["Dead letters", m => m.deadLettered],
];

/** The counts of this period and of the one before it. */
function comparison(loaded: Loaded | null, previous: Loaded | null, window: string): VNode {
  const sum = ({ points }: Loaded, pick: (metrics: Metrics) => number): number => points.reduce((total, point) => total + pick(point), 0);
  return card(`Compared with the previous ${window}`, { id: "comparison", class: "wide" }, null,
    !loaded || !previous ? quiet("Loading…") : table({ class: "stack" }, "Counts of this period and the previous one",
      [{ name: "Messages" }, { name: `Last ${window}`, class: "number" }, { name: `${window} before`, class: "number" }, { name: "Change", class: "number" }],
      compared.map(([name, pick]) => {
        const now = sum(loaded, pick), before = sum(previous, pick);
        return h("tr", { key: name }, h("th", { scope: "row" }, name), cell(`Last ${window}`, { class: "number" }, count(now)),
          cell(`${window} before`, { class: "number" }, count(before)),
          cell("Change", { class: "number" }, difference(now, before, count)));
      })));
}

// ───────────── errors ─────────────

const errorColumns = [
  { name: "Class" }, { name: "Category" }, { name: "Code", class: "number" }, { name: "Count", class: "number" },
  { name: "Rate", title: "Fraction of all calls and statuses", class: "number" },
];

const errorsShown = 12;

function errors(live: Live | null, senderId: string | null): Child {
  if (!live) return quiet("Loading…");
  if (live.errorsByType.length === 0) return quiet("No failed calls or statuses.");
  const most = live.errorsByType[0]!.count;
  const rest = live.errorsByType.slice(errorsShown);
  const more = rest.length > 0 ? quiet(`${plural(rest.length, "rarer type")} with ${plural(rest.reduce((sum, error) => sum + error.count, 0), "failure")} in all.`) : null;
  return [table({ class: "errors" }, "Failed calls and statuses by type", errorColumns, live.errorsByType.slice(0, errorsShown).map(error => {
    const search = new URLSearchParams({ category: error.category, ...(senderId ? { sender: senderId } : {}) });
    if (error.code !== null) search.set("code", String(error.code));
    return h("tr", { key: `${error.class} ${error.category} ${error.code}` },
      h("td", null, chip(words(error.class), toneOf(error.class))),
      h("td", null, h("a", { href: `#/messages?${search}`, title: "Messages whose last failure is of this type" }, words(error.category))),
      h("td", { class: "number" }, error.code ?? "–"),
      cell("Count", { class: "number" }, h("span", { class: "bar-cell" },
        h("span", { class: "bar-fill", "aria-hidden": "true", style: { width: `${Math.max(2, error.count / most * 100)}%` } }),
          count(error.count))),
      h("td", { class: "number" }, percent(error.rate)));
  })), more];
}
