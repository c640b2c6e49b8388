// One message: its status, every call, and every event.
import { ask, messageOf, rejected, sawServerTime } from "../api/client.ts";
import { Cancel, Discard, OneMessage, OneMessageUpdates, Queue, Requeue, type Failure, type LoggedEvent,
  type OneMessageData } from "../api/operations.ts";
import { connection } from "../api/socket.ts";
import { count, laneName, plural, spaced, span, words } from "../lib/format.ts";
import { link, type Route, type View } from "../route.ts";
import { forbidden, may, poll, report, state } from "../state.ts";
import { h, reactive, type Child, type VNode } from "../ui/h.ts";
import { actorOf, button, card, cell, chip, copied, drawnAt, facts, mono, quiet, save, statusChip, table, time, type Tone } from "../ui/parts.ts";
import { open, pausedBy } from "./campaign_parts.ts";
import { bubble } from "./content.ts";
import { lifeline, outcomes } from "./lifeline.ts";
import { cancelMessage, discardDeadLetters, requeueDeadLetters } from "./actions.ts";

type Message = NonNullable<OneMessageData["message"]>;

const every = 5000; // for what no subscription reports: whether the message's campaigns are paused

export function message(route: Route): View {
  const id = route.params.id!;
  const view = reactive({ shown: undefined as Message | null | undefined, fault: "" });
  let unfollow: () => void = () => {}, stopped = false, followed = false, round = 0;
  let again: ReturnType<typeof setTimeout> | undefined;

  async function load(): Promise<void> {
    clearTimeout(again);
    again = undefined;
    const mine = ++round;
    try {
      const { message: found } = await ask(OneMessage, { id, audit: may("AUDIT") });
      if (stopped || mine !== round) return;
      [view.shown, view.fault] = [found, ""];
      if (found && !followed) follow(found.cursor);
    } catch (error) {
      if (stopped || mine !== round) return;
      view.fault = messageOf(error);
      if (!(error as { code?: string }).code) report(error);
      if (!rejected(error)) again = setTimeout(load, 2000);
    }
  }

  /** Reloads the message when it changes. Changes in quick succession cause one reload. */
  function follow(after: string): void {
    followed = true;
    unfollow = connection.subscribe(OneMessageUpdates, { id, after }, {
      cursor: data => data.messageUpdates.cursor,
      gone: () => {
        followed = false;
        void load();
      },
      next: ({ messageUpdates: { at } }) => {
        sawServerTime(at);
        again ??= setTimeout(load, 150);
      },
    });
  }

  const unpoll = poll(every, async () => {
    if (!view.shown || open.includes(view.shown.status)) await load();
  });
  return {
    title: "Message",
    stop: () => {
      stopped = true;
      clearTimeout(again);
      unpoll();
      unfollow();
    },
    render: () => {
      if (!view.shown) {
        return h("section", { class: "card narrow" }, h("h2", null, "Message"), h("p", { class: "mono" }, id),
          h("p", { role: "status", class: view.fault ? "error" : "" }, view.fault || (view.shown === null ? "There is no message with this ID." : "Loading…")),
          view.shown === null ? quiet("It may be an idempotency key: ",
            h("a", { href: `#/messages?key=${encodeURIComponent(id)}` }, "search for it"), ".") : null);
      }
      return page(view.shown, () => void load());
    },
  };
}

/** Whether the message waits for a call. */
const waits = ({ status }: Message): boolean => status === "QUEUED" || status === "RETRYING";

