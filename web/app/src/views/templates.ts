// Message templates: what WhatsApp says about them, and how many messages of each are queued.
import { ask, messageOf } from "../api/client.ts";
import { OneTemplate, SyncTemplates, Templates, type OneTemplateData, type TemplateRow, type TemplatesData } from "../api/operations.ts";
import { count, seconds, span, words } from "../lib/format.ts";
import { unknown } from "../lib/query.ts";
import { link, type Route, type View } from "../route.ts";
import { forbidden, poll, state } from "../state.ts";
import { h, reactive, type Child, type VNode } from "../ui/h.ts";
import { attempt } from "../ui/overlay.ts";
import { pageOf, pager, setFilter } from "../ui/pager.ts";
import { button, card, cell, chip, choose, facts, mono, quiet, table, textFilter, time, type Tone } from "../ui/parts.ts";
import { templateBubble } from "./content.ts";

const pageSize = 50;
const every = 5000;

/** The statuses that WhatsApp documents. A filter of another one can be given in the address. */
const statuses = ["APPROVED", "PAUSED", "PENDING", "REJECTED", "DISABLED", "IN_APPEAL", "LIMIT_EXCEEDED", "ARCHIVED", "PENDING_DELETION", "DELETED"];

const read = (query: URLSearchParams) => ({
  account: query.get("account") ?? "", status: query.get("status") ?? "", name: query.get("name") ?? "", page: pageOf(query),
  invalid: unknown(query, "account", "status", "name", "page", "after"),
});

/** The business accounts of the senders. */
const accounts = (): string[] => [...new Set((state.senders ?? []).flatMap(({ businessAccountId: id }) => (id ? [id] : [])))].sort();

const choices = (any: string, values: readonly string[]): [string, string][] => [["", any], ...values.map((value): [string, string] => [value, value])];

export function templates(route: Route): View {
  const { account, name, language } = route.params;
  return account && name && language ? template(account, name, language) : templateList(route);
}

function templateList(route: Route): View {
  const view = reactive({ asked: read(route.query), list: null as TemplatesData["templates"] | null, fault: "" });

  async function load(): Promise<void> {
    const { asked } = view, { account, status, name, page, invalid } = asked;
    if (invalid) return void (view.fault = invalid);
    try {
      const filter = { businessAccountId: account || null, status: status ? [status] : null, name: name || null };
      const answer = await ask(Templates, { filter, first: pageSize, after: page.after });
      if (asked === view.asked) Object.assign(view, { list: answer.templates, fault: "" });
    } catch (error) {
      if (asked === view.asked) view.fault = messageOf(error);
      throw error;
    }
  }

  let stop = poll(every, load);
  return {
    title: "Templates", stop: () => stop(),
    moved: query => {
      stop();
      Object.assign(view, { asked: read(query), list: null, fault: "" });
      stop = poll(every, load);
    },
    render: () => {
      const { asked, list, fault } = view, known = accounts();
      const next = list?.pageInfo.hasNextPage ? list.pageInfo.endCursor : null;
      return h("div", { class: "board" },
        h("div", { class: "filters wide", role: "group", "aria-label": "Filters" },
          choose("Business account", asked.account, choices("all", known), value => setFilter({ account: value })),
          choose("Status", asked.status, choices("any", statuses), value => setFilter({ status: value })),
          h(textFilter, { label: "Name", value: asked.name, onchange: (value: string) => setFilter({ name: value }) }),
          asked.account || asked.status || asked.name || asked.invalid ? h("a", { class: "clear", href: "#/templates" }, "Clear all") : null),
        card("Templates", { id: "templates", class: "wide" }, forbidden(SyncTemplates) ? null
          : (asked.account ? [asked.account] : known).map(id => button(known.length > 1 && !asked.account ? `Sync ${id}` : "Sync", () => sync(id, load), { id: `sync-${id}` })),
          fault ? h("p", { class: "error", role: "alert" }, fault) : null,
          list === null ? quiet(fault ? "" : "Loading…") : list.edges.length === 0 ? quiet(asked.account || asked.status || asked.name
            ? "No template matches these filters."
            : known.length > 0 ? "No template is known yet." : "No sender has a business account. Add it under Senders, so that Waypost can list the templates.")
            : rows(list),
          pager(asked.page, next, ["Previous", "Next"], "Updates automatically.")));
    },
  };
}

function sync(account: string, then: () => Promise<void>): void {
  void attempt("Templates synced.", async () => {
    await ask(SyncTemplates, { account });
    await then();
  });
}

const columns = [{ name: "Template" }, { name: "Status" }, { name: "Category" }, { name: "Quality" },
  { name: "Queued", title: "Messages that wait to be sent", class: "number" }];

