// Computes the positions of the lines and labels of a plot. Pure functions.

/** Returns about `wanted` round values from 0 to at least top. */
export function valueTicks(top: number, wanted: number): number[] {
  if (!(top > 0)) return [0, 1];
  const rough = top / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find(factor => factor * power >= rough * (1 - 1e-9)) ?? 10);
  const ticks = Array.from({ length: Math.ceil(top / step - 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(12)));
  return ticks;
}

const timeSteps = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800];

/** Returns at most `wanted` round times in (from, to), in milliseconds. offset is that of the time zone in minutes, as in Date. */
export function timeTicks(from: number, to: number, wanted: number, offset: number): number[] {
  const shift = offset * 60_000;
  const step = 1000 * (timeSteps.find(s => (to - from) / (s * 1000) <= wanted) ?? timeSteps.at(-1)!);
  const ticks: number[] = [];
  for (let t = Math.ceil((from - shift) / step) * step + shift; t <= to; t += step) ticks.push(t);
  return ticks;
}

export interface Point { x: number; y: number | null }

/** Returns an SVG path through the points. The line is broken where y is null. A single point is a short stroke, so that it is visible. */
export function linePath(points: readonly Point[]): string {
  let path = "", drawing = false;
  points.forEach(({ x, y }, i) => {
    if (y === null) {
      drawing = false;
      return;
    }
    const at = `${round(x)} ${round(y)}`;
    if (drawing) path += `L${at}`;
    else path += points[i + 1]?.y == null ? `M${at}h1.5` : `M${at}`;
    drawing = true;
  });
  return path;
}

const round = (n: number): number => Math.round(n * 10) / 10;

/** The available windows, each with a step that results in 60 to 170 points. Steps below a minute are available only for 3 h. */
export const windows = [
  { id: "5m", name: "5 min", seconds: 300, step: 5 },
  { id: "15m", name: "15 min", seconds: 900, step: 10 },
  { id: "1h", name: "1 h", seconds: 3600, step: 30 },
  { id: "6h", name: "6 h", seconds: 21_600, step: 180 },
  { id: "24h", name: "24 h", seconds: 86_400, step: 600 },
  { id: "7d", name: "7 d", seconds: 604_800, step: 3600 },
] as const;

export type Window = (typeof windows)[number];

/** Returns the bounds of a series with steps at round times: the start of its first step and the end of its last complete one. */
export function stepBounds(now: number, window: { seconds: number; step: number }): { from: number; to: number } {
  const step = window.step * 1000;
  const to = Math.floor(now / step) * step;
  return { from: to - window.seconds * 1000, to };
}
