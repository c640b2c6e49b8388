// Senders: their state, rate, and queues, and the actions.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { ask } from "../api/client.ts";
import { LiftRestrictions, Log, Pause, RegisterSender, Resume, ResumeLanes, SetRate, UpdateSender, type LoggedEvent, type SenderNow } from "../api/operations.ts";
import { count, figure, laneName, seconds, sentence, spaced, span } from "../lib/format.ts";
import { priorities } from "../lib/recognize.ts";
import { link, type Route, type View } from "../route.ts";
import { forbidden, poll, putSender, state } from "../state.ts";
import { h, memo, type Child, type VNode } from "../ui/h.ts";
import { attempt, note, openDialog } from "../ui/overlay.ts";
import { actorOf, button, card, cell, chip, drawnAt, facts, field, mono, quiet, table, time } from "../ui/parts.ts";
import { emptyIn, stateChip } from "./queues.ts";
import { qualityChip } from "./templates.ts";

export function senders(route: Route): View {
  const only = route.params.id;
  return {
    title: "Senders", stop: () => {},
    render: () => {
      const shown = (state.senders ?? []).filter(sender => !only || sender.id === only);
      const reason = forbidden(RegisterSender, "Changing senders"), limited = state.viewer?.senderIds;
      return h("div", { class: "board" },
        h("div", { class: "page-head wide" }, h("h2", null, only ? `Sender ${only}` : "Senders"),
          h("div", { class: "tools" }, only ? h("a", { href: "#/senders" }, "All senders") : null,
            reason ? quiet(reason) : limited ? null : button("Register sender…", register, { class: "", id: "register" }))),
        state.senders === null ? quiet("Loading…") : shown.length === 0 ? card("No sender", { class: "wide", id: "none" }, null,
          quiet(only ? "There is no sender with this ID, or the key has no access to it." : "Register the phone number to send messages from."))
            : shown.map(sender => h(SenderCard, { key: sender.id, sender })),
        only && shown.length > 0 ? h(History, { key: `history ${only}`, id: only }) : null);
    },
  };
}

const historyEvery = 5000;
const historyLength = 50;

/** What operators and Waypost changed: who paused the sender, its rate, or its token, and when. */
function History({ id }: { id: string }): VNode {
  const events = useSignal<LoggedEvent[] | null>(null), more = useSignal(false), reason = forbidden(Log, "The history");
  useEffect(() => (reason ? undefined : poll(historyEvery, async () => {
    const { events: { edges, pageInfo } } = await ask(Log, { filter: { stream: `sender-${id}`, senderId: state.viewer?.senderIds ? id : null }, first: historyLength });
    events.value = edges.map(({ node }) => node);
    more.value = pageInfo.hasNextPage;
  })), [id, reason]);
  return card("History", { id: "history", class: "wide" },
    reason ? null : h("a", { href: link(["ledger"], new URLSearchParams({ sender: id, stream: `sender-${id}` })) }, "All events"),
    reason ? quiet(reason) : events.value === null ? quiet("Loading…") : table({ class: "stack" }, "Changes, newest first",
      [{ name: "Recorded" }, { name: "Change" }, { name: "Details" }, { name: "By" }],
      events.value.map(event => h("tr", { key: event.id },
        cell("Recorded", null, time(event.recordedAt, "seconds")), cell("Change", null, spaced(event.type)),
        cell("Details", { class: "wrap" }, details(event.data)), cell("By", { class: "wrap" }, actorOf(event.by))))),
    more.value ? quiet(`The newest ${count(historyLength)} changes. Older ones are in the log.`) : null);
}

/** Writes the members of an event's data. IDs of stored tokens are of no use to a reader. */
function details(data: unknown): string {
  return Object.entries((data ?? {}) as Record<string, unknown>).filter(([name, value]) => value !== null && !["sender", "tokenId"].includes(name))
    .map(([name, value]) => `${spaced(name).toLowerCase()} ${Array.isArray(value) ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : String(value)}`)
    .join("; ");
}

/** The pauses with the same reason, time, and operator, together. */
function pausesOf({ pauses, pausedPriorities, pauseReason }: SenderNow): { lanes: Lane[]; pause: Partial<SenderNow["pauses"][number]> }[] {
  const groups = new Map<string, { lanes: Lane[]; pause: Partial<SenderNow["pauses"][number]> }>();
  for (const lane of pausedPriorities) {
    // Before the last upgrade, only the reason was recorded.
    const pause: Partial<SenderNow["pauses"][number]> = pauses.find(({ priority }) => priority === lane) ?? (pauseReason ? { reason: pauseReason } : {});
    const key = JSON.stringify([pause.reason, pause.since, pause.by]);
    const group = groups.get(key);
    if (group) group.lanes.push(lane);
    else groups.set(key, { lanes: [lane], pause });
  }
  return [...groups.values()];
}

