// Plots of series over time, drawn as SVG. The readout follows the pointer and the arrow keys, and every plot can be shown as a
// table.
import { clock } from "../lib/format.ts";
import { linePath, timeTicks, valueTicks } from "../lib/scale.ts";
import { refresh } from "../state.ts";
import { serverNow } from "../api/client.ts";
import { h, type VNode } from "./dom.ts";

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
}

const height = 208;
const edge = { top: 10, right: 10, bottom: 24, left: 56 };

export class Plot {
  private readonly title: string;
  private width = 640;
  private at: number | null = null;
  private readonly hidden = new Set<string>();
  private asTable = false;

  constructor(title: string) {
    this.title = title;
  }

  /** The tools to the right of the heading: the current step, and the button for the table. */
  tools(series: Series | null): VNode[] {
    return [
      h("span", { class: "plot-time" }, series === null ? "" : this.at === null ? "latest"
        : this.stepName(series, Math.min(this.at, series.steps - 1))),
      h("button", {
        type: "button", class: "plain small", "aria-pressed": String(this.asTable),
        onclick: () => {
          this.asTable = !this.asTable;
          refresh();
        },
      }, "Table"),
    ];
  }

  render(series: Series | null): VNode {
    return h("figure", { class: "plot", "aria-label": this.title },
      this.legend(series),
      this.asTable && series ? this.table(series) : this.drawing(series));
  }

  private measure = (node: HTMLElement): void => {
    new ResizeObserver(([entry]) => {
      const width = Math.round(entry!.contentRect.width);
      if (width > 0 && width !== this.width) {
        this.width = width;
        refresh();
      }
    }).observe(node);
  };

  private legend(series: Series | null): VNode {
    const at = this.at === null ? null : Math.min(this.at, (series?.steps ?? 1) - 1);
    return h("div", { class: "legend" },
      (series?.lines ?? []).map(line => {
        const shown = !this.hidden.has(line.name);
        const value = line.values[at ?? line.values.length - 1] ?? null;
        return h("button", {
          type: "button", key: line.name, class: "legend-item", "aria-pressed": String(shown), title: shown ? `Hide ${line.name}`
            : `Show ${line.name}`,
          onclick: () => {
            if (shown) this.hidden.add(line.name);
            else this.hidden.delete(line.name);
            refresh();
          },
        },
        h("svg", { class: "swatch", width: 18, height: 8, "aria-hidden": "true" }, h("path", { class: `line ${line.look}`, d: "M0 4h18" })),
        h("span", null, line.name), h("output", null, value === null ? "–" : series!.write(value)));
      }));
  }

  private stepName({ from, step }: Series, i: number): string {
    const now = serverNow(), digits = step < 60_000 ? "seconds" : "minutes";
    return `${clock(from + i * step, now, digits)} – ${clock(from + (i + 1) * step, now, digits).slice(-(digits === "seconds" ? 8 : 5))}`;
  }

