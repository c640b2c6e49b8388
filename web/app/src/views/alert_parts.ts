import type { AlertNow } from "../api/operations.ts";
import { words } from "../lib/format.ts";
import { h, type VNode } from "../ui/h.ts";
import { ago, chip, toneOf } from "../ui/parts.ts";

/** An alert in one line, for lists that link to it. */
export const alertLine = (alert: AlertNow): VNode => h("li", { key: alert.id },
  chip(words(alert.severity), toneOf(alert.severity)),
  h("a", { href: "#/alerts" }, alert.current?.summary ?? alert.summary),
  h("span", { class: "quiet" }, alert.state === "ACKNOWLEDGED" ? "acknowledged, " : "", alert.silence ? "silenced, " : "", "for ", ago(alert.raisedAt)));