function page(m: Message, changed: () => void): VNode {
  return h("div", { class: "board", id: "message" },
    h("div", { class: "page-head wide" },
      h("h2", null, "Message ", copied(m.id, "the message ID")), statusChip(m.status),
      h("div", { class: "tools" }, actions(m, changed))),
    waits(m) ? m.pauses.map(pause => h("div", { class: "wide", key: pause.id },
      pausedBy(pause, `Like all messages with the label ${pause.label.name} = ${pause.label.value}, this message waits until the campaign is resumed.`))) : null,
    m.failure && !["SENT", "DELIVERED", "READ"].includes(m.status) ? failureCard(m) : null,
    card("Facts", { id: "facts" }, null, facts([
      ["To", recipient(m)],
      ["Conversation", conversationLink(m)],
      ["Sender", h("a", { href: `#/senders/${encodeURIComponent(m.sender.id)}` }, m.sender.name)],
      ["Type", `${words(m.type)}, ${laneName(m.priority)} lane`],
      ["Attempts", `${count(m.attempts)}, in ${plural(m.calls, "call")}`],
      ["Reason", m.statusReason],
      ["Sent twice", m.sentTwice ? chip("yes, after a lost response", "warn") : null],
      ["Held by WhatsApp", m.heldForQuality ? chip("yes, while it assesses the template's quality", "warn") : null],
      ["Queued", time(m.queuedAt)],
      ["Send at", m.sendAt && time(m.sendAt)],
      ["Expires", m.expiresAt && time(m.expiresAt)],
      ["Next attempt", m.retryAt && [time(m.retryAt),
        ` (in ${span(Math.max(0, Math.ceil((Date.parse(m.retryAt) - drawnAt()) / 1000)))})`]],
      ["Sent", m.sentAt && time(m.sentAt)],
      ["Overdue since", m.overdueSince && [chip("overdue", "warn"), " ", time(m.overdueSince)]],
      ["Delivered", m.deliveredAt && time(m.deliveredAt, "seconds")],
      ["Read", m.readAt && time(m.readAt, "seconds")],
      ["If a response is lost", m.onAmbiguous === "RESEND" ? "send again" : "make it a dead letter"],
      ["Idempotency key", m.idempotencyKey && copied(m.idempotencyKey, "the idempotency key")],
      ["WhatsApp ID", m.whatsappId && copied(m.whatsappId, "the WhatsApp ID")],
      ["Reply to", m.replyTo && mono(m.replyTo)],
      ["Labels", m.labels.length > 0 ? m.labels.map(({ name, value }) => !may("PERSONAL")
        ? h("span", { key: name, class: "label" }, `${name} = ${value}`)
        : h("a", { key: name, class: "label", href: `#/messages?label=${encodeURIComponent(`${name}=${value}`)}` }, `${name} = ${value}`))
          : null],
      ["Erased", m.erasedAt && time(m.erasedAt)],
    ])),
    card("Content", { id: "content" }, null, m.content !== null
      ? [bubble(m.type, m.content), h("details", null, h("summary", null, "As JSON"),
        h("pre", { tabindex: 0, "aria-label": "Content as JSON" }, JSON.stringify(m.content, null, 2)))]
      : quiet(m.erasedAt ? "Erased." : may("PERSONAL") ? "None." : "The content requires a key with the scope PERSONAL.")),
    card("Timeline", { id: "timeline", class: "wide" }, m.history
      ? m.history.pageInfo.hasNextPage ? null : button("Save as JSON", () => saveHistory(m), { class: "plain small" })
      : quiet("Calls only. The recorded events require a key with the scope AUDIT."), lifeline(m), timeline(m)),
    card("Attempts", { id: "attempts", class: "wide" }, null, attempts(m)));
}

/** Saves the events of the message, for a report or another tool. */
function saveHistory({ id, history }: Message): void {
  save(`message-${id}.json`, new Blob([JSON.stringify(history!.edges.map(({ node }) => node), null, 2)], { type: "application/json" }));
}

/** The recipient, as a link to their messages. A masked one is no link, because a search would find nothing. */
function recipient(m: Message): Child {
  const shown = m.to ?? m.toUserId;
  if (shown === null) return "erased";
  return may("PERSONAL")
    ? h("a", { class: "mono", href: `#/messages?${m.to === null ? "user" : "to"}=${encodeURIComponent(shown)}` }, shown)
    : mono(shown);
}

