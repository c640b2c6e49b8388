// Outgoing webhooks, and what was delivered to them.
import { ask, messageOf } from "../api/client.ts";
import { CreateHook, DisableHook, EnableHook, HookDeliveries, Hooks, RemoveHook, RotateHookSecret, UpdateHook, type Hook,
  type HookDeliveriesData, type OutgoingWebhookOutcome } from "../api/operations.ts";
import { seconds, span, words } from "../lib/format.ts";
import { unknown, unlisted } from "../lib/query.ts";
import { link, setQuery, type Route, type View } from "../route.ts";
import { forbidden, poll, state } from "../state.ts";
import { h, reactive, type Child, type VNode } from "../ui/h.ts";
import { attempt, lostEntry, note, openDialog, showSecret } from "../ui/overlay.ts";
import { byTime, pageOf, pager, type Page } from "../ui/pager.ts";
import { astray, button, card, cell, chip, facts, field, messageLink, mono, quiet, table, time, type Tone } from "../ui/parts.ts";

const every = 3000;

type Log = HookDeliveriesData["outgoingWebhooks"][number]["deliveries"];

const outcomes: Record<OutgoingWebhookOutcome, Tone> = { DELIVERED: "good", RETRIED: "warn", GIVEN_UP: "bad" };

interface Asked { id: string | null; failed: boolean; page: Page; invalid: string }

const read = (route: Route, query: URLSearchParams): Asked =>
  ({ id: route.params.id ?? null, failed: query.get("failed") === "1", page: pageOf(query),
    invalid: unlisted(query, "failed", ["1"]) || (route.params.id ? unknown(query, "failed", "page", "after") : unknown(query)) });

export function hooks(route: Route): View {
  const view = reactive({ asked: read(route, route.query), hooks: null as Hook[] | null, log: null as Log | null, fault: "" });
  let stop: () => void = () => {};

  async function load(): Promise<void> {
    const { asked } = view, { id, failed, page } = asked;
    try {
      if (id === null) {
        view.hooks = (await ask(Hooks, {})).outgoingWebhooks;
      } else {
        const { outgoingWebhooks } = await ask(HookDeliveries, { after: page.after, failed });
        if (asked !== view.asked) return;
        const one = outgoingWebhooks.filter(hook => hook.id === id);
        Object.assign(view, { hooks: one, log: one[0]?.deliveries ?? null });
      }
      view.fault = "";
    } catch (error) {
      if (asked === view.asked) view.fault = messageOf(error);
      throw error;
    }
  }

  const changed = (): void => void load().catch(() => {});

  function begin(query: URLSearchParams): void {
    stop();
    Object.assign(view, { asked: read(route, query), log: null });
    if (!view.asked.invalid && !forbidden(Hooks)) stop = poll(every, load);
  }

  begin(route.query);
  return {
    title: "Outgoing webhooks", stop: () => stop(), moved: begin,
    render: () => {
      const reason = forbidden(Hooks), { id, failed, page, invalid } = view.asked;
      if (reason) return h("section", { class: "card narrow" }, h("h2", null, "Outgoing webhooks"), quiet(reason));
      if (invalid) return astray("Outgoing webhooks", invalid, link(["webhooks", ...(id ? [id] : [])]));
      return h("div", { class: "board" },
        h("div", { class: "page-head wide" }, h("h2", null, id ? "Outgoing webhook" : "Outgoing webhooks"), h("div", { class: "tools" },
          id ? h("a", { href: "#/webhooks" }, "All outgoing webhooks") : forbidden(CreateHook) ? null
            : button("Create webhook…", () => edit(null, changed), { class: "", id: "create-hook" }))),
        view.fault ? h("p", { class: "error wide", role: "alert" }, view.fault) : null,
        view.hooks === null ? quiet("Loading…") : view.hooks.length === 0
          ? card(id ? "No webhook" : "No outgoing webhooks", { id: "none", class: "wide" }, null,
            quiet(id ? "There is no outgoing webhook with this ID." : "An outgoing webhook receives the events of messages at a URL of yours."))
          : view.hooks.map(hook => hookCard(hook, changed)),
        id && view.log ? card("Deliveries of the last seven days", { id: "deliveries", class: "wide" },
          h("label", { class: "check" }, h("input", { type: "checkbox", checked: failed,
            onchange: (event: Event) => setQuery({ failed: (event.target as HTMLInputElement).checked ? "1" : null, after: null, page: null }) }), "Only failed"),
          view.log.edges.length === 0 ? quiet("No deliveries.") : deliveries(view.log),
          pager(page, view.log.pageInfo.hasNextPage ? view.log.pageInfo.endCursor : null, byTime)) : null);
    },
  };
}

