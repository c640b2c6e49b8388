import assert from "node:assert/strict";
import { test } from "node:test";
import { describe, fromQuery, recognize, toQuery, type Filters } from "./recognize.ts";

const id = "01a21be7-01fe-76ec-97b1-191ae550fddb";

test("typed text is recognized", () => {
  const cases: [string, Filters][] = [
    ["", {}],
    [` ${id.toUpperCase()} `, { id }],
    ["+1 415 555 0101", { to: "+1 415 555 0101" }],
    ["(415) 555-0101 22", { to: "(415) 555-0101 22" }],
    ["4915123456789", { to: "4915123456789" }],
    ["US.13491208655302741918", { user: "US.13491208655302741918" }],
    ["failed GB.ENT.705a", { status: ["FAILED"], user: "GB.ENT.705a" }],
    ["user:GB.1", { user: "GB.1" }],
    ["1042", { key: "1042" }],
    ["order-1042", { key: "order-1042" }],
    ["wamid.HBgLMTQxNTU1NTAxMDE=", { wamid: "wamid.HBgLMTQxNTU1NTAxMDE=" }],
    ["campaign=spring", { labels: [{ name: "campaign", value: "spring" }] }],
    ['campaign="late spring"', { labels: [{ name: "campaign", value: "late spring" }] }],
    ["dead letters", { key: "dead letters" }],
    ["dead lettered", { status: ["DEAD_LETTERED"] }],
    ["Failed", { status: ["FAILED"] }],
    ["overdue sender:demo", { overdue: true, sender: "demo" }],
    ["status:failed,expired", { status: ["FAILED", "EXPIRED"] }],
    ["failed campaign=spring sender:demo", { status: ["FAILED"], labels: [{ name: "campaign", value: "spring" }], sender: "demo" }],
    ["code:131026 category:recipient", { code: 131026, category: "recipient" }],
    ["sender: failed", { invalid: "sender: needs a value.", status: ["FAILED"] }],
    ["code:many", { invalid: "“many” is not an error code; use a number such as 131026." }],
    ["priority:high", { invalid: "There is no priority “high”; priorities are otp, transactional, bulk." }],
    ["label:spring", { invalid: "“spring” is not a label; use label:name=value." }],
    ["canceled", { status: ["CANCELLED"] }],
    ["status:canceled,dead-lettered", { status: ["CANCELLED", "DEAD_LETTERED"] }],
    ["type:template template:hello_world priority:otp", { type: "TEMPLATE", template: "hello_world", priority: "OTP" }],
    [`key:${id}`, { key: id }],
    ["key:+14155550101", { key: "+14155550101" }],
    ["=x", { key: "=x" }],
    ["…1a2b3c4d", { end: "1a2b3c4d" }],
    ["1A2B3C4D failed", { end: "1a2b3c4d", status: ["FAILED"] }],
    ["12345678", { key: "12345678" }],
    ["…12345678", { end: "12345678" }],
  ];
  for (const [typed, want] of cases) assert.deepEqual(recognize(typed), want, typed);
});

test("filters can be converted to a link and back", () => {
  const filters: Filters = {
    to: "+14155550101", user: "GB.1", key: "order 7&8", wamid: "wamid.A=", sender: "demo", type: "TEXT", priority: "BULK", template: "hello",
      category: "recipient", code: 131026, overdue: true,
    status: ["FAILED", "EXPIRED"], labels: [{ name: "a", value: "b=c" }, { name: "note", value: '"x"' }, { name: "lines", value: "1\n2" }],
  };
  assert.deepEqual(fromQuery(new URLSearchParams(toQuery(filters).toString())), filters);
});

test("a part of a link without a meaning makes the filters invalid, and matches nothing", () => {
  for (const part of ["status=NONE", "type=FAX", "priority=high", "code=x", "label=campaign", "from=campaign+12", "until=2026-13-01", "overdue=yes", "lable=a%3Db", "sender=a&sender=b", "from=2026-12-01&from=2026-12-02", "code=1%0A2"]) {
    assert.ok(fromQuery(new URLSearchParams(`status=READ&${part}&page=1`)).invalid, part);
  }
  assert.equal(fromQuery(new URLSearchParams("status=READ&label=a%3Db&from=2026-12-01T10:00:00.000Z&page=2&after=c")).invalid, undefined);
});

test("two values that exclude each other are reported, because the second would replace the first", () => {
  for (const typed of ["sender:a sender:b", "+14155550101 to:+14155550102", "code:1 code:2", "type:text type:image"]) assert.ok(recognize(typed).invalid, typed);
  assert.equal(recognize("sender:a sender:a").invalid, undefined);
});

test("an unknown value of a named filter is reported, and is no idempotency key", () => {
  for (const typed of ["type:foo", "status:gone", "sender:demo status:failed,gone"]) {
    const { invalid, key } = recognize(typed);
    assert.ok(invalid?.startsWith("There is no "), typed);
    assert.equal(key, undefined, typed);
  }
});

test("the recognized filters are described", () => {
  assert.deepEqual(describe(recognize("failed campaign=spring")), ["label campaign = spring", "status failed"]);
});
