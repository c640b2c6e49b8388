import type { AlertKind, AlertNow } from "../api/operations.ts";
import { words } from "../lib/format.ts";
import { h, type VNode } from "../ui/h.ts";
import { ago, chip, toneOf } from "../ui/parts.ts";

/** The unit of each kind's threshold. */
export const units: Record<AlertKind, "share" | "seconds" | "perMinute" | "number" | "none"> = {
  ERROR_RATE: "share", DISK_SPACE: "share", DELIVERY_LATENCY: "seconds", QUEUE_STALLED: "seconds", WEBHOOK_SILENCE: "seconds",
    READ_MODEL_STALE: "seconds",
  QUEUE_GROWTH: "perMinute", WEBHOOK_REJECTED: "number", SENDER_HELD: "none", BREAKER_OPEN: "none", QUALITY_LOW: "none", ACCOUNT_RESTRICTED: "none", MESSAGING_LIMIT_REACHED: "none", LEDGER_UNBALANCED: "none", OUTGOING_WEBHOOK_DISABLED: "none", TEMPLATE_PAUSED: "none", TEMPLATE_CATEGORY_CHANGED: "none",
  LOG_SHORTENED: "none",
};

/** The alert with its latest value. For alerts without a value, the summary that it was raised with. */
export const summaryNow = (alert: AlertNow): string => (units[alert.kind] === "none" ? alert.summary : alert.current?.summary ?? alert.summary);

/** An alert in one line, for lists that link to it. */
export const alertLine = (alert: AlertNow): VNode => h("li", { key: alert.id },
  chip(words(alert.severity), toneOf(alert.severity)),
  h("a", { href: "#/alerts" }, summaryNow(alert)),
  h("span", { class: "quiet" }, alert.state === "ACKNOWLEDGED" ? "acknowledged, " : "", alert.silence ? "silenced, " : "", "for ", ago(alert.raisedAt)));
