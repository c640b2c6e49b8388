// The time zone that times are shown and entered in: the browser's, or UTC. This browser remembers it.
import { signal } from "@preact/signals";
import { clock, fieldTime, isoTime } from "../lib/format.ts";
import { keep, recall } from "../storage.ts";

const kept = "zone";

/** Whether times are in UTC. */
export const utc = signal(recall("localStorage", kept) === "UTC");

export function setUtc(next: boolean): void {
  utc.value = next;
  keep("localStorage", kept, next ? "UTC" : null);
}

type Digits = "minutes" | "seconds" | "milliseconds";

/** Formats a time of day in the chosen time zone, with the date if it is not today. */
export const zonedClock = (at: string | number, now: number, digits?: Digits): string => clock(at, now, digits, utc.value);

/** Formats a time range with the day of the week: Tue 2026-12-01 10:00 – 11:00. */
export function zonedRange(from: number, to: number): string {
  const weekday = new Intl.DateTimeFormat("en", { weekday: "short", ...(utc.value ? { timeZone: "UTC" } : {}) });
  return `${weekday.format(from)} ${zonedClock(from, 0, "minutes")} – ${zonedClock(to, from, "minutes")}`;
}

/** Returns the text of a datetime-local field for a time, and the other way round. */
export const toField = (iso: string): string => fieldTime(iso, utc.value);
export const fromField = (text: string): string => isoTime(text, utc.value);