function conversationLink(m: Message): Child {
  const person = m.to ?? m.toUserId;
  return person !== null && may("PERSONAL") && h("a", { href: link(["conversations", m.sender.id, person]) }, "All messages in both directions");
}

function actions(m: Message, changed: () => void): Child {
  const shown: Child[] = [], reasons = new Set<string>();
  const offer = (operation: Parameters<typeof forbidden>[0], made: VNode): void => {
    const reason = forbidden(operation, "Changing the message");
    if (reason) reasons.add(reason);
    else shown.push(made);
  };
  if (waits(m)) offer(Cancel,
    button("Cancel…", () => cancelMessage(m.id, changed), { id: "cancel" }));
  if (m.status === "DEAD_LETTERED") {
    offer(Requeue, button("Requeue…", () => requeueDeadLetters({ ids: [m.id] }, `Message ${m.id}`, changed), { id: "requeue" }));
    offer(Discard, button("Discard…", () => discardDeadLetters({ ids: [m.id] }, `Message ${m.id}`, changed), { id: "discard" }));
  }
  if (!forbidden(Queue) && m.content !== null) shown.push(h("a", { key: "again", class: "plain button", href: `#/queue?copy=${m.id}` }, "Send again…"));
  return [...shown, [...reasons].map(reason => quiet(reason))];
}

function failureCard(m: Message): VNode {
  const f = m.failure!;
  return card(["Failure ", chip(words(f.class), "bad")], { id: "failure", class: "wide" }, null,
    h("p", null, h("strong", null, f.message)), h("p", { class: "advice" }, f.advice),
    f.details ? quiet(f.details) : null,
    facts([["Category", h("a", { href: `#/messages?category=${encodeURIComponent(f.category)}` }, words(f.category))],
      ["Code", f.code === null ? null : String(f.code)],
      ["HTTP status", f.httpStatus === null ? null : String(f.httpStatus)], ["Meta's trace ID", f.fbtraceId && mono(f.fbtraceId)],
        ["At", time(f.at)]]));
}

/** Describes a failure in one line. */
export function explain(f: Failure): string {
  const source = [f.code === null ? null : `code ${f.code}`, f.httpStatus === null ? null : `HTTP ${f.httpStatus}`, words(f.category),
    words(f.class)];
  return `${f.message} (${source.filter(Boolean).join(", ")})${f.details ? ` ${f.details}` : ""}`;
}

// ───────────── timeline ─────────────

interface Entry { key: string; at: string; tone: Tone; text: Child; detail?: Child; data?: unknown }

const eventTones: Record<string, Tone> = {
  Queued: "wait", SendAttempted: "move", Sent: "move", Confirmed: "move", Delivered: "good", Read: "good", Failed: "bad",
    DeadLettered: "bad", OutcomeUnknown: "warn",
  RetryScheduled: "warn", Deferred: "warn", Requeued: "move", Discarded: "wait", Cancelled: "wait", Expired: "warn",
  DeliveryOverdue: "warn", Substituted: "warn", Suppressed: "wait",
};

function byEvents(events: readonly LoggedEvent[]): Entry[] {
  return events.map((event, i) => {
    const before = events[i - 1];
    const passed = before ? Date.parse(event.recordedAt) - Date.parse(before.recordedAt) : null;
    return {
      key: event.id, at: event.recordedAt, tone: eventTones[event.type] ?? "wait", data: event.data,
      text: [h("strong", null, spaced(event.type)),
        h("span", { class: "quiet" }, ` by ${actorOf(event.by)}`,
        passed === null ? "" : `, ${span(passed / 1000)} later`, event.occurredAt ? [", at WhatsApp ", time(event.occurredAt, "seconds")]
          : null)],
      detail: gist(event),
    };
  });
}

