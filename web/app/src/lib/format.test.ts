import assert from "node:assert/strict";
import { test } from "node:test";
import { age, clock, count, difference, duration, figure, parseSpan, percent, seconds, shortId, span, spanInput, csv, isoTime, fieldTime, visible } from "./format.ts";

test("durations of the API are parsed", () => {
  for (const [iso, want] of [["PT5S", 5], ["PT1M30S", 90], ["P1D", 86_400], ["P1DT2H", 93_600], ["PT0.25S", 0.25], ["-PT3S", -3],
    ["PT0S", 0],
    ["P", null], ["PT", null], ["5s", null], [null, null]] as const) assert.equal(seconds(iso), want, String(iso));
});

test("durations are formatted as the API accepts them", () => {
  for (const s of [0, 5, 90, 0.25, 86_400]) assert.equal(seconds(duration(s)), s);
});

test("durations that people write are parsed, and formatted so that they can be parsed again", () => {
  for (const [text, want] of [["90", 90], ["5s", 5], ["1m30s", 90], ["2 h", 7200], ["1 h 5 min", 3900], ["soon", null], ["5 parsecs", null],
    ["", null]] as const) {
    assert.equal(parseSpan(text), want, text);
  }
  for (const s of [0, 1, 59, 60, 90, 3600, 5400, 86_400]) assert.equal(parseSpan(spanInput(s)), s, spanInput(s));
});

test("durations are rounded to their significant units", () => {
  for (const [s, want] of [[null, "–"], [0, "0 s"], [0.0432, "43 ms"], [1.449, "1.4 s"], [59.9, "59 s"], [60, "1 min"], [61, "1 min 1 s"],
    [3600, "1 h"], [90_061, "1 d 1 h"], [-2, "0 s"]] as const) {
    assert.equal(span(s), want);
  }
  assert.deepEqual([0.4, 61, 7200, 200_000].map(age), ["0 s", "1 min", "2 h", "2 d"]);
});

test("numbers have their significant digits", () => {
  assert.deepEqual([0, 0.0044, 0.2, 4.26, 5, 99.96, 130.4, 12_345].map(figure), ["0", "0.004", "0.2", "4.3", "5", "100", "130", "12,345"]);
  assert.equal(count(1_234_567), "1,234,567");
});

test("differences have a sign", () => {
  assert.equal(difference(12, 10, count), "+2 (+20%)");
  assert.equal(difference(0, 3, count), "−3 (−100%)");
  assert.equal(difference(3, 0, count), "+3");
  assert.equal(difference(0.5, 0.25, percent, false), "+25%");
  assert.equal(difference(4, 4, count), "none");
});

test("a fraction that is nearly 0 or 1 is not shown as 0% or 100%", () => {
  assert.deepEqual([null, 0, 1, 0.9996, 0.00001, 0.02, 0.0054, 0.5].map(percent),
    ["–", "0%", "100%", "> 99.9%", "< 0.01%", "2%", "0.54%", "50%"]);
});

test("a time on another day is shown with its date", () => {
  const at = new Date(2026, 10, 27, 9, 5, 3, 42);
  assert.equal(clock(at, at.getTime()), "09:05:03.042");
  assert.equal(clock(at, at.getTime(), "minutes"), "09:05");
  assert.equal(clock(at, at.getTime() + 86_400_000, "seconds"), "2026-11-27 09:05:03");
});

test("IDs are distinguished by their ends", () => {
  assert.equal(shortId("01a21be7-01fe-76ec-97b1-191ae550fddb"), "…e550fddb");
  assert.equal(shortId("short"), "short");
});

test("characters that turn the direction of the text are shown", () => {
  assert.equal(visible("a\u202Eb\u2069"), "a\u27e8U+202E\u27e9b\u27e8U+2069\u27e9");
  assert.equal(visible("\u0633\u0644\u0627\u0645"), "\u0633\u0644\u0627\u0645");
});

test("CSV is quoted, and runs nothing", () => {
  assert.equal(csv([["a", 'b"c', null, 5], ["=1+1", "+14155550101", "+cmd|x", "-2"]]), '"a","b""c","","5"\r\n"\'=1+1","+14155550101","\'+cmd|x","-2"');
});

test("times in fields are converted both ways", () => {
  assert.equal(isoTime(fieldTime("2026-12-01T10:20:30.000Z")), "2026-12-01T10:20:30.000Z");
  assert.equal(fieldTime("x"), "");
  assert.equal(fieldTime("2026-12-01T10:20:30.000Z", true), "2026-12-01T10:20:30");
  assert.equal(isoTime("2026-12-01T10:20:30", true), "2026-12-01T10:20:30.000Z");
  assert.equal(isoTime("2026-12-01", true), "2026-12-01T00:00:00.000Z");
  assert.equal(isoTime("2026-12-01"), new Date(2026, 11, 1).toISOString());
});
