// Plots of series over time, drawn by uPlot. The readout follows the pointer and the arrow keys, and every plot can be shown as a
// table.
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import UPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { serverNow } from "../api/client.ts";
import { h, type VNode } from "./h.ts";
import { card } from "./parts.ts";
import { shade } from "./theme.ts";
import { utc, zonedClock } from "./zone.ts";

export interface Line {
  name: string;
  /** Selects the color and the stroke in the style sheet. */
  look: string;
  /** One value per step. Null if there is none. */
  values: readonly (number | null)[];
}

export interface Series {
  from: number;
  step: number;
  steps: number;
  lines: readonly Line[];
  write: (value: number) => string;
  /** The unit of the axis, in words. */
  unit: string;
  /** A threshold to draw, such as that of an alert rule. */
  bound?: { at: number; name: string } | null;
  /** The start of another range whose lines are drawn at the same distance from its start. */
  other?: number;
  /** The times of alerts, drawn as bands. */
  marks?: readonly Mark[];
}

/** A time that is marked, such as that of an alert, in milliseconds. It lasts until now if it has no end. */
export interface Mark { from: number; to: number | null; name: string; critical: boolean }

const height = 208;

/** A card with a plot. */
export function Plot({ id, title, series }: { id: string; title: string; series: Series | null }): VNode {
  const at = useSignal<number | null>(null), hidden = useSignal<ReadonlySet<string>>(new Set()), asTable = useSignal(false);
  const read = series === null || at.value === null ? null : Math.min(at.value, series.steps - 1);
  const toggle = (name: string): void => {
    const next = new Set(hidden.value);
    if (!next.delete(name)) next.add(name);
    hidden.value = next;
  };
  return card(title, { id }, [
    h("span", { class: "plot-time" }, series === null ? "" : read === null ? "latest" : stepName(series, read)),
    series && read !== null && marked(series, read).length > 0 ? h("span", { class: "chip", "data-tone": "bad" }, marked(series, read).join(", ")) : null,
    h("button", { type: "button", class: "plain small", "aria-pressed": String(asTable.value), onclick: () => { asTable.value = !asTable.value; } },
      "Table"),
  ], h("figure", { class: "plot", "aria-label": title },
    h("div", { class: "legend" }, (series?.lines ?? []).map(line => {
      const shown = !hidden.value.has(line.name), value = line.values[read ?? line.values.length - 1] ?? null;
      return h("button", {
        type: "button", key: line.name, class: "legend-item", "aria-pressed": String(shown),
        title: shown ? `Hide ${line.name}` : `Show ${line.name}`, onclick: () => toggle(line.name),
      },
      h("svg", { class: "swatch", width: 18, height: 8, "aria-hidden": "true" }, h("path", { class: `line ${line.look}`, d: "M0 4h18" })),
      h("span", null, line.name), h("output", null, value === null ? "–" : series!.write(value)));
    })),
    asTable.value && series ? table(title, series)
      : h(Drawing, { title, series, hidden: hidden.value, at: read, read: step => { at.value = step; } })));
}

interface Drawn { title: string; series: Series | null; hidden: ReadonlySet<string>; at: number | null; read: (step: number | null) => void }

function Drawing({ title, series, hidden, at, read }: Drawn): VNode {
  const box = useRef<HTMLElement>(null), plot = useRef<UPlot | null>(null), latest = useRef(series);
  if (series) latest.current = series; // uPlot draws in a later task, when there may be none again
  const names = series?.lines.map(line => line.name).join() ?? "";

  useLayoutEffect(() => {
    if (!series) return;
    const drawn = plot.current = new UPlot(optionsOf(box.current!, () => latest.current!, read), dataOf(series), box.current!);
    const observer = new ResizeObserver(([entry]) => drawn.setSize({ width: Math.round(entry!.contentRect.width), height }));
    observer.observe(box.current!);
    return () => {
      observer.disconnect();
      drawn.destroy();
      plot.current = null;
    };
  }, [names, utc.value]);
  useEffect(() => { if (series) plot.current?.setData(dataOf(series)); }, [series]);
  useEffect(() => series?.lines.forEach((line, i) => plot.current?.setSeries(i + 1, { show: !hidden.has(line.name) })), [names, hidden, utc.value]);
  useEffect(() => plot.current?.redraw(false, true), [shade.value, utc.value]); // the colors and times of the canvas
  useEffect(() => {
    const drawn = plot.current;
    if (!drawn || !series) return;
    const left = at === null ? -10 : drawn.valToPos(drawn.data[0][at]!, "x");
    if (drawn.cursor.idx !== at) drawn.setCursor({ left, top: 0 }, false);
  }, [at, series]);

  const key = (event: KeyboardEvent): void => {
    if (!series) return;
    const last = series.steps - 1, from = at ?? last + (event.key === "ArrowLeft" ? 1 : 0);
    const next = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last, PageUp: from - 10, PageDown: from + 10 }[event.key];
    if (event.key === "Escape") read(null);
    if (next === undefined) return;
    event.preventDefault();
    read(Math.max(0, Math.min(last, next)));
  };
  return h("div", {
    class: "drawing", tabindex: 0, role: "group", "aria-roledescription": "plot", onkeydown: key, onblur: () => read(null),
    "aria-label": `${title}. ${series?.unit ?? ""}. Use the arrow keys to read its steps.`,
  },
  h("div", { class: "canvas", ref: box as never, "aria-hidden": "true" }),
  h("p", { class: "unseen", role: "status" }, series && at !== null ? spoken(series, at) : ""),
  series ? null : h("p", { class: "quiet centred" }, "Loading…"));
}

