import assert from "node:assert/strict";
import { test } from "node:test";
import { unknown, unlisted } from "./query.ts";

test("unknown and repeated parameters are reported", () => {
  const check = (query: string): string => unknown(new URLSearchParams(query), "label", "sender", "page");
  for (const query of ["", "label=a%3D1&page=2", "sender="]) assert.equal(check(query), "", query);
  assert.ok(check("lable=a%3D1").includes("unknown filter, “lable”"));
  assert.ok(check("label=a%3D1&label=b%3D2").includes("“label” more than once"));
  assert.ok(check("sender=a&page=2&sender=a").includes("“sender” more than once"));
});

test("unlisted values are reported", () => {
  const check = (query: string): string => unlisted(new URLSearchParams(query), "window", ["open", "closed"]);
  for (const query of ["", "window=", "window=closed"]) assert.equal(check(query), "", query);
  assert.equal(check("window=opened"), "“opened” is not a value of window; use open or closed.");
});
