// The queues by sender and lane.
import type { SenderNow } from "../api/operations.ts";
import { count, figure, laneName, seconds, sentence, span, words } from "../lib/format.ts";
import { Fragment } from "preact";
import { h, memo, type Child, type VNode } from "../ui/h.ts";
import { cell, chip, statusChip, table, type Tone } from "../ui/parts.ts";

const columns = [
  { name: "Sender" }, { name: "Lane" }, { name: "Due", title: "Due and not yet accepted", class: "number" },
  { name: "Oldest due", class: "number" }, { name: "Drain/min", title: "Messages that left the queue in the last minute", class: "number" },
  { name: "Empty in", title: "Time until the queue is empty at this drain rate", class: "number" },
  { name: "Scheduled", title: "Waiting for their sendAt", class: "number" },
];

/** Returns the time until a queue is empty at its drain rate: never, if messages are due but none leave. */
export function emptyIn(sender: SenderNow): string {
  if (sender.state !== "ACTIVE") return sender.queueDepth > 0 ? words(sender.state) : "–"; // whatever drained before
  if (sender.queueDepth > 0 && sender.breaker) return "no response";
  if (sender.queueDepth > 0 && sender.restrictions.some(({ holds }) => holds === "ALL")) return "restricted";
  if (sender.lanes.some(lane => lane.depth > 0 && sender.pausedPriorities.includes(lane.priority))) return "paused";
  const left = seconds(sender.emptyIn);
  if (left !== null) return sender.queueDepth === 0 ? "–" : left < 1 ? "< 1 s" : span(left);
  return sender.queueDepth > 0 ? "never" : "–";
}

/** Reports whether something keeps messages of the sender from being sent. */
export const hindered = (sender: SenderNow): boolean =>
  sender.state !== "ACTIVE" || sender.breaker !== null || sender.pausedPriorities.length > 0 || sender.restrictions.some(({ holds }) => holds !== "NOTHING");

/** The sender's state in a word or two: whatever keeps messages from being sent. */
export function stateChip(sender: SenderNow): VNode {
  if (sender.state === "ACTIVE" && sender.breaker) return chip("WhatsApp doesn't respond", "bad");
  if (sender.state === "ACTIVE" && sender.restrictions.some(({ holds }) => holds !== "NOTHING")) return chip("restricted", "bad");
  if (sender.state === "ACTIVE" && sender.pausedPriorities.length > 0) return chip(`${sender.pausedPriorities.map(laneName).join(", ")} paused`, "warn");
  return statusChip(sender.state);
}

function dueTone(age: number | null): Tone | null {
  return age === null || age < 10 ? null : age < 60 ? "warn" : "bad";
}

function due(iso: string | null): Child {
  const age = seconds(iso);
  return age === null ? "–" : h("span", { class: "toned", "data-tone": dueTone(age) }, span(age < 1 ? age : Math.floor(age)));
}

export function queuesTable(senders: readonly SenderNow[]): VNode {
  return table({ class: "stack queues" }, "Queues by sender and lane", columns, senders.map(sender => h(Rows, { key: sender.id, sender })));
}

const Rows = memo(({ sender }: { sender: SenderNow }): VNode => h(Fragment, {},
    h("tr", { key: sender.id, class: "total" },
      h("th", { scope: "row" }, h("a", { href: `#/senders/${encodeURIComponent(sender.id)}` }, sender.name),
        hindered(sender) ? [" ", stateChip(sender)] : null),
      cell("Lane", null, "all"),
      cell("Due", { class: "number" }, count(sender.queueDepth)),
      cell("Oldest due", { class: "number" }, due(sender.oldestDueAge)),
      cell("Drain/min", { class: "number" }, figure(sender.drainPerMinute)),
      cell("Empty in", { class: "number" }, emptyIn(sender) === "never" ? h("span", { class: "toned", "data-tone": "bad" }, "never")
        : emptyIn(sender)),
      cell("Scheduled", { class: "number" }, count(sender.scheduled))),
    sender.lanes.map(({ priority, depth, oldestDueAge }) => h(LaneRow, { key: priority, priority, depth, oldestDueAge,
      paused: sender.pausedPriorities.includes(priority) && sender.state !== "PAUSED" }))));

type Lane = SenderNow["lanes"][number] & { paused: boolean };

const LaneRow = memo(({ priority, depth, oldestDueAge, paused }: Lane): VNode => h("tr", { class: "lane" },
  h("td", { class: "skip-cell" }),
  cell("Lane", null, sentence(laneName(priority)), paused ? [" ", chip("paused", "warn")] : null),
  cell("Due", { class: "number" }, count(depth)),
  cell("Oldest due", { class: "number" }, due(oldestDueAge)),
  h("td", { class: "skip-cell" }), h("td", { class: "skip-cell" }), h("td", { class: "skip-cell" })));
