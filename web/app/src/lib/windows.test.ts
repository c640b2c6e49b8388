import assert from "node:assert/strict";
import { test } from "node:test";
import { stepBounds, windows } from "./windows.ts";

test("windows have whole steps on round times, and end before now", () => {
  for (const window of windows) {
    const now = Date.UTC(2026, 10, 27, 7, 32, 11, 345);
    const { from, to } = stepBounds(now, window), step = window.step * 1000;
    assert.ok(to <= now && now - to < step && from % step === 0 && (to - from) % step === 0);
    assert.ok((to - from) / step <= 200);
    assert.ok(window.step >= 60 || window.seconds <= 10_800, "steps below a minute are available for three hours");
  }
});
