// Two time ranges side by side: their metrics, the differences, and both as lines of the same plots.
import { ask, messageOf, rejected, serverNow } from "../api/client.ts";
import { Range as RangeQuery, Series as SeriesQuery, type RangeData } from "../api/operations.ts";
import { count, difference, duration, figure, percent, seconds, span } from "../lib/format.ts";
import { cautions, firstRange, firstRanges, lasted, proposed, readRange, secondRange, secondRanges, stepOf, type Range } from "../lib/ranges.ts";
import { unknown } from "../lib/query.ts";
import { setQuery, type Route, type View } from "../route.ts";
import { figureChoices, figuresOf, poll } from "../state.ts";
import { h, reactive, type Child, type VNode } from "../ui/h.ts";
import { card, cell, choose, quiet, table, textFilter } from "../ui/parts.ts";
import { Plot, type Series } from "../ui/plot.ts";
import { fromField, toField, utc, zonedRange } from "../ui/zone.ts";
import type { Metrics } from "./series.ts";

type Figures = RangeData["metricSeries"][number]["metrics"];

const openEvery = 5000; // the metrics of a range that has not ended
const settled = 60_000; // after the end of a range, its metrics no longer change

/** The names of the times in the address. */
const fields = ["from", "to", "from2", "to2"] as const;
type Texts = Record<(typeof fields)[number], string>;

/** What is shown, as of a time. */
interface Shown { at: number; first: Range; second: Range; step: number; figures: [Figures, Figures]; points: [Metrics[], Metrics[]] }

const texts = (first: Range, second: Range): Texts => {
  const text = (at: number): string => new Date(at).toISOString();
  return { from: text(first.from), to: text(first.to), from2: text(second.from), to2: text(second.to) };
};

/** What the overview compares, as an address: its window, with the one before. */
export function comparisonOf(length: number, senderId: string | null): URLSearchParams {
  const to = Math.floor(serverNow() / 60_000) * 60_000, first = { from: to - Math.max(length, 60) * 1000, to };
  return new URLSearchParams({ ...texts(first, secondRange("before", first, utc.value)), ...(senderId ? { sender: senderId } : {}) });
}