  private drawing(series: Series | null): VNode {
    const right = this.width - edge.right, bottom = height - edge.bottom;
    const parts: VNode[] = [];
    if (series) {
      const shown = series.lines.filter(line => !this.hidden.has(line.name));
      const most = Math.max(...shown.flatMap(line => line.values.map(value => value ?? 0)), 0);
      const ticks = valueTicks(most > 0 ? most : 1, 4), top = ticks.at(-1)!;
      const to = series.from + series.steps * series.step;
      const x = (t: number): number => edge.left + (t - series.from) / (to - series.from) * (right - edge.left);
      const y = (v: number): number => bottom - v / top * (bottom - edge.top);
      for (const tick of ticks) {
        parts.push(h("path", { key: `y${tick}`, class: tick === 0 ? "axis" : "grid",
          d: `M${edge.left} ${Math.round(y(tick)) + .5}H${right}` }),
          h("text", { key: `yt${tick}`, class: "tick", x: edge.left - 8, y: Math.round(y(tick)) + 4, "text-anchor": "end" },
            series.write(tick)));
      }
      for (const tick of timeTicks(series.from, to, Math.max(2, Math.floor((right - edge.left) / 90)), new Date(to).getTimezoneOffset())) {
        const at = Math.round(x(tick)) + .5;
        if (at > right - 12) continue;
        parts.push(h("path", { key: `x${tick}`, class: "axis", d: `M${at} ${bottom}v4` }),
          h("text", { key: `xt${tick}`, class: "tick", x: at, y: bottom + 17, "text-anchor": "middle" }, tickName(tick, to - series.from)));
      }
      if (series.bound && series.bound.at <= top) {
        const at = Math.round(y(series.bound.at)) + .5;
        parts.push(h("path", { key: "bound", class: "bound", d: `M${edge.left} ${at}H${right}` }),
          h("text", { key: "boundt", class: "bound-name", x: right, y: at - 5, "text-anchor": "end" }, series.bound.name));
      }
      for (const line of shown) {
        const points = line.values.map((value, i) => ({ x: x(series.from + (i + .5) * series.step), y: value === null ? null : y(value) }));
        parts.push(h("path", { key: `l${line.name}`, class: `line ${line.look}`, d: linePath(points) }));
      }
      if (this.at !== null) {
        const i = Math.min(this.at, series.steps - 1), at = x(series.from + (i + .5) * series.step);
        parts.push(h("path", { key: "cross", class: "cross", d: `M${at.toFixed(1)} ${edge.top}V${bottom}` }));
        for (const line of shown) {
          const value = line.values[i];
          if (value !== null && value !== undefined) parts.push(h("circle",
            { key: `c${line.name}`, class: `dot ${line.look}`, cx: at.toFixed(1), cy: y(value).toFixed(1), r: 3.5 }));
        }
      }
    }
    const move = (event: PointerEvent): void => {
      if (!series) return;
      const box = (event.currentTarget as Element).getBoundingClientRect();
      const i = Math.floor((event.clientX - box.left - edge.left) / (right - edge.left) * series.steps);
      this.read(Math.max(0, Math.min(series.steps - 1, i)));
    };
    return h("div", {
      class: "drawing", key: "drawing", tabindex: 0, role: "group", "aria-roledescription": "plot", ref: this.measure,
      "aria-label": `${this.title}. ${series?.unit ?? ""}. Use the arrow keys to read its steps.`,
      onpointermove: move, onpointerdown: move, onpointerleave: () => this.read(null), onblur: () => this.read(null),
      onkeydown: (event: KeyboardEvent) => this.key(event, series),
    },
    h("svg", { width: this.width, height, viewBox: `0 0 ${this.width} ${height}`, "aria-hidden": "true" }, parts),
    h("p", { class: "unseen", role: "status" }, series && this.at !== null ? this.spoken(series) : ""),
    series ? null : h("p", { class: "quiet centred" }, "Loading…"));
  }

  private spoken(series: Series): string {
    const i = Math.min(this.at!, series.steps - 1);
    return `${this.stepName(series, i)}: ${series.lines.map(line => `${line.name} ${written(series, line, i)}`).join(", ")}`;
  }

  private read(i: number | null): void {
    if (this.at === i) return;
    this.at = i;
    refresh();
  }

  private key(event: KeyboardEvent, series: Series | null): void {
    if (!series) return;
    const last = series.steps - 1, at = this.at ?? last + (event.key === "ArrowLeft" ? 1 : 0);
    const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last, PageUp: at - 10, PageDown: at + 10 }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      this.read(Math.max(0, Math.min(last, next)));
    } else if (event.key === "Escape") {
      this.read(null);
    }
  }

  private table(series: Series): VNode {
    const rows: VNode[] = [];
    for (let i = series.steps - 1; i >= 0; i--) {
      rows.push(h("tr", { key: series.from + i * series.step }, h("th", { scope: "row" }, this.stepName(series, i)),
        series.lines.map(line => h("td", { class: "number", key: line.name }, written(series, line, i)))));
    }
    return h("div", { class: "scroll", key: "table", tabindex: 0, role: "region", "aria-label": `${this.title}, as a table` },
      h("table", null, h("caption", { class: "unseen" }, `${this.title}, ${series.unit}, newest first`),
        h("thead", null, h("tr", null, h("th", { scope: "col" }, "Step"),
          series.lines.map(line => h("th", { scope: "col", class: "number", key: line.name }, line.name)))),
        h("tbody", null, rows)));
  }
}

function written(series: Series, line: Line, i: number): string {
  const value = line.values[i];
  return value === null || value === undefined ? "–" : series.write(value);
}

function tickName(at: number, length: number): string {
  const date = new Date(at);
  if (length > 172_800_000) return `${date.getMonth() + 1}/${date.getDate()} ${String(date.getHours()).padStart(2, "0")}:00`;
  return clock(at, at, length < 600_000 ? "seconds" : "minutes");
}
