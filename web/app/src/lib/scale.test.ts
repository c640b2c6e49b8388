import assert from "node:assert/strict";
import { test } from "node:test";
import { linePath, stepBounds, timeTicks, valueTicks, windows } from "./scale.ts";

test("value ticks are round, begin at 0, and reach the top", () => {
  assert.deepEqual(valueTicks(5, 4), [0, 2, 4, 6]);
  assert.deepEqual(valueTicks(0.3, 4), [0, 0.1, 0.2, 0.3]);
  assert.deepEqual(valueTicks(1000, 4), [0, 250, 500, 750, 1000]);
  for (const top of [0.0001, 0.7, 3, 19, 1234, 9e6]) {
    const ticks = valueTicks(top, 4);
    assert.ok(ticks.at(-1)! >= top && ticks.length >= 3 && ticks.length <= 6, `${top}: ${ticks}`);
  }
  for (const none of [0, -1, Number.NaN]) assert.deepEqual(valueTicks(none, 4), [0, 1]);
});

test("time ticks are round in the time zone and within the bounds", () => {
  const from = Date.UTC(2026, 10, 27, 7, 32, 10), to = from + 900_000;
  assert.deepEqual(timeTicks(from, to, 4, 0).map(t => new Date(t).toISOString().slice(11, 19)), ["07:35:00", "07:40:00", "07:45:00"]);
  // In India, a full hour is at half past in UTC.
  assert.deepEqual(timeTicks(Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 1, 4), 5, -330).map(t => new Date(t).getUTCMinutes()),
    [30, 30, 30, 30]);
});

test("a line is broken where there is no value, and a single point is visible", () => {
  const points = [1, 2, null, 4, null].map((y, x) => ({ x, y }));
  assert.equal(linePath(points), "M0 1L1 2M3 4h1.5");
  assert.equal(linePath([]), "");
});

test("windows have whole steps on round times, and end before now", () => {
  for (const window of windows) {
    const now = Date.UTC(2026, 10, 27, 7, 32, 11, 345);
    const { from, to } = stepBounds(now, window), step = window.step * 1000;
    assert.ok(to <= now && now - to < step && from % step === 0 && (to - from) % step === 0);
    assert.ok((to - from) / step <= 200);
    assert.ok(window.step >= 60 || window.seconds <= 10_800, "steps below a minute are available for three hours");
  }
});
