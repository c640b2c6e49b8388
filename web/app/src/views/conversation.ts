// One conversation: the messages in both directions, and a reply.
import { useLayoutEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { ask, authorization, messageOf, Refused, sawServerTime, ServerAway } from "../api/client.ts";
import { InboundArrivals, OneConversation, Position, Queue, SetOptOut, SomeMessageUpdates, type OneConversationData } from "../api/operations.ts";
import { connection } from "../api/socket.ts";
import { isUserId } from "../lib/recognize.ts";
import { unknown } from "../lib/query.ts";
import { link, type Route, type View } from "../route.ts";
import { forbidden, poll, report, senderName } from "../state.ts";
import { h, reactive, type Child, type VNode } from "../ui/h.ts";
import { attempt } from "../ui/overlay.ts";
import { byTime, pageOf, pager } from "../ui/pager.ts";
import { astray, button, card, chip, copied, facts, field, markField, messageLink, quiet, save, statusChip, time, values } from "../ui/parts.ts";
import { setOptOut } from "./actions.ts";
import { bubble } from "./content.ts";
import { Countdown, windowOpen } from "./conversations.ts";
import { queueOnce, textContent, WrongField } from "./queueing.ts";

type Conversation = OneConversationData["conversation"];
type Item = Conversation["messages"]["edges"][number]["node"];

const pageSize = 50;
const every = 5000; // for what no subscription reports: echoes, and messages that other programs queue
const soon = 200; // ms; changes in quick succession cause one reload
const ended: readonly string[] = ["READ", "FAILED", "DEAD_LETTERED", "CANCELLED", "EXPIRED", "DISCARDED", "SUPPRESSED"];

export function conversation(route: Route): View {
  const senderId = route.params.sender!, person = route.params.person!;
  const who = isUserId(person) ? { toUserId: person } : { to: person };
  const view = reactive({ page: pageOf(route.query), invalid: unknown(route.query, "page", "after"), shown: null as Conversation | null, loading: true, fault: "" });
  let stopped = false, round = 0, again: ReturnType<typeof setTimeout> | undefined;
  let ends: (() => void)[] = [], unfollow: () => void = () => {}, followed = "";
  let queued: string[] = []; // messages that were queued here and may not be in the list yet

  const hasten = (): void => { again ??= setTimeout(() => void load().catch(report), soon); };

  async function load(): Promise<void> {
    clearTimeout(again);
    again = undefined;
    const mine = ++round;
    try {
      const { readModel: { position } } = await ask(Position, {});
      const found = (await ask(OneConversation, { senderId, ...who, first: pageSize, after: view.page.after })).conversation;
      if (stopped || mine !== round) return;
      Object.assign(view, { shown: found, loading: false, fault: "" });
      follow(found, position);
    } catch (error) {
      if (!stopped && mine === round) view.fault = messageOf(error);
      throw error;
    }
  }

  /** Follows the messages whose status can still change. */
  function follow({ messages: { edges } }: Conversation, after: string): void {
    const outbound = edges.flatMap(({ node }) => node.outbound ?? []);
    queued = queued.filter(id => !outbound.some(message => message.id === id));
    const ids = [...queued, ...outbound.filter(({ status }) => !ended.includes(status)).map(({ id }) => id)];
    if (ids.join() === followed) return;
    unfollow();
    followed = ids.join();
    unfollow = ids.length === 0 ? () => {} : connection.subscribe(SomeMessageUpdates, { ids, after }, {
      cursor: data => data.messageUpdates.cursor, refused: report, gone: () => { followed = ""; },
      next: ({ messageUpdates: { at } }) => {
        sawServerTime(at);
        hasten();
      },
    });
  }

  /** Follows what people write to the sender. */
  function arrivals(): () => void {
    let stop: () => void = () => {};
    const start = (): void => {
      stop = connection.subscribe(InboundArrivals, { senderId }, { cursor: data => data.inboundMessages.cursor, refused: report, gone: start, next: hasten });
    };
    start();
    return () => stop();
  }

  if (!forbidden(OneConversation)) ends = [poll(every, load), arrivals()];

  return {
    title: "Conversation",
    stop: () => {
      stopped = true;
      clearTimeout(again);
      unfollow();
      for (const end of ends) end();
    },
    moved: query => {
      Object.assign(view, { page: pageOf(query), invalid: unknown(query, "page", "after"), loading: true, fault: "" });
      void load().catch(report);
    },
    render: () => {
      const reason = forbidden(OneConversation, "Reading a conversation"), { shown, page, loading, fault } = view;
      if (reason) return h("section", { class: "card narrow" }, h("h2", null, "Conversation"), quiet(reason));
      if (view.invalid) return astray("Conversation", view.invalid, link(["conversations", senderId, person]));
      if (!shown) return h("section", { class: "card narrow" }, h("h2", null, "Conversation"), h("p", { role: "status", class: fault ? "error" : "" }, fault || "Loading…"));
      const { messages: { edges, pageInfo } } = shown;
      return h("div", { class: "board" },
        head(shown, person, now => { view.shown = { ...view.shown!, ...now }; }),
        fault ? h("p", { class: "error wide", role: "alert" }, fault) : null,
        card("Messages", { id: "thread-card" }, null,
          loading ? quiet("Loading…") : h(Thread, { key: page.after ?? "newest", items: edges.map(({ cursor, node }) => ({ cursor, node })).reverse(), name: shown.name ?? person }),
          pager(page, !loading && pageInfo.hasNextPage ? pageInfo.endCursor : null, byTime)),
        h("div", { class: "column" },
          h(Reply, { senderId, person, who, until: shown.windowOpenUntil, optedOut: shown.optedOut, queued: id => {
            queued = [...queued, id];
            hasten();
          } }),
          card("Facts", { id: "facts" }, null, facts([
            ["Sender", h("a", { href: link(["senders", senderId]) }, senderName(senderId))],
            ["Name", shown.name], ["Number", shown.to && copied(shown.to, "the number")], ["User ID", shown.toUserId && copied(shown.toUserId, "the user ID")],
            ["Person wrote last", shown.lastInboundAt && time(shown.lastInboundAt, "seconds")],
            ["Sender wrote last", shown.lastOutboundAt && time(shown.lastOutboundAt, "seconds")],
            ["24-hour window", [h(Countdown, { until: shown.windowOpenUntil }), shown.windowOpenUntil ? [" until ", time(shown.windowOpenUntil, "seconds")] : null]],
            ["Free of charge", shown.freeUntil && ["until ", time(shown.freeUntil, "seconds")]],
            ["Opted out", shown.optedOutSince && [time(shown.optedOutSince, "seconds"), shown.optOutSource ? `, ${sources[shown.optOutSource]}` : ""]],
          ]), h("p", { class: "quiet" }, h("a", { href: `#/messages?${isUserId(person) ? "user" : "to"}=${encodeURIComponent(person)}` }, "All messages to this person")))));
    },
  };
}

const sources = {
  USER_PREFERENCES: "in WhatsApp's settings", ERROR_131050: "reported by WhatsApp with code 131050", KEYWORD: "by a keyword", API: "recorded by an operator or a program",
} as const;

function head(shown: Conversation, person: string, changed: (now: Partial<Conversation>) => void): VNode {
  const { senderId, name, optedOut, windowOpenUntil } = shown, isId = isUserId(person);
  const reason = forbidden(SetOptOut, "Recording an opt-out");
  const of = { senderId, to: isId ? null : person, toUserId: isId ? person : null };
  return h("div", { class: "page-head wide" },
    h("h2", null, name ?? person), h(Countdown, { until: windowOpenUntil }), optedOut ? chip("opted out of marketing", "warn") : null,
    h("div", { class: "tools" }, h("a", { href: "#/conversations" }, "All conversations"), reason ? quiet(reason)
      : button(optedOut ? "Opt in…" : "Opt out…", () => setOptOut(of, !optedOut, changed), { id: "opt-out" })));
}

// ───────────── the thread ─────────────

/** The messages, the newest one at the end, which stays in view while it is. */
function Thread({ items, name }: { items: readonly { cursor: string; node: Item }[]; name: string }): VNode {
  const box = useRef<HTMLDivElement>(null), atEnd = useRef(true), last = items.at(-1)?.cursor;
  useLayoutEffect(() => {
    if (atEnd.current) box.current!.scrollTop = box.current!.scrollHeight;
  }, [last]);
  const scrolled = (): void => {
    const { scrollTop, scrollHeight, clientHeight } = box.current!;
    atEnd.current = scrollHeight - scrollTop - clientHeight < 40;
  };
  return h("div", { class: "thread", role: "log", "aria-label": "Messages, newest last", tabindex: 0, ref: box as never, onscroll: scrolled },
    items.length === 0 ? quiet("No messages.") : h("ol", null, items.map(({ cursor, node }) => h("li", { key: cursor, class: node.inbound ? "theirs" : "ours" },
      spoken(node, name)))));
}

function spoken({ at, outbound, inbound, echo }: Item, name: string): Child {
  if (inbound) {
    const { id, type, content, hasMedia, erasedAt } = inbound;
    return [said([name, ", ", time(at, "seconds")]), content === null ? gone(erasedAt) : bubble(type.toUpperCase(), content),
      hasMedia ? button("Save file", () => void attempt("Saved.", () => saveMedia(id)), { class: "plain small" }) : null];
  }
  if (outbound) {
    const { id, type, status, content, erasedAt } = outbound;
    return [said([messageLink(id), ", ", time(at, "seconds"), " ", statusChip(status)]), content === null ? gone(erasedAt) : bubble(type, content)];
  }
  const { type, standby, raw } = echo!;
  return [said([standby ? "Sent by another system, " : "Sent from the WhatsApp Business app, ", time(at, "seconds")]),
    raw === null ? gone("") : bubble(type.toUpperCase(), (raw as Record<string, unknown>)[type])];
}

const said = (children: Child): VNode => h("p", { class: "quiet" }, children);

const gone = (erasedAt: string | null): VNode => quiet(erasedAt === null ? "No content." : "Erased.");

/** Saves the file of an inbound message. The key is in a header, so a link can't. */
async function saveMedia(id: string): Promise<void> {
  const response = await fetch(`media/${id}`, { headers: authorization() });
  if (!response.ok) throw new Error(`The file is not available (status ${response.status}). WhatsApp keeps files for 7 days.`);
  save(id, await response.blob());
}

// ───────────── reply ─────────────

interface ReplyTo { senderId: string; person: string; who: { to?: string; toUserId?: string }; until: string | null; optedOut: boolean; queued: (id: string) => void }

function Reply({ senderId, person, who, until, optedOut, queued }: ReplyTo): VNode {
  const busy = useSignal(false), fault = useSignal(""), done = useSignal(""), reason = forbidden(Queue, "Replying"), left = useRef(false);
  useLayoutEffect(() => () => { left.current = true; }, []);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (busy.value) return;
    const form = event.currentTarget as HTMLFormElement;
    [busy.value, fault.value, done.value] = [true, "", ""];
    markField(form, null);
    try {
      const { message: { id } } = await queueOnce({ senderId, ...who, content: textContent(values(form).body ?? "") }, text => { fault.value = text; }, () => left.current);
      form.reset();
      [fault.value, done.value] = ["", id];
      queued(id);
    } catch (error) {
      fault.value = error instanceof ServerAway ? "No response. Press Queue reply again: the message will not be sent twice." : messageOf(error);
      markField(form, error instanceof Refused ? error.field : error instanceof WrongField ? error.field : null);
    }
    busy.value = false;
  };
  return card("Reply", { id: "reply" }, null, reason ? quiet(reason) : [
    windowOpen(until) ? null : h("div", { key: "closed", class: "callout", "data-tone": "warn", role: "note" },
      h("p", null, h("strong", null, "The 24-hour window is closed.")),
      h("p", null, "WhatsApp refuses a text with the code 131047. ",
        h("a", { href: `#/queue?to=${encodeURIComponent(person)}&sender=${encodeURIComponent(senderId)}` }, "Queue a template"), " instead.")),
    optedOut ? h("p", { key: "out", class: "quiet" }, "They opted out of marketing: reply only to what they asked.") : null,
    h("form", { key: "form", onsubmit: submit },
      field("Text", h("textarea", { name: "body", rows: 3, required: true, dir: "auto" })),
      h("p", { class: "error", role: "alert" }, fault.value),
      h("div", { class: "actions" }, h("button", { type: "submit", disabled: busy.value }, busy.value ? "Queueing…" : "Queue reply"),
        h("span", { role: "status" }, done.value ? ["Queued: ", messageLink(done.value), "."] : null))),
  ]);
}
