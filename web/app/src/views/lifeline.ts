// A message's life as a picture: how long it waited, what each call took, and when WhatsApp delivered it, on one time axis.
import type { OneMessageData } from "../api/operations.ts";
import { plural, span } from "../lib/format.ts";
import { h, type Child } from "../ui/h.ts";
import { drawnAt, type Tone } from "../ui/parts.ts";
import { zonedClock } from "../ui/zone.ts";

type Message = NonNullable<OneMessageData["message"]>;

interface Phase { name: string; from: number; to: number; tone: Tone; open: boolean }

const drawnCalls = 12;
const rowHeight = 34, barHeight = 8, axisHeight = 30;

/** The outcome of a call, in words. */
export const outcomes: Record<Message["attemptLog"][number]["outcome"], [string, Tone]> = {
  UNDER_WAY: ["in flight", "move"], ACCEPTED: ["accepted", "good"], FAILED: ["failed", "bad"], DEFERRED: ["deferred", "warn"],
  UNKNOWN: ["response lost", "warn"],
};

/** The phases so far, in order. WhatsApp's times are whole seconds and can be before the call, so none ends before it begins. */
function phasesOf(m: Message): Phase[] {
  const at = Date.parse, phases: Phase[] = [], calls = m.attemptLog.slice(-drawnCalls);
  const add = (name: string, from: number, to: number | null, tone: Tone): void => {
    phases.push({ name, from, to: Math.max(from, to ?? drawnAt()), tone, open: to === null });
  };
  const first = m.attemptLog[0], last = m.history?.edges.at(-1)?.node.recordedAt;
  if (first || m.status === "QUEUED") add("In the queue", at(m.queuedAt), first ? at(first.startedAt) : null, "wait");
  else if (last) add("In the queue", at(m.queuedAt), at(last), "wait"); // cancelled, expired, or suppressed without a call
  for (const call of calls) {
    const [outcome, tone] = outcomes[call.outcome];
    add(`Call ${call.call}: ${outcome}`, at(call.startedAt), call.endedAt ? at(call.endedAt) : call.outcome === "UNDER_WAY" ? null : at(call.startedAt), tone);
  }
  if (m.sentAt && (m.deliveredAt || m.status === "SENT")) {
    add(m.deliveredAt ? "Until delivered" : "Not delivered yet", at(m.sentAt), m.deliveredAt ? at(m.deliveredAt) : null, m.deliveredAt ? "good" : m.overdueSince ? "warn" : "move");
  }
  if (m.readAt) add("Until read", at(m.deliveredAt ?? m.sentAt ?? m.queuedAt), at(m.readAt), "good");
  return phases;
}

const length = ({ from, to, open }: Phase): string => `${span((to - from) / 1000)}${open ? " so far" : ""}`;

/** The picture, with a description in words for those who don't see it. */
export function lifeline(m: Message): Child {
  const phases = phasesOf(m);
  if (phases.length === 0) return null;
  const from = Date.parse(m.queuedAt), to = Math.max(...phases.map(phase => phase.to), from + 1);
  const share = (at: number): number => Math.min(1, Math.max(0, (at - from) / (to - from))) * 100;
  const height = phases.length * rowHeight + axisHeight, bottom = phases.length * rowHeight;
  const more = m.attemptLog.length - drawnCalls;
  const label = `From queued to ${zonedClock(to, drawnAt())}: ${phases.map(phase => `${phase.name}, ${length(phase)}`).join("; ")}.`;
  return h("figure", { class: "lifeline" },
    h("svg", { role: "img", "aria-label": label, width: "100%", height },
      [0, 50, 100].map(x => h("line", { key: x, class: "grid", x1: `${x}%`, x2: `${x}%`, y1: 0, y2: bottom + 4 })),
      phases.map((phase, i) => {
        const { name, tone } = phase, x = share(phase.from), y = i * rowHeight;
        // The text begins at its bar, or ends there if the bar is on the right.
        const right = x > 55;
        return h("g", { key: `${i} ${name}` },
          h("text", { x: `${right ? Math.max(share(phase.to), x) : x}%`, y: y + 14, "text-anchor": right ? "end" : "start" }, name, " ", h("tspan", { class: "length" }, length(phase))),
          h("rect", { class: "phase", "data-tone": tone, x: `${Math.min(x, 99.5)}%`, y: y + 19, width: `${Math.max(share(phase.to) - x, 0.5)}%`, height: barHeight, rx: 2 }));
      }),
      [[0, "start"], [50, "middle"], [100, "end"]].map(([x, anchor]) =>
        h("text", { key: x!, class: "axis", x: `${x}%`, y: bottom + 20, "text-anchor": anchor! }, x === 0 ? zonedClock(from, drawnAt()) : `+ ${span((to - from) * Number(x) / 100_000)}`))),
    more > 0 ? h("figcaption", { class: "quiet" }, `Without the first ${plural(more, "call")}.`) : null);
}
