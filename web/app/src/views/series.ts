// The series of the overview's plots. It is loaded once and then extended step by step. Past steps are not loaded again,
// because they do not change, except the last ones, which a lagging read model may complete later.
import { signal } from "@preact/signals";
import { ask, serverNow } from "../api/client.ts";
import { Series as SeriesQuery, type SeriesData } from "../api/operations.ts";
import { duration } from "../lib/format.ts";
import { stepBounds, type Window } from "../lib/windows.ts";
import { poll } from "../state.ts";

export type Metrics = SeriesData["metricSeries"][number]["metrics"];

export interface Loaded { from: number; step: number; points: Metrics[] }

// The number of last steps that are loaded again.
const unsettledSteps = 2;

export class LiveSeries {
  private readonly data = signal<Loaded | null>(null);
  private readonly window: Window;
  private readonly senderId: string | null;
  private readonly before: number;
  private readonly end: () => void;

  /** Loads the series of the window that ends now, or that ended `before` milliseconds ago. */
  constructor(window: Window, senderId: string | null, before = 0) {
    this.window = window;
    this.senderId = senderId;
    this.before = before;
    this.end = poll(Math.min(window.step * 500, 15_000), () => this.load());
  }

  get loaded(): Loaded | null {
    return this.data.value;
  }

  stop(): void {
    this.end();
  }

  private async load(): Promise<void> {
    // A step is loaded a moment after its end, when the events at its end are counted.
    const { from, to } = stepBounds(serverNow() - 1500 - this.before, this.window);
    const step = this.window.step * 1000;
    // The browser's clock was ahead until the server's was known.
    if (this.data.value && this.data.value.from > from + step) this.data.value = null;
    const before = this.data.value;
    if (before && before.from + before.points.length * step >= to) return;
    const known = before ? before.from + Math.max(0, before.points.length - unsettledSteps) * step : from;
    const begin = Math.max(from, known);
    const { metricSeries } = await ask(SeriesQuery, {
      senderId: this.senderId, from: new Date(begin).toISOString(), to: new Date(to).toISOString(), step: duration(this.window.step),
    });
    const kept = before && known >= from ? before.points.slice(Math.max(0, (from - before.from) / step), (known - before.from) / step) : [];
    this.data.value = { from, step, points: [...kept, ...metricSeries.map(point => point.metrics)] };
  }
}
