import assert from "node:assert/strict";
import { test } from "node:test";
import { cautions, firstRange, lasted, proposed, readRange, secondRange, secondRanges, stepOf, type Range } from "./ranges.ts";

const now = Date.UTC(2026, 11, 1, 12, 30, 17), minute = 60_000, hour = 60 * minute, day = 24 * hour;

test("invalid ranges are explained", () => {
  for (const [from, to, why] of [
    ["", "2026-12-01T10:00Z", "has no start"], ["2026-12-01T10:00Z", "", "has no end"],
    ["campaign 12", "2026-12-01T10:00Z", "“campaign 12”, is not a time"], ["2026-12-01T10:00Z", "2026-13-01T10:00Z", "is not a time"],
    ["2026-12-01T10:00Z", "2026-12-01T09:00Z", "ends before it starts"], ["2026-12-01T10:00Z", "2026-12-01T10:00Z", "ends when it starts"],
    ["2026-12-01T13:00Z", "2026-12-01T14:00Z", "in the future"], ["2026-10-01T10:00Z", "2026-12-01T10:00Z", "longer than 31 days"],
    ["2026-12-01T10:00:30Z", "2026-12-01T11:00Z", "full minute"],
  ] as const) {
    const read = readRange("first", from, to, now);
    assert.ok(typeof read === "string" && read.includes(why), `${from} to ${to}: ${JSON.stringify(read)}`);
  }
  assert.deepEqual(readRange("first", "2026-12-01T10:00:00.000Z", "2026-12-01T14:00+02:00", now), { from: now - 2.5 * hour - 17_000, to: now - 0.5 * hour - 17_000 });
});

test("the proposals are ranges on full minutes, and are recognized", () => {
  for (const id of ["hour", "today", "yesterday", "week"]) {
    for (const utc of [true, false]) {
      const first = firstRange(id, now, utc);
      for (const [other] of secondRanges) {
        const second = secondRange(other, first, utc);
        for (const { from, to } of [first, second]) assert.equal(typeof readRange("first", new Date(from).toISOString(), new Date(to).toISOString(), now), "object");
        assert.ok(second.to <= first.to && second.from < first.from);
        assert.ok(proposed(first, second, utc) !== "", `${id} with ${other}`);
      }
    }
  }
  const tuesday: Range = { from: Date.UTC(2026, 11, 1), to: Date.UTC(2026, 11, 2) };
  assert.deepEqual(secondRange("week", tuesday, true), { from: tuesday.from - 7 * day, to: tuesday.to - 7 * day });
  assert.equal(proposed(tuesday, { from: 0, to: day }, true), "");
  const monday = secondRange("day", tuesday, true); // also the period before
  for (const chosen of ["before", "day"]) assert.equal(proposed(tuesday, monday, true, chosen), chosen);
  assert.equal(proposed(tuesday, monday, true, "week"), "before");
});

test("the step fits both ranges", () => {
  for (const length of [minute, hour, 8 * hour, day, 7 * day, 31 * day]) {
    const step = stepOf({ from: 0, to: minute }, { from: 0, to: length });
    assert.ok(length / step <= 300 && length % step === 0, `${length / minute} min in steps of ${step / minute} min`);
  }
});

test("a range that has not ended has lasted until now", () => {
  assert.equal(lasted({ from: now - 2 * hour, to: now - hour }, now), hour);
  assert.equal(lasted({ from: now - 2 * hour, to: now + hour }, now), 2 * hour);
});

test("comparisons carry warnings", () => {
  const at = now - 17_000, first = { from: at - hour, to: at };
  assert.deepEqual(cautions(first, { from: at - 2 * hour, to: at - hour }, now), []);
  for (const [second, what] of [
    [{ from: at - hour / 2, to: at + hour / 2 }, "not ended"], [{ from: at - hour / 2, to: at + hour / 2 }, "differ in length"],
    [{ from: at - 2 * hour, to: at - hour / 2 }, "overlap"], [{ from: at - 5 * hour, to: at - 2 * hour }, "differ in length"],
    [{ from: at - 20 * hour, to: at - 7 * hour + minute }, "omit"],
  ] as const) {
    assert.ok(cautions(first, second, now).some(text => text.includes(what)), what);
  }
});