function hookCard(hook: Hook, changed: () => void): VNode {
  const { id, url, disabledAt } = hook;
  return card([url, " ", disabledAt ? chip("disabled", "bad") : chip("enabled", "good")], { key: id, id: `hook-${id}`, class: "wide" },
    actions(hook, changed),
    disabledAt ? h("div", { class: "callout", "data-tone": "bad" },
      h("p", null, "Delivery stopped ", time(disabledAt, "seconds"), `. ${hook.disabledReason ?? ""}`), quiet("New events wait until you enable it.")) : null,
    facts([["Events", hook.eventTypes?.join(", ") ?? "all"], ["Senders", hook.senderIds?.join(", ") ?? "all"],
      ["Personal data", hook.personal ? "included" : "not included"], ["Created", time(hook.createdAt, "minutes")], ["ID", mono(id)]]),
    h("p", { class: "quiet" }, h("a", { href: `#/webhooks/${id}` }, "Deliveries"), " · ", h("a", { href: `#/webhooks/${id}?failed=1` }, "Failed deliveries")));
}

function actions(hook: Hook, changed: () => void): Child {
  const { id, url } = hook;
  return [
    forbidden(EnableHook) ? null : hook.disabledAt
      ? button("Enable", () => void attempt("Enabled. Delivery continues where it stopped.", () => ask(EnableHook, { id }).then(changed)))
      : button("Disable…", () => openDialog({
        title: "Disable outgoing webhook", label: () => "Disable", close: "Keep it enabled",
        body: () => [h("p", null, "Events from now on are kept until you enable it again."),
          field("Reason", h("input", { name: "reason", autocomplete: "off" }), "Optional. Recorded.")],
        run: async ({ reason }) => { await ask(DisableHook, { id, reason: reason ?? null }); changed(); note("Disabled."); },
      })),
    forbidden(UpdateHook) ? null : [
      button("Edit…", () => edit(hook, changed)),
      button("New secret…", () => openDialog({
        title: "New secret", label: () => "Create new secret",
        lost: "No response, so the outcome is unknown. If the secret was replaced, creating another one ends the signatures by the secret that your receiver has.",
        body: () => h("p", null, "For 24 hours, deliveries also carry a signature by the old secret."),
        run: async () => { showSecret(`Secret for ${url}`, (await ask(RotateHookSecret, { id })).rotateOutgoingWebhookSecret.secret); },
      })),
      button("Remove…", () => openDialog({
        title: "Remove outgoing webhook", danger: true, label: () => "Remove", close: "Keep it",
        body: () => h("p", null, `${url} no longer receives events. This cannot be undone.`),
        run: async () => { await ask(RemoveHook, { id }); changed(); note("Removed."); },
      })),
    ],
  ];
}

/** Parses a list, or returns null if nothing was entered. A text of commas only is rejected, because null means all. */
const list = (name: string, text: string | undefined): string[] | null => {
  const parts = (text ?? "").split(/[\s,]+/).filter(Boolean);
  if (text && parts.length === 0) throw new Error(`${name}: “${text}” has no entries. Clear the field for all.`);
  return parts.length > 0 ? parts : null;
};

function edit(hook: Hook | null, changed: () => void): void {
  openDialog({
    title: hook ? "Edit outgoing webhook" : "Create outgoing webhook", label: () => (hook ? "Save" : "Create"), ...(hook ? {} : { lost: lostEntry }),
    body: () => [
      field("URL", h("input", { name: "url", type: "url", required: true, defaultValue: hook?.url ?? "", placeholder: "https://example.com/waypost", autocomplete: "off" })),
      field("Events", h("input", { name: "eventTypes", defaultValue: hook?.eventTypes?.join(", ") ?? "", placeholder: "Delivered, Read, DeadLettered", autocomplete: "off" }),
        "If empty, all types."),
      field("Senders", h("input", { name: "senderIds", defaultValue: hook?.senderIds?.join(", ") ?? "", placeholder: (state.senders ?? []).map(({ id }) => id).join(", "), autocomplete: "off" }),
        "IDs of senders. If empty, all."),
      h("label", { class: "check" }, h("input", { type: "checkbox", name: "personal", value: "1", defaultChecked: hook?.personal ?? false }),
        "Include phone numbers and content"),
    ],
    run: async values => {
      const input = { url: values.url!, eventTypes: list("Events", values.eventTypes), senderIds: list("Senders", values.senderIds), personal: values.personal === "1" };
      if (hook) {
        await ask(UpdateHook, { id: hook.id, input });
        note("Saved.");
      } else {
        showSecret(`Secret for ${input.url}`, (await ask(CreateHook, { input })).createOutgoingWebhook.secret);
      }
      changed();
    },
  });
}

const noMessage = /^[0-]+$/; // the message ID of an inbound message's event

const columns = [{ name: "At" }, { name: "Event" }, { name: "Message" }, { name: "Attempt", class: "number" }, { name: "Took", class: "number" },
  { name: "Outcome" }, { name: "Response" }];

const deliveries = ({ edges }: Log): VNode => table({ class: "stack" }, "Deliveries, newest first", columns, edges.map(({ node }) =>
  h("tr", { key: `${node.eventId} ${node.attempt}` },
    cell("At", null, time(node.at)), cell("Event", null, node.eventType),
    cell("Message", null, noMessage.test(node.messageId) ? "–" : messageLink(node.messageId)),
    cell("Attempt", { class: "number" }, node.attempt), cell("Took", { class: "number" }, span(seconds(node.took))),
    cell("Outcome", null, chip(words(node.outcome), outcomes[node.outcome])),
    cell("Response", { class: "wrap" }, node.status === null ? node.error ?? "none" : `HTTP ${node.status}`))));
