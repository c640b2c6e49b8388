// Two time ranges to compare. Pure functions; times are in milliseconds.
import { momentOf } from "./format.ts";

export interface Range { from: number; to: number }

const minute = 60_000, day = 86_400_000;
const longest = 31 * day; // the server's limit of a series

/** The steps of plots in minutes. Each divides the lengths that are usual. */
const steps = [1, 2, 3, 5, 10, 15, 30, 60, 180, 360];
const mostSteps = 300;

/** Parses a range, or returns why it is invalid. name is "first" or "second". */
export function readRange(name: string, from: string, to: string, now: number): Range | string {
  const range = { from: momentOf(from) ?? NaN, to: momentOf(to) ?? NaN };
  for (const [end, text] of [["start", from], ["end", to]] as const) {
    if (text === "") return `The ${name} range has no ${end}. Enter one.`;
    if (momentOf(text) === null) return `The ${end} of the ${name} range, “${text}”, is not a time.`;
  }
  if (range.to <= range.from) return `The ${name} range ends ${range.to < range.from ? "before" : "when"} it starts.`;
  if (range.from >= now) return `The ${name} range starts in the future.`;
  if (range.to - range.from > longest) return `The ${name} range is longer than 31 days.`;
  if (range.from % minute !== 0 || range.to % minute !== 0) {
    return `The ${name} range must start and end at a full minute, because metrics are kept by the minute.`;
  }
  return range;
}

/** Returns the same time of day some days later, or earlier if days is negative. */
function shifted(at: number, days: number, utc: boolean): number {
  const date = new Date(at);
  if (utc) date.setUTCDate(date.getUTCDate() + days);
  else date.setDate(date.getDate() + days);
  return date.getTime();
}

const midnight = (at: number, utc: boolean): number => (utc ? Math.floor(at / day) * day : new Date(at).setHours(0, 0, 0, 0));

/** The proposals for the first range. */
export const firstRanges = [["hour", "the last hour"], ["today", "today"], ["yesterday", "yesterday"], ["week", "the last 7 days"]] as const;

export function firstRange(id: string, now: number, utc: boolean): Range {
  const to = Math.floor(now / minute) * minute, today = midnight(now, utc);
  switch (id) {
    case "today": return { from: today, to: Math.max(to, today + minute) };
    case "yesterday": return { from: shifted(today, -1, utc), to: today };
    case "week": return { from: to - 7 * day, to };
    default: return { from: to - 60 * minute, to };
  }
}

/** The proposals for the second range, which follow from the first. */
export const secondRanges = [["before", "the period before"], ["day", "a day earlier"], ["week", "a week earlier"]] as const;

export function secondRange(id: string, { from, to }: Range, utc: boolean): Range {
  if (id === "before") return { from: from - (to - from), to: from };
  const days = id === "day" ? -1 : -7;
  return { from: shifted(from, days, utc), to: shifted(to, days, utc) };
}

/**
 * Returns the proposal that the second range is, or an empty text. Several can be the same range: the period before a day is a day earlier.
 * chosen takes precedence.
 */
export const proposed = (first: Range, second: Range, utc: boolean, chosen = ""): string =>
  [chosen, ...secondRanges.map(([id]) => id)].find(id => {
    const { from, to } = secondRange(id, first, utc);
    return id && from === second.from && to === second.to;
  }) ?? "";

/** Returns how long a range has lasted until now. */
export const lasted = ({ from, to }: Range, now: number): number => Math.min(to, now) - from;

/** Returns the step of the plots of both ranges, in milliseconds. */
export function stepOf(...ranges: readonly Range[]): number {
  const longer = Math.max(...ranges.map(({ from, to }) => to - from));
  return minute * (steps.find(step => longer / (step * minute) <= mostSteps) ?? steps.at(-1)!);
}

/** Returns warnings about comparing the two ranges. */
export function cautions(first: Range, second: Range, now: number): string[] {
  const found: string[] = [];
  for (const [name, range] of [["first", first], ["second", second]] as const) {
    if (range.to > now) found.push(`The ${name} range has not ended, so its metrics cover only the time until now.`);
  }
  const lengths = [lasted(first, now), lasted(second, now)], step = stepOf(first, second);
  if (lengths[0] !== lengths[1]) found.push("The ranges differ in length. Compare the rates, not the counts.");
  if (Math.max(first.from, second.from) < Math.min(first.to, second.to)) found.push("The ranges overlap, so some messages are counted in both.");
  if (lengths.some(length => length % step !== 0)) found.push("The plots omit the last step of a range if it is incomplete. The metrics don't.");
  return found;
}
