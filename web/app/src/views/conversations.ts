// The conversations: who wrote to the senders, and whether a text can be sent to them.
import { ask, messageOf } from "../api/client.ts";
import { Conversations, OneConversation, type ConversationRow, type ConversationsData } from "../api/operations.ts";
import { span } from "../lib/format.ts";
import { unknown, unlisted } from "../lib/query.ts";
import { link, type Route, type View } from "../route.ts";
import { forbidden, poll, senderChoices, senderName } from "../state.ts";
import { h, reactive, type VNode } from "../ui/h.ts";
import { byTime, pageOf, pager, setFilter } from "../ui/pager.ts";
import { ago, card, cell, chip, choose, drawnAt, mono, quiet, table } from "../ui/parts.ts";

const pageSize = 50;
const every = 4000;
const endsSoon = 3600; // seconds

const read = (query: URLSearchParams) => ({
  sender: query.get("sender") ?? "", window: query.get("window") ?? "", marketing: query.get("marketing") ?? "", page: pageOf(query),
  invalid: unlisted(query, "window", ["open", "closed"]) || unlisted(query, "marketing", ["out", "in"]) || unknown(query, "sender", "window", "marketing", "page", "after"),
});

/** Returns the value of a filter with two values, or null for both. */
const either = (value: string, yes: string, no: string): boolean | null => (value === yes ? true : value === no ? false : null);

export function conversations(route: Route): View {
  const view = reactive({ asked: read(route.query), list: null as ConversationsData["conversations"] | null, fault: "" });

  async function load(): Promise<void> {
    const { asked } = view, { sender, window, marketing, page, invalid } = asked;
    if (invalid) return void (view.fault = invalid); // it selects nothing, rather than everything
    try {
      const filter = { senderId: sender || null, windowOpen: either(window, "open", "closed"), optedOut: either(marketing, "out", "in") };
      const answer = await ask(Conversations, { filter, first: pageSize, after: page.after });
      if (asked === view.asked) Object.assign(view, { list: answer.conversations, fault: "" });
    } catch (error) {
      if (asked === view.asked) view.fault = messageOf(error);
      throw error;
    }
  }

  let stop = poll(every, load);
  return {
    title: "Conversations", stop: () => stop(),
    moved: query => {
      stop();
      Object.assign(view, { asked: read(query), list: null, fault: "" });
      stop = poll(every, load);
    },
    render: () => {
      const { asked, list, fault } = view, reason = forbidden(OneConversation, "Reading names, numbers, and messages");
      const next = list?.pageInfo.hasNextPage ? list.pageInfo.endCursor : null;
      return h("div", { class: "board" },
        h("div", { class: "filters wide", role: "group", "aria-label": "Filters" },
          choose("Sender", asked.sender, senderChoices("all"), value => setFilter({ sender: value })),
          choose("24-hour window", asked.window, [["", "any"], ["open", "open"], ["closed", "closed"]], value => setFilter({ window: value })),
          choose("Marketing", asked.marketing, [["", "any"], ["out", "opted out"], ["in", "not opted out"]], value => setFilter({ marketing: value })),
          asked.sender || asked.window || asked.marketing || asked.invalid ? h("a", { class: "clear", href: "#/conversations" }, "Clear all") : null),
        card("Conversations", { id: "conversations", class: "wide" }, null,
          reason ? quiet(reason) : null, fault ? h("p", { class: "error", role: "alert" }, fault) : null,
          list === null ? quiet(fault ? "" : "Loading…") : list.edges.length === 0
            ? quiet(next ? "None on this page. Older ones may match." : "No person matches these filters.")
            : rows(list, !reason),
          pager(asked.page, next, byTime, "Updates automatically.")));
    },
  };
}

const columns = [{ name: "Person" }, { name: "Sender" }, { name: "Wrote", title: "Since the person wrote last", class: "number" },
  { name: "24-hour window" }, { name: "Marketing" }];

const rows = ({ edges }: ConversationsData["conversations"], linked: boolean): VNode =>
  table({ class: "stack" }, "Conversations, most recently changed first", columns, edges.map(({ cursor, node }) => h("tr", { key: cursor },
    cell("Person", { class: "wrap" }, person(node, linked)), cell("Sender", { class: "name" }, senderName(node.senderId)),
    cell("Wrote", { class: "number" }, node.lastInboundAt ? ago(node.lastInboundAt) : "–"),
    cell("24-hour window", null, h(Countdown, { until: node.windowOpenUntil })),
    cell("Marketing", null, node.optedOut ? chip("opted out", "warn") : "–"))));

/** The person, as a link to the conversation unless the number is masked. */
function person({ senderId, to, toUserId, name }: ConversationRow, linked: boolean): VNode {
  const shown = to ?? toUserId;
  if (shown === null) return h("span", null, "erased");
  if (!linked) return mono(shown);
  return h("a", { href: link(["conversations", senderId, shown]) }, name ? `${name} ` : "", mono(shown));
}

/** Reports whether a free-form message can be sent now. */
export const windowOpen = (until: string | null): boolean => until !== null && Date.parse(until) > drawnAt();

/** How much of the 24-hour window is left. */
export function Countdown({ until }: { until: string | null }): VNode {
  if (!windowOpen(until)) return chip("closed", "wait");
  const left = Math.ceil((Date.parse(until!) - drawnAt()) / 1000);
  return chip(`open for ${span(left)}`, left < endsSoon ? "warn" : "good");
}
