// Formats numbers, times, and durations. Pure functions.

const wholes = new Intl.NumberFormat("en");

export const count = (value: number): string => wholes.format(value);

/** Formats a number with its significant digits: 0.25, 4.2, 130. */
export function figure(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 0.01) return value.toPrecision(1);
  if (size < 1) return trimmed(value.toFixed(2));
  if (size < 100) return trimmed(value.toFixed(1));
  return count(Math.round(value));
}

const trimmed = (digits: string): string => digits.replace(/\.?0+$/, "");

/** Formats a difference with its sign, and as a percentage of the second value if share is set. */
export function difference(first: number, second: number, write: (value: number) => string, share = true): string {
  const change = first - second;
  if (change === 0) return "none";
  const sign = change > 0 ? "+" : "−";
  return `${sign}${write(Math.abs(change))}${share && second > 0 ? ` (${sign}${figure(Math.abs(change) / second * 100)}%)` : ""}`;
}

/** Formats a fraction between 0 and 1 as a percentage, or null as a dash. */
export function percent(share: number | null): string {
  if (share === null) return "–";
  const value = share * 100;
  if (value === 0 || value === 100) return `${value}%`;
  // 99.96% must not be shown as 100%.
  return value > 99.9 ? "> 99.9%" : value < 0.01 ? "< 0.01%" : `${trimmed(value.toFixed(value < 1 ? 2 : 1))}%`;
}

/** Returns the seconds of an ISO 8601 duration, or null if it is invalid. */
export function seconds(iso: string | null | undefined): number | null {
  const parts = /^(-?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(iso ?? "");
  if (!parts || iso === "P" || iso?.endsWith("T")) return null;
  const [w, d, h, m, s] = parts.slice(2).map(part => Number(part ?? 0)) as [number, number, number, number, number];
  return (parts[1] ? -1 : 1) * (w * 604_800 + d * 86_400 + h * 3600 + m * 60 + s);
}

/** Returns the ISO 8601 duration of a number of seconds. */
export const duration = (s: number): string => `PT${Number(s.toFixed(3))}S`;

/** Returns the seconds of a duration in a notation like 90, 5s, 1m30s, or 2 h, or null if it is invalid. */
export function parseSpan(text: string): number | null {
  const plain = text.trim().toLowerCase();
  if (/^\d+(\.\d+)?$/.test(plain)) return Number(plain);
  if (!/^(\d+(\.\d+)?\s*(s|sec|m|min|h|d)\s*)+$/.test(plain)) return null;
  const units: Record<string, number> = { s: 1, sec: 1, m: 60, min: 60, h: 3600, d: 86_400 };
  let sum = 0;
  for (const [, n, unit] of plain.matchAll(/(\d+(?:\.\d+)?)\s*(sec|min|s|m|h|d)/g)) sum += Number(n) * (units[unit!] ?? 0);
  return sum;
}

/** Returns the shortest notation that parseSpan accepts. */
export function spanInput(s: number): string {
  for (const [unit, size] of [["d", 86_400], ["h", 3600], ["min", 60]] as const) {
    if (s > 0 && s % size === 0) return `${s / size} ${unit}`;
  }
  return `${s} s`;
}

/** Formats a duration, rounded to its significant units. */
export function span(s: number | null): string {
  if (s === null) return "–";
  if (s < 0) s = 0;
  if (s > 0 && s < 0.9995) return `${Math.round(s * 1000)} ms`;
  if (s < 10) return `${trimmed(s.toFixed(1))} s`;
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return two(s, 60, "min", 1, "s");
  if (s < 86_400) return two(s, 3600, "h", 60, "min");
  return two(s, 86_400, "d", 3600, "h");
}

function two(s: number, size: number, unit: string, restSize: number, restUnit: string): string {
  const rest = Math.floor((s % size) / restSize);
  return `${Math.floor(s / size)} ${unit}${rest > 0 ? ` ${rest} ${restUnit}` : ""}`;
}

/** Formats an age in its largest unit, so that it rarely changes in lists. */
export function age(s: number): string {
  if (s < 60) return `${Math.max(0, Math.floor(s))} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

/** Returns the date and the time of day in the browser's time zone, or in UTC: 2026-12-01T10:20:30.123. */
const wallClock = (at: Date, utc: boolean): string => new Date(at.getTime() - (utc ? 0 : at.getTimezoneOffset() * 60_000)).toISOString().slice(0, 23);

const clockLengths = { minutes: 5, seconds: 8, milliseconds: 12 };

/** Formats a time of day in the browser's time zone, or in UTC, with the date if it is not today. */
export function clock(at: string | number | Date, now: number, digits: keyof typeof clockLengths = "milliseconds", utc = false): string {
  const [date, time] = wallClock(new Date(at), utc).split("T") as [string, string];
  const shown = time.slice(0, clockLengths[digits]);
  return wallClock(new Date(now), utc).startsWith(date) ? shown : `${date} ${shown}`;
}

/** Returns the name of an enum value as words. */
export const words = (name: string): string => name.toLowerCase().replaceAll("_", " ");

/** Returns the display name of a lane. */
export const laneName = (priority: string): string => (priority === "OTP" ? "OTP" : words(priority));

/** Returns the name of an event or a member as words: DeadLettered as Dead lettered. */
export const spaced = (name: string): string => sentence(name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase());

export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

/** Returns the end of an ID, which distinguishes it: IDs of the same minute have the same beginning (UUIDv7). */
export const shortId = (id: string): string => (id.length > 9 ? `…${id.slice(-8)}` : id);

/** Shows the characters that change the direction of the text around them, so that a quoted text stays in its quotes. */
export const visible = (text: string): string =>
  text.replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, c => `\u27e8U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`);

/** Returns the text of a datetime-local field for a time in ISO 8601, in the browser's time zone or in UTC. Empty if there is none. */
export function fieldTime(iso: string, utc = false): string {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? "" : wallClock(at, utc).slice(0, 19);
}

/** Returns the time in ISO 8601 for the text of a datetime-local field, or for a date. */
export function isoTime(field: string, utc = false): string {
  if (field === "") return "";
  const text = field.includes("T") ? field : `${field}T00:00`; // browsers differ in how they read a date with a time zone
  return new Date(utc ? `${text}Z` : text).toISOString();
}

/** Returns the time of a text in ISO 8601 in milliseconds, or null. Date.parse alone takes "campaign 12" for December 2001. */
export function momentOf(text: string): number | null {
  if (!/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/.test(text)) return null;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : at;
}

/** Writes rows as CSV. A cell that a spreadsheet would run as a formula gets an apostrophe. */
export const csv = (rows: readonly (readonly (string | number | null)[])[]): string => rows.map(row => row.map(cell => {
  const text = String(cell ?? "");
  return `"${(/^[=@\t\r]|^[+-](?![\d ]+$)/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
}).join(",")).join("\r\n");