export function compare(route: Route): View {
  const view = reactive({ texts: {} as Texts, senderId: null as string | null, shown: null as Shown | null, stray: "", fault: "",
    follows: "", // the proposal that the second range is, which it remains while the first changes
  });
  let stop: () => void = () => {};

  /** Returns both ranges, or why there are none. */
  function ranges(): [Range, Range] | string {
    if (view.stray) return view.stray;
    const { from, to, from2, to2 } = view.texts, now = serverNow();
    const first = readRange("first", from, to, now), second = readRange("second", from2, to2, now);
    return typeof first === "string" ? first : typeof second === "string" ? second : [first, second];
  }

  function moved(query: URLSearchParams): void {
    stop();
    Object.assign(view, { texts: Object.fromEntries(fields.map(name => [name, query.get(name) ?? ""])), senderId: figuresOf(query.get("sender")),
      stray: unknown(query, ...fields, "sender"), shown: null, fault: "" });
    if (fields.every(name => !view.texts[name])) {
      const first = firstRange("hour", serverNow(), utc.value);
      // In the address, so that a link to the view and a reload show the same ranges.
      return queueMicrotask(() => put(first, secondRange("day", first, utc.value)));
    }
    const asked = ranges();
    if (typeof asked === "string") return; // it selects nothing, rather than some other range
    view.follows = proposed(...asked, utc.value, view.follows);
    stop = poll(openEvery, () => load(asked));
  }

  /** Loads the metrics of both ranges. Returns true if they no longer change. */
  async function load([first, second]: [Range, Range]): Promise<boolean> {
    const { senderId } = view, step = stepOf(first, second), mine = view.texts, now = serverNow();
    const bounds = ({ from, to }: Range) => ({ senderId, from: new Date(from).toISOString(), to: new Date(to).toISOString() });
    const figuresIn = async (range: Range): Promise<Figures> =>
      (await ask(RangeQuery, { ...bounds(range), length: duration((range.to - range.from) / 1000) })).metricSeries[0]!.metrics;
    const pointsIn = async (range: Range): Promise<Metrics[]> => (range.to - range.from < step ? []
      : (await ask(SeriesQuery, { ...bounds(range), step: duration(step / 1000) })).metricSeries.map(({ metrics }) => metrics));
    try {
      const [a, b, c, d] = await Promise.all([figuresIn(first), figuresIn(second), pointsIn(first), pointsIn(second)]);
      if (mine === view.texts) Object.assign(view, { shown: { at: now, first, second, step, figures: [a, b], points: [c, d] }, fault: "" });
      return now > Math.max(first.to, second.to) + settled;
    } catch (error) {
      if (mine !== view.texts) return true;
      view.fault = messageOf(error);
      if (rejected(error)) return true;
      throw error;
    }
  }

  const put = (first: Range, second: Range): void => setQuery({ ...texts(first, second) });

  moved(route.query);
  return { title: "Compare two time ranges", stop: () => stop(), moved, render };

  /** Changes one time. A second range that follows from the first continues to do so. */
  function change(name: keyof Texts, field: string): void {
    const next = { ...view.texts, [name]: fromField(field) };
    if (name === "from2" || name === "to2") view.follows = "";
    const first = readRange("first", next.from, next.to, serverNow());
    if (view.follows && typeof first !== "string") put(first, secondRange(view.follows, first, utc.value));
    else setQuery({ ...next });
  }

  function range(title: string, names: readonly [keyof Texts, keyof Texts], proposals: VNode): VNode {
    return h("div", { class: "filters range", role: "group", "aria-label": title }, h("h3", null, title), proposals,
      ["From", "To"].map((label, i) => h(textFilter, {
        key: label, label, type: "datetime-local", step: 60, value: toField(view.texts[names[i]!]).slice(0, 16), onchange: (value: string) => change(names[i]!, value),
      })));
  }

  function render(): VNode {
    const asked = ranges(), { shown, fault, senderId, follows } = view, now = serverNow();
    const [first, second] = typeof asked === "string" ? [null, null] : asked;
    const chosen = first ? firstRanges.find(([id]) => { const { from, to } = firstRange(id, now, utc.value); return from === first.from && to === first.to; })?.[0] ?? "" : "";
    return h("div", { class: "board" },
      h("div", { class: "page-head wide" }, h("h2", null, "Compare two time ranges"), h("div", { class: "tools" }, h("a", { href: "#/" }, "Overview"))),
      card("Time ranges", { id: "ranges", class: "wide" }, null,
        choose("Sender", senderId ?? "", figureChoices("all senders"), value => setQuery({ sender: value })),
        range("First range", ["from", "to"], choose("Range", chosen, [["", "other times"], ...firstRanges], id => {
          if (!id) return;
          const next = firstRange(id, serverNow(), utc.value);
          put(next, secondRange(follows || "before", next, utc.value));
        })),
        range("Second range", ["from2", "to2"], choose("Range", follows, [["", "other times"], ...secondRanges], id => {
          if (!id) return;
          view.follows = id;
          if (first) put(first, secondRange(id, first, utc.value));
        })),
        typeof asked === "string" || fault ? h("p", { class: "error", role: "alert" }, typeof asked === "string" ? asked : fault) : null,
        view.stray ? h("a", { class: "clear", href: "#/compare" }, "Clear all") : null),
      first && second ? [
        card("Metrics", { id: "compared", class: "wide" }, null, shown ? figures(shown) : quiet(fault ? "" : "Loading…"),
          cautions(first, second, now).map(text => h("p", { key: text, class: "hint" }, text)), shown ? empty(shown) : null),
        plots.map(({ id, title, unit, write, pick }) => h(Plot, { key: id, id: `compare-${id}`, title, series: shown && seriesOf(shown, unit, write, pick) })),
      ] : null);
  }
}

