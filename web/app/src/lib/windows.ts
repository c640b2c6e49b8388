// The windows of the plots. Pure functions.

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