/** Returns the most important data of an event in one line. */
function gist({ data }: LoggedEvent): string {
  if (typeof data !== "object" || data === null) return "";
  const record = data as Record<string, unknown>, failure = record.failure as Record<string, unknown> | undefined;
  const parts: string[] = [];
  if (typeof record.call === "number") parts.push(`call ${record.call}`);
  if (typeof record.attempt === "number") parts.push(`attempt ${record.attempt}`);
  if (typeof record.reason === "string") parts.push(record.reason);
  if (failure && typeof failure.message === "string") parts.push(failure.message);
  return parts.join(", ");
}

function byCalls(m: Message): Entry[] {
  const entries: Entry[] = [{ key: "queued", at: m.queuedAt, tone: "wait", text: h("strong", null, "Queued") }];
  const add = (at: string | null, tone: Tone, text: string, detail?: string): void => {
    if (at) entries.push({ key: `${text} ${at}`, at, tone, text: h("strong", null, text), detail });
  };
  for (const attempt of m.attemptLog) {
    const [outcome, tone] = outcomes[attempt.outcome]!;
    add(attempt.startedAt, tone, `Call ${attempt.call}: ${outcome}`, attempt.failure ? explain(attempt.failure) : "");
  }
  add(m.deliveredAt, "good", "Delivered");
  add(m.readAt, "good", "Read");
  if (m.status === "FAILED" || m.status === "DEAD_LETTERED") add(m.failure?.at ?? null, "bad", m.status === "FAILED" ? "Failed permanently"
    : "Dead letter", m.failure?.advice);
  // WhatsApp's times are whole seconds and can be before the call that caused them, so entries within a second keep this order.
  return entries.sort((a, b) => Math.floor(Date.parse(a.at) / 1000) - Math.floor(Date.parse(b.at) / 1000));
}

function timeline(m: Message): Child {
  const entries = m.history ? byEvents(m.history.edges.map(({ node }) => node)) : byCalls(m);
  if (m.status === "RETRYING" && m.retryAt) entries.push({ key: "next", at: m.retryAt, tone: "warn", text: "Next attempt" });
  if (m.status === "QUEUED" && m.sendAt) entries.push({ key: "next", at: m.sendAt, tone: "wait", text: "Scheduled to be sent" });
  return [
    h("ol", { class: "timeline", "aria-label": "Timeline" },
      entries.map(({ key, at, tone, text, detail, data }) => h("li", { key, "data-tone": tone },
      time(at), h("div", null, h("p", null, text, detail ? h("span", { class: "quiet" }, detail) : null),
        data !== undefined && data !== null
          ? h("details", null, h("summary", { class: "quiet" }, "Recorded data"), h("pre", { tabindex: 0 }, JSON.stringify(data, null, 2)))
          : null)))),
    m.history?.pageInfo.hasNextPage
      ? quiet("These are the first 200 events. ", h("a", { href: link(["ledger"], new URLSearchParams({ message: m.id, ...(state.viewer?.senderIds ? { sender: m.sender.id } : {}) })) }, "Show all in the event log"), ".") : null,
  ];
}

const attemptColumns = [{ name: "Call", class: "number" }, { name: "Began" }, { name: "Took", class: "number" }, { name: "Outcome" },
  { name: "Failure" }, { name: "Settled by", class: "extra" }];

function attempts(m: Message): Child {
  if (m.attemptLog.length === 0) return quiet("No calls yet.");
  return table({ class: "stack attempts" }, "Calls to WhatsApp", attemptColumns, m.attemptLog.map(attempt => {
    const [outcome, tone] = outcomes[attempt.outcome]!;
    return h("tr", { key: attempt.call },
      cell("Call", { class: "number" }, attempt.call), cell("Began", null, time(attempt.startedAt)),
      cell("Took", { class: "number" }, attempt.endedAt ? span((Date.parse(attempt.endedAt) - Date.parse(attempt.startedAt)) / 1000) : "–"),
      cell("Outcome", null, chip(outcome, tone)), h("td", { class: "wrap" }, attempt.failure ? explain(attempt.failure) : ""),
        h("td", { class: "extra" }, attempt.settledBy ? words(attempt.settledBy) : ""));
  }));
}