function empty({ figures }: Shown): Child {
  return ["first", "second"].map((name, i) => figures[i]!.queued + figures[i]!.sent + figures[i]!.delivered === 0
    ? h("p", { key: name, class: "hint" }, `Nothing was queued, sent, or delivered in the ${name} range.`) : null);
}

// ───────────── metrics ─────────────

type Write = (value: number) => string;

const points: Write = value => `${figure(value * 100)} points`;
const length: Write = value => (value === 0 ? "0 s" : span(value));

/** The rows: a name, the metric of a range and the minutes it has lasted, how it is written, and how a difference is written. */
const rows: readonly (readonly [string, (f: Figures, minutes: number) => number | null, Write, Write])[] = [
  ["Queued", f => f.queued, count, count], ["Sent", f => f.sent, count, count], ["Sent per minute", (f, minutes) => f.sent / minutes, figure, figure],
  ["Delivered", f => f.delivered, count, count], ["Read", f => f.read, count, count], ["Failed", f => f.failed, count, count],
  ["Dead letters", f => f.deadLettered, count, count], ["Delivered of those sent", f => f.deliveryRate, percent, points],
  ["Error rate", f => f.errorRate, percent, points], ["Delivery p50", f => seconds(f.p50DeliveryLatency), length, length],
  ["Delivery p95", f => seconds(f.p95DeliveryLatency), length, length], ["Retried", f => f.retried, count, count],
  ["Throttled", f => f.throttled, count, count], ["Lost responses", f => f.ambiguous, count, count],
];

function figures({ at, first, second, figures: [a, b] }: Shown): VNode {
  const names = [zonedRange(first.from, first.to), zonedRange(second.from, second.to)] as const;
  return table({ class: "stack" }, `Metrics of ${names[0]} and of ${names[1]}`,
    [{ name: "Metric" }, { name: names[0], class: "number" }, { name: names[1], class: "number" }, { name: "Difference", class: "number" }],
    rows.map(([name, pick, write, writeDifference]) => {
      const now = pick(a, lasted(first, at) / 60_000), before = pick(b, lasted(second, at) / 60_000), written = (value: number | null): string => (value === null ? "–" : write(value));
      return h("tr", { key: name }, h("th", { scope: "row" }, name), cell(names[0], { class: "number" }, written(now)), cell(names[1], { class: "number" }, written(before)),
        cell("Difference", { class: "number" }, now === null || before === null ? "–" : difference(now, before, writeDifference, write !== percent)));
    }));
}

// ───────────── plots ─────────────

const perMinute: Write = value => `${figure(value)}/min`;

const plots: readonly { id: string; title: string; unit: string; write: Write; pick: (metrics: Metrics, minutes: number) => number | null }[] = [
  { id: "sent", title: "Sent", unit: "messages per minute", write: perMinute, pick: (m, minutes) => m.sent / minutes },
  { id: "delivered", title: "Delivered", unit: "messages per minute", write: perMinute, pick: (m, minutes) => m.delivered / minutes },
  { id: "failed", title: "Failed or dead letters", unit: "messages per minute", write: perMinute, pick: (m, minutes) => (m.failed + m.deadLettered) / minutes },
  { id: "latency", title: "Delivery p95", unit: "time from the call to the delivery", write: length, pick: m => seconds(m.p95DeliveryLatency) },
];

/** Draws the past steps of both ranges from the left, so that each is at the same distance from the start of its range. */
function seriesOf({ at, first, second, step, points: [a, b] }: Shown, unit: string, write: Write,
  pick: (metrics: Metrics, minutes: number) => number | null): Series {
  const length = Math.max(a.length, b.length, 1);
  const line = (name: string, look: string, from: number, values: Metrics[]) => ({ name, look,
    values: Array.from({ length }, (_, i) => (i < values.length && from + (i + 1) * step <= at ? pick(values[i]!, step / 60_000) : null)) });
  return { from: first.from, step, steps: length, unit, write, other: second.from,
    lines: [line("first", "s-sent", first.from, a), line("second", "s-before", second.from, b)] };
}