type Lane = SenderNow["pausedPriorities"][number];

/** The paused lanes, with the reason, the operator, and the time of each pause. */
function pausedCallout(sender: SenderNow): VNode {
  const all = sender.state === "PAUSED";
  return h("div", { class: "callout paused", "data-tone": "warn" }, pausesOf(sender).map(({ lanes, pause: { reason, since, by } }) =>
    h("p", { key: lanes.join() }, h("strong", null, all && lanes.length === priorities.length ? "Paused" : `Paused: ${lanes.map(laneName).join(", ")}`),
      since ? [" since ", time(since, "seconds")] : null, by ? ` by ${actorOf(by)}` : null, reason ? [": ", h("q", null, reason)] : null, ".")));
}

function resumeLane(sender: SenderNow, lane: Lane): VNode {
  return button("Resume", () => void attempt(`${sentence(laneName(lane))} lane of ${sender.name} resumed.`, async () =>
    putSender((await ask(ResumeLanes, { id: sender.id, priorities: [lane] })).resumeLanes)),
  { class: "plain small resume-lane", "aria-label": `Resume the ${laneName(lane)} lane`, key: `resume ${lane}` });
}

const SenderCard = memo(({ sender }: { sender: SenderNow }): VNode => {
  const { id, hold } = sender;
  return card([sender.name, " ", h("span", { class: "quiet mono" }, id), " ",
    stateChip(sender)],
    { key: id, id: `sender-${id}`, class: "wide sender" }, actions(sender),
    hold ? h("div", { class: "callout", "data-tone": "bad" },
      h("p", null, h("strong", null, hold.message), hold.code === null ? null : ` Code ${hold.code}.`, ` Held since `,
        time(hold.since, "seconds"), "."),
      h("p", null, hold.advice),
      quiet(hold.nextProbeAt ? ["Next check with WhatsApp: ", soon(hold.nextProbeAt), "."]
        : "No process sends for this sender, so none checks with WhatsApp whether the problem is fixed.")) : null,
    sender.breaker ? h("div", { class: "callout outage", "data-tone": "bad" },
      h("p", null, h("strong", null, `WhatsApp has not responded to ${count(sender.breaker.failures)} calls in a row.`), ` Last failure: ${sender.breaker.lastFailure}. Messages wait since `,
        time(sender.breaker.since, "seconds"), "."),
      quiet(["Next call to find out whether WhatsApp responds: ", soon(sender.breaker.nextProbeAt), "."])) : null,
    sender.pausedPriorities.length > 0 ? pausedCallout(sender) : null,
    sender.throttledUntil && Date.parse(sender.throttledUntil) > drawnAt()
      ? h("div", { class: "callout", "data-tone": "warn" },
      h("p", null, "Throttled by WhatsApp until ", time(sender.throttledUntil, "seconds"), ".")) : null,
    sender.restrictions.length > 0 ? h(Restrictions, { key: `restrictions ${id}`, sender }) : null,
    h("dl", { class: "figures" },
      figureOf("Rate", `${count(sender.messagesPerSecond)}/s`),
        figureOf("Effective rate", `${figure(sender.effectiveRate)}/s`, sender.effectiveRate < sender.messagesPerSecond / 2 ? "warn"
        : null),
      figureOf("Queue", count(sender.queueDepth)), figureOf("Oldest due", span(floor(seconds(sender.oldestDueAge)))),
      figureOf("Drain/min", figure(sender.drainPerMinute)),
        figureOf("Empty in", emptyIn(sender), emptyIn(sender) === "never" ? "bad" : null), figureOf("Scheduled", count(sender.scheduled))),
    h("ul", { class: "lanes", "aria-label": "Lanes" }, sender.lanes.map(({ priority, depth, oldestDueAge }) => h("li", { key: priority },
      h("strong", null, sentence(laneName(priority))), h("span", null, `${count(depth)} due`),
      oldestDueAge ? h("span", { class: "quiet" }, `oldest ${span(floor(seconds(oldestDueAge)))}`) : null,
      sender.pausedPriorities.includes(priority) ? [chip("paused", "warn"), forbidden(ResumeLanes) ? null : resumeLane(sender, priority)] : null))),
    facts([["Number", sender.displayPhoneNumber], ["Phone number ID", mono(sender.phoneNumberId)],
      ["Business account", sender.businessAccountId && mono(sender.businessAccountId)],
      ["Quality", sender.quality && qualityChip(sender.quality)],
      ["Messaging limit", sender.messagingLimit && limit(sender.messagingLimit)],
      ["Allowed by WhatsApp", sender.throughput && `${count(sender.throughput)} messages per second`]]),
    h("p", { class: "quiet" }, h("a", { href: `#/?sender=${encodeURIComponent(id)}` }, "Plots"), " · ",
      h("a", { href: `#/messages?sender=${encodeURIComponent(id)}` }, "Messages"),
      " · ", h("a", { href: `#/dead-letters?sender=${encodeURIComponent(id)}` }, "Dead letters"),
      sender.businessAccountId ? [" · ", h("a", { href: `#/templates?account=${encodeURIComponent(sender.businessAccountId)}` }, "Templates")] : null));
});

