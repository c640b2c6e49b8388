// The progress and the result of a campaign: the messages with one label.
import type { CampaignPauseNow, MessageStatus } from "../api/operations.ts";
import { count, percent, plural, words } from "../lib/format.ts";
import { h, type VNode } from "../ui/h.ts";
import { actorOf, facts, quiet, statusChip, table, time } from "../ui/parts.ts";

export type Counts = readonly { status: MessageStatus; count: number }[];

/** The statuses in which the outcome of a message's calls is open. */
export const open: readonly MessageStatus[] = ["QUEUED", "SENDING", "RETRYING", "AMBIGUOUS"];
const delivered: readonly MessageStatus[] = ["DELIVERED", "READ"];
const accepted: readonly MessageStatus[] = ["SENT", ...delivered];
const failed: readonly MessageStatus[] = ["FAILED", "DEAD_LETTERED", "EXPIRED"];
const withheld: readonly MessageStatus[] = ["CANCELLED", "DISCARDED", "SUPPRESSED"];

export const sumOf = (counts: Counts, of?: readonly MessageStatus[]): number =>
  counts.reduce((sum, { status, count: n }) => sum + (!of || of.includes(status) ? n : 0), 0);

/** The progress, the result, and the count of each status. href returns the list of the messages with a status, if there is one. */
export function campaignFigures(counts: Counts, href: ((status: MessageStatus) => string) | null): VNode {
  const total = sumOf(counts), left = sumOf(counts, open), sent = sumOf(counts, accepted);
  if (total === 0) return quiet("No messages have this label.");
  return h("div", { class: "campaign" },
    h("label", { class: "progress" }, h("span", null, left === 0 ? `Finished: ${plural(total, "message")}` : `${percent((total - left) / total)} done, ${plural(left, "message")} waiting`),
      h("progress", { id: "campaign-progress", value: total - left, max: total })),
    facts([
      ["Accepted by WhatsApp", `${count(sent)} of ${count(total)}`],
      ["Delivered", `${count(sumOf(counts, delivered))} of ${count(sent)}${sent > 0 ? ` (${percent(sumOf(counts, delivered) / sent)})` : ""}`],
      ["Read", count(sumOf(counts, ["READ"]))],
      ["Failed or expired", count(sumOf(counts, failed))],
      ["Withheld", count(sumOf(counts, withheld))],
    ]),
    table({ class: "stack", id: "campaign-counts" }, "Messages by status", [{ name: "Status" }, { name: "Messages", class: "number" }],
      counts.filter(({ count: n }) => n > 0).map(({ status, count: n }) => h("tr", { key: status },
        h("td", null, href ? h("a", { href: href(status), "aria-label": `Messages: ${words(status)}` }, statusChip(status)) : statusChip(status)),
        h("td", { class: "number" }, count(n))))));
}

/** Who paused a campaign, when, and why. effect says what the pause does. */
export const pausedBy = ({ reason, since, by }: CampaignPauseNow, effect: string): VNode => h("div", { class: "callout paused", "data-tone": "warn" },
  h("p", null, h("strong", null, "Paused"), " since ", time(since, "seconds"), ` by ${actorOf(by)}: `, h("q", null, reason), ". ", effect));
