// How figures, times and lengths of time are written. Pure functions.

const wholes = new Intl.NumberFormat("en");

export const count = (value: number): string => wholes.format(value);

/** A figure with as many digits as tell something: 0.25, 4.2, 130. */
export function figure(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 0.01) return value.toPrecision(1);
  if (size < 1) return trimmed(value.toFixed(2));
  if (size < 100) return trimmed(value.toFixed(1));
  return count(Math.round(value));
}

const trimmed = (digits: string): string => digits.replace(/\.?0+$/, "");

/** A share between 0 and 1 in percent; null is a dash. */
export function percent(share: number | null): string {
  if (share === null) return "–";
  const value = share * 100;
  if (value === 0 || value === 100) return `${value} %`;
  // 99.96 % must not read as all of them.
  return value > 99.9 ? "> 99.9 %" : value < 0.01 ? "< 0.01 %" : `${trimmed(value.toFixed(value < 1 ? 2 : 1))} %`;
}

/** Seconds of an ISO 8601 duration, or null. */
export function seconds(iso: string | null | undefined): number | null {
  const parts = /^(-?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(iso ?? "");
  if (!parts || iso === "P" || iso?.endsWith("T")) return null;
  const [w, d, h, m, s] = parts.slice(2).map(part => Number(part ?? 0)) as [number, number, number, number, number];
  return (parts[1] ? -1 : 1) * (w * 604_800 + d * 86_400 + h * 3600 + m * 60 + s);
}

/** An ISO 8601 duration of seconds. */
export const duration = (s: number): string => `PT${Number(s.toFixed(3))}S`;

/** Seconds of a length of time as people write it: 90, 5s, 1m30s, 2 h; null if it is none. */
export function parseSpan(text: string): number | null {
  const plain = text.trim().toLowerCase();
  if (/^\d+(\.\d+)?$/.test(plain)) return Number(plain);
  if (!/^(\d+(\.\d+)?\s*(s|sec|m|min|h|d)\s*)+$/.test(plain)) return null;
  const units: Record<string, number> = { s: 1, sec: 1, m: 60, min: 60, h: 3600, d: 86_400 };
  let sum = 0;
  for (const [, n, unit] of plain.matchAll(/(\d+(?:\.\d+)?)\s*(sec|min|s|m|h|d)/g)) sum += Number(n) * (units[unit!] ?? 0);
  return sum;
}

/** The shortest writing that parseSpan reads back. */
export function spanInput(s: number): string {
  for (const [unit, size] of [["d", 86_400], ["h", 3600], ["min", 60]] as const) {
    if (s > 0 && s % size === 0) return `${s / size} ${unit}`;
  }
  return `${s} s`;
}

/** A length of time in words, rounded to what matters. */
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

/** An age in its greatest unit: it changes seldom, so that lists stay calm. */
export function age(s: number): string {
  if (s < 60) return `${Math.max(0, Math.floor(s))} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

const two2 = (n: number): string => String(n).padStart(2, "0");

const day = (date: Date): string => `${date.getFullYear()}-${two2(date.getMonth() + 1)}-${two2(date.getDate())}`;

/** A time of day in the browser's zone, with the day if it is another than that of now. */
export function clock(at: string | number | Date, now: number, digits: "minutes" | "seconds" | "milliseconds" = "milliseconds"): string {
  const date = new Date(at);
  let time = `${two2(date.getHours())}:${two2(date.getMinutes())}`;
  if (digits !== "minutes") time += `:${two2(date.getSeconds())}`;
  if (digits === "milliseconds") time += `.${String(date.getMilliseconds()).padStart(3, "0")}`;
  return day(date) === day(new Date(now)) ? time : `${day(date)} ${time}`;
}

/** An enum's name in words. */
export const words = (name: string): string => name.toLowerCase().replaceAll("_", " ");

/** What people call a lane. */
export const laneName = (priority: string): string => (priority === "OTP" ? "OTP" : words(priority));

export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

/** The end tells ids apart: those of one minute begin alike (UUIDv7). */
export const shortId = (id: string): string => (id.length > 9 ? `…${id.slice(-8)}` : id);