/** To how many people the portfolio can start conversations, and to how many it did. */
const limit = ({ limit: people, used, resetsAt }: NonNullable<SenderNow["messagingLimit"]>): Child => {
  if (people === null) return "unlimited";
  const of = `${count(people)} people in 24 hours`;
  if (used === null) return of;
  return [`${count(used)} of ${of}`, used >= people && resetsAt ? [", one more at ", time(resetsAt, "seconds")] : null];
};

const restricted: Record<SenderNow["restrictions"][number]["holds"], string> = {
  NOTHING: "Nothing waits because of it.", CATEGORY: "Messages with a template of its category wait.", TEMPLATES: "Messages with a template wait.",
  ALL: "All messages wait.",
};

/** What WhatsApp doesn't allow the sender for now. */
function Restrictions({ sender }: { sender: SenderNow }): VNode {
  return h("div", { class: "callout restrictions", "data-tone": "bad" }, h("p", null, h("strong", null, "Restricted by WhatsApp")),
    h("ul", null, sender.restrictions.map(({ type, holds, since, until, reason }) => h("li", { key: type },
      h("span", { class: "mono" }, type), " since ", time(since, "seconds"), until ? [" until ", time(until, "seconds")] : null, ". ", restricted[holds],
      reason ? quiet(reason) : null))),
    forbidden(LiftRestrictions) ? null : button("Lift…", () => lift(sender), { class: "plain lift" }));
}

function lift(sender: SenderNow): void {
  openDialog({
    title: `Lift the restrictions of ${sender.name}`, label: () => "Lift",
    body: () => [
      h("p", null, "Do this only if Meta shows no restriction any longer, for example because a webhook was lost. WhatsApp still refuses what it restricts."),
      field("Reason", h("input", { name: "reason", required: true, autocomplete: "off" }), "Shown to operators."),
    ],
    run: async ({ reason }) => {
      putSender((await ask(LiftRestrictions, { id: sender.id, reason: reason! })).liftRestrictions);
      note(`${sender.name} is not restricted any longer, as far as Waypost knows.`);
    },
  });
}

const floor = (s: number | null): number | null => (s === null || s < 1 ? s : Math.floor(s));

function figureOf(name: string, value: string, tone: string | null = null): VNode {
  return h("div", { key: name, "data-tone": tone }, h("dt", null, name), h("dd", null, value));
}

function soon(at: string): Child {
  const left = Math.ceil((Date.parse(at) - drawnAt()) / 1000);
  return left <= 0 ? "now" : [`in ${span(left)} (`, time(at, "seconds"), ")"];
}

function actions(sender: SenderNow): Child {
  if (forbidden(Pause)) return null;
  const stopped = sender.state === "PAUSED" || sender.pausedPriorities.length > 0;
  const resume = (done: string): void => void attempt(done, async () => putSender((await ask(Resume, { id: sender.id })).resumeSender));
  return [
    sender.hold ? button("Check now", () => resume("Checking with WhatsApp now."), { class: "probe" }) : null,
    stopped ? button("Resume all lanes", () => resume(`${sender.name} resumed.`), { class: "resume" }) : null,
    sender.state === "PAUSED" ? null : button("Pause…", () => pause(sender), { class: "plain pause" }),
    button("Rate…", () => setRate(sender), { class: "plain rate" }),
    button("Token…", () => setToken(sender), { class: "plain token" }),
    button("Edit…", () => edit(sender), { class: "plain edit" }),
  ];
}