/** Returns the middles of the steps in seconds, and the values of each line. */
const dataOf = ({ from, step, steps, lines }: Series): UPlot.AlignedData =>
  [Array.from({ length: steps }, (_, i) => (from + (i + 0.5) * step) / 1000), ...lines.map(line => line.values as (number | null)[])];

function optionsOf(box: HTMLElement, series: () => Series, read: (step: number | null) => void): UPlot.Options {
  const color = (part: "color" | "borderTopColor" | "outlineColor") => () => getComputedStyle(box)[part];
  const font = "11px system-ui, sans-serif";
  const axis = { stroke: color("color"), font, ticks: { stroke: color("borderTopColor"), width: 1, size: 4 } };
  return {
    width: box.clientWidth, height, legend: { show: false }, ...(utc.value ? { tzDate: (s: number) => UPlot.tzDate(new Date(s * 1000), "Etc/UTC") } : {}), padding: [10, 10, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: { x: { range: () => [series().from / 1000, (series().from + series().steps * series().step) / 1000] },
      y: { range: (_, __, most) => [0, most > 0 ? most * 1.05 : 1] } },
    axes: [
      { ...axis, size: 24, grid: { show: false }, values: (_, ticks) => ticks.map(tick => tickName(tick * 1000, series())) },
      { ...axis, size: 56, grid: { stroke: color("borderTopColor"), width: 1 }, values: (_, ticks) => ticks.map(tick => series().write(tick)) },
    ],
    series: [{}, ...series().lines.map(({ name, look }) => {
      const swatch = (): CSSStyleDeclaration => getComputedStyle(box.closest("figure")!.querySelector(`.swatch .${look}`)!);
      return {
        label: name, width: 1.75, stroke: () => swatch().stroke, dash: swatch().strokeDasharray.split(",").map(parseFloat).filter(Number.isFinite),
        points: { size: 4, fill: () => swatch().stroke, filter: alone },
      };
    })],
    hooks: {
      setCursor: [({ cursor: { idx } }) => read(idx ?? null)],
      drawClear: [plot => drawMarks(plot, series(), color("outlineColor")())],
      draw: [plot => drawBound(plot, series(), color("outlineColor")())],
    },
  };
}

/** Returns the steps whose neighbors have no value: no line shows them. */
function alone(plot: UPlot, line: number): number[] {
  const values = plot.data[line]!;
  return [...values.keys()].filter(i => values[i] != null && values[i - 1] == null && values[i + 1] == null);
}

function drawMarks({ ctx, bbox, valToPos, scales }: UPlot, { marks }: Series, color: string): void {
  const { min, max } = scales.x!;
  ctx.save();
  ctx.fillStyle = color;
  for (const { from, to, critical } of marks ?? []) {
    const left = valToPos(Math.max(from / 1000, min!), "x", true), right = valToPos(Math.min(to === null ? Infinity : to / 1000, max!), "x", true);
    if (right < left) continue; // outside the plot
    ctx.globalAlpha = critical ? 0.16 : 0.08;
    ctx.fillRect(left, bbox.top, Math.max(right - left, 2 * devicePixelRatio), bbox.height);
    ctx.globalAlpha = 0.9;
    ctx.fillRect(left, bbox.top, 1.5 * devicePixelRatio, bbox.height);
  }
  ctx.restore();
}

function drawBound({ ctx, bbox, valToPos, scales }: UPlot, { bound }: Series, color: string): void {
  if (!bound || bound.at > scales.y!.max!) return;
  const y = Math.round(valToPos(bound.at, "y", true)) + 0.5;
  ctx.save();
  Object.assign(ctx, { strokeStyle: color, fillStyle: color, textAlign: "right", font: `${11 * devicePixelRatio}px system-ui, sans-serif` });
  ctx.setLineDash([6, 4]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.fillText(bound.name, bbox.left + bbox.width, y - 5 * devicePixelRatio);
  ctx.restore();
}

function stepName({ from, step, other }: Series, i: number): string {
  const now = serverNow(), digits = step < 60_000 ? "seconds" : "minutes";
  const name = (start: number): string =>
    `${zonedClock(start + i * step, now, digits)} – ${zonedClock(start + (i + 1) * step, now, digits).slice(-(digits === "seconds" ? 8 : 5))}`;
  return other === undefined ? name(from) : `${name(from)}, with ${name(other)}`;
}

/** Returns the names of what is marked in a step. */
const marked = ({ from, step, marks = [] }: Series, i: number): string[] =>
  marks.filter(mark => mark.from < from + (i + 1) * step && (mark.to ?? Infinity) >= from + i * step).map(({ name }) => name);

const spoken = (series: Series, i: number): string =>
  `${stepName(series, i)}: ${series.lines.map(line => `${line.name} ${written(series, line, i)}`).join(", ")}${marked(series, i).map(name => `. Alert: ${name}`).join("")}`;

function table(title: string, series: Series): VNode {
  const rows: VNode[] = [];
  for (let i = series.steps - 1; i >= 0; i--) {
    rows.push(h("tr", { key: series.from + i * series.step }, h("th", { scope: "row" }, stepName(series, i)),
      series.lines.map(line => h("td", { class: "number", key: line.name }, written(series, line, i)))));
  }
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${title}, as a table` },
    h("table", null,
      h("caption", { class: "unseen" }, `${title}, ${series.unit}, newest first`),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Step"),
        series.lines.map(line => h("th", { scope: "col", class: "number", key: line.name }, line.name)))),
      h("tbody", null, rows)));
}

function written(series: Series, line: Line, i: number): string {
  const value = line.values[i];
  return value === null || value === undefined ? "–" : series.write(value);
}

function tickName(at: number, { steps, step }: Series): string {
  const length = steps * step;
  if (length > 172_800_000) return zonedClock(at, 0, "minutes").slice(5);
  return zonedClock(at, at, length < 600_000 ? "seconds" : "minutes");
}