const rows = ({ edges }: TemplatesData["templates"]): VNode =>
  table({ class: "stack" }, "Templates, by account, name, and language", columns, edges.map(({ cursor, node }) => h("tr", { key: cursor },
    cell("Template", { class: "wrap" }, h("a", { href: link(["templates", node.businessAccountId, node.name, node.language]) }, node.name),
      " ", h("span", { class: "quiet" }, node.language)),
    cell("Status", null, status(node)), cell("Category", { class: "wrap" }, category(node)), cell("Quality", null, qualityChip(node.quality)),
    cell("Queued", { class: "number" }, count(node.queued)))));

const sendingTones: Record<TemplateRow["sending"], Tone> = { SENDING: "good", WAITING: "warn", FAILING: "bad" };

/** The status, in the tone of what happens to the messages of the template. */
const status = ({ status: name, sending }: Pick<TemplateRow, "status" | "sending">): VNode => chip(words(name), sendingTones[sending]);

const category = ({ category: now, announcedCategory: next }: TemplateRow): string =>
  (now ? words(now) : "–") + (next ? `, ${words(next)} soon` : "");

const qualityTones: Record<string, Tone> = { GREEN: "good", YELLOW: "warn", RED: "bad" };
const qualityNames: Record<string, string> = { GREEN: "high", YELLOW: "medium", RED: "low", UNKNOWN: "not rated" };

/** WhatsApp's quality score of a template or a number. */
export const qualityChip = (score: string | null): Child =>
  (score === null ? "–" : chip(qualityNames[score] ?? words(score), qualityTones[score] ?? "wait"));

const happens: Record<TemplateRow["sending"], string> = {
  SENDING: "Messages of this template are sent.",
  WAITING: "WhatsApp accepts no messages of this template for now. Queued messages wait, and are sent when WhatsApp accepts it again.",
  FAILING: "WhatsApp will not accept messages of this template. Queued messages fail when their turn comes.",
};

function template(account: string, name: string, language: string): View {
  const view = reactive({ found: undefined as OneTemplateData["template"] | undefined, fault: "" });

  async function load(): Promise<void> {
    try {
      Object.assign(view, { found: (await ask(OneTemplate, { account, name, language })).template, fault: "" });
    } catch (error) {
      view.fault = messageOf(error);
      throw error;
    }
  }

  const stop = poll(every, load);
  return {
    title: `Template ${name}`, stop,
    render: () => {
      const { found, fault } = view;
      return h("div", { class: "board" },
        h("div", { class: "page-head wide" }, h("h2", null, name, " ", h("span", { class: "quiet" }, language), " ", found ? status(found) : null),
          h("div", { class: "tools" }, h("a", { href: "#/templates" }, "All templates"),
            found && !forbidden(SyncTemplates) ? button("Sync", () => sync(account, load), { id: "sync" }) : null)),
        fault ? h("p", { class: "error wide", role: "alert" }, fault) : null,
        found === undefined ? quiet(fault ? "" : "Loading…")
          : found === null ? card("No template", { class: "wide", id: "none" }, null,
            quiet("There is no template of this name and language, or the key has no access to it."))
          : [details(found), preview(found)]);
    },
  };
}

type Found = NonNullable<OneTemplateData["template"]>;

function details(t: Found): VNode {
  return card("Details", { id: "details" }, null,
    h("div", { class: "callout", "data-tone": sendingTones[t.sending] }, h("p", null, happens[t.sending])),
    facts([["Status", [words(t.status), ", ", time(t.statusAt, "seconds")]], ["Reason", [t.statusReason, t.statusDetail].filter(reason => reason && reason !== "NONE").join(": ") || null],
      ["Queued", count(t.queued)], ["Quality", qualityChip(t.quality)], ["Category", t.category && words(t.category)],
      ["Category before", t.previousCategory && t.categoryChangedAt && [words(t.previousCategory), ", until ", time(t.categoryChangedAt, "seconds")]],
      ["Announced category", t.announcedCategory && [words(t.announcedCategory), t.announcedFor ? [", from ", time(t.announcedFor, "seconds")] : null]],
      ["Category by WhatsApp", t.correctCategory && words(t.correctCategory)],
      ["Variables", t.parameterFormat && words(t.parameterFormat)], ["Time to live", t.timeToLive && span(seconds(t.timeToLive))],
      ["Business account", mono(t.businessAccountId)], ["WhatsApp's ID", t.whatsappId && mono(t.whatsappId)]]),
    quiet(h("a", { href: link(["messages"], new URLSearchParams({ template: t.name })) }, "Messages")));
}

const preview = (t: Found): VNode => card("Preview", { id: "preview" }, null,
  t.listedAt ? [templateBubble(t.components), quiet("As of ", time(t.listedAt, "seconds"), ".")]
    : quiet("The parts of the template are not known until the next sync."));