function pause(sender: SenderNow): void {
  openDialog({
    title: `Pause ${sender.name}`, label: () => "Pause",
    body: () => [
      h("p", null, "Messages are still accepted and wait. Calls in flight are completed."),
      h("fieldset", null, h("legend", null, "Lanes"), priorities.map(priority => h("label", { class: "check", key: priority },
        h("input", { type: "checkbox", name: `lane-${priority}`, value: priority, defaultChecked: true }), sentence(laneName(priority))))),
      field("Reason", h("input", { name: "reason", required: true, autocomplete: "off" }), "Shown to operators."),
    ],
    run: async values => {
      const chosen = priorities.filter(priority => values[`lane-${priority}`]);
      if (chosen.length === 0) throw new Error("Choose at least one lane.");
      const { pauseSender } = await ask(Pause,
        { id: sender.id, reason: values.reason!, priorities: chosen.length === priorities.length ? null : chosen });
      putSender(pauseSender);
      note(`${sender.name} paused.`);
    },
  });
}

function setRate(sender: SenderNow): void {
  openDialog({
    title: `Rate of ${sender.name}`, label: () => "Set rate",
    body: () => field("Calls per second",
      h("input", { name: "messagesPerSecond", type: "number", min: 1, max: 1000, step: 1, required: true,
      defaultValue: String(sender.messagesPerSecond) }),
      "The maximum in any second. WhatsApp initially allows 80."),
    run: async values => {
      putSender((await ask(SetRate, { id: sender.id, messagesPerSecond: Number(values.messagesPerSecond) })).setSenderRate);
      note(`${sender.name} makes at most ${values.messagesPerSecond} calls per second.`);
    },
  });
}

const tokenField = (required: boolean): VNode => field("Access token",
  h("input", { name: "accessToken", type: "password", autocomplete: "off", spellcheck: false, required }),
    "Stored encrypted and never shown again.");

function setToken(sender: SenderNow): void {
  openDialog({
    title: `Access token of ${sender.name}`, label: () => "Replace token",
    body: () => [h("p", null, "Replaces the current token", sender.hold ? " and checks with WhatsApp immediately whether the problem is fixed." : "."),
      tokenField(true)],
    run: async ({ accessToken }) => {
      putSender((await ask(UpdateSender, { input: { id: sender.id, accessToken: accessToken! } })).updateSender);
      note(`${sender.name} has a new token.`);
    },
  });
}

function edit(sender: SenderNow): void {
  openDialog({
    title: `Edit ${sender.name}`, label: () => "Save",
    body: () => [
      field("Name", h("input", { name: "name", required: true, defaultValue: sender.name, autocomplete: "off" })),
      field("Number", h("input", { name: "displayPhoneNumber", defaultValue: sender.displayPhoneNumber ?? "", autocomplete: "off" }),
        "In a readable format."),
      field("Business account",
        h("input", { name: "businessAccountId", defaultValue: sender.businessAccountId ?? "", inputmode: "numeric", autocomplete: "off" }),
        "Meta's WhatsApp Business Account ID."),
    ],
    run: async values => {
      putSender((await ask(UpdateSender, { input: { id: sender.id, displayPhoneNumber: "", businessAccountId: "", ...values } })).updateSender); // a cleared field is cleared
      note("Saved.");
    },
  });
}

function register(): void {
  openDialog({
    title: "Register sender", label: () => "Register",
    body: () => [
      h("div", { class: "row" },
        field("ID", h("input",
          { name: "id", required: true, pattern: "[A-Za-z0-9_\\-]+", autocomplete: "off", spellcheck: false }),
          "Letters, digits, -, and _. It cannot be changed."),
        field("Name", h("input", { name: "name", required: true, autocomplete: "off" }))),
      h("div", { class: "row" },
        field("Phone number ID", h("input", { name: "phoneNumberId", required: true, inputmode: "numeric", autocomplete: "off" }),
          "Meta's phone_number_id."),
        field("Business account", h("input", { name: "businessAccountId", inputmode: "numeric", autocomplete: "off" }),
          "WhatsApp Business Account ID.")),
      h("div", { class: "row" },
        field("Number", h("input", { name: "displayPhoneNumber", autocomplete: "off" }), "In a readable format."),
        field("Calls per second",
          h("input", { name: "messagesPerSecond", type: "number", min: 1, max: 1000, step: 1, defaultValue: "80", required: true }))),
      tokenField(false), quiet("If empty, the server's default token is used."),
    ],
    run: async ({ messagesPerSecond, id, name, phoneNumberId, ...rest }) => {
      putSender((await ask(RegisterSender,
        { input: { id: id!, name: name!, phoneNumberId: phoneNumberId!, messagesPerSecond: Number(messagesPerSecond),
        ...rest } })).registerSender);
      note(`${name} registered.`);
    },
  });
}
