// Dead letters: their failures, the advice, and the actions.
import { ask, messageOf } from "../api/client.ts";
import { DeadLetters, Discard, Requeue, type DeadLetterFilter, type DeadLettersData } from "../api/operations.ts";
import { count, momentOf, plural, words } from "../lib/format.ts";
import { unknown } from "../lib/query.ts";
import type { Route, View } from "../route.ts";
import { forbidden, poll, pulse, senderChoices } from "../state.ts";
import { h, reactive, type Child, type VNode } from "../ui/h.ts";
import { fromField, toField } from "../ui/zone.ts";
import { byTime, pageOf, pager, setFilter } from "../ui/pager.ts";
import { ago, button, card, cell, chip, choose, messageLink, quiet, textFilter } from "../ui/parts.ts";
import { discardDeadLetters, requeueDeadLetters } from "./actions.ts";

type Page = DeadLettersData["deadLetters"];

const pageSize = 50;
const every = 3000;

interface Asked { sender: string; category: string; code: string; label: string; from: string; until: string; unknown: string }

const read = (query: URLSearchParams): Asked =>
  ({ sender: query.get("sender") ?? "", category: query.get("category") ?? "", code: query.get("code") ?? "", label: query.get("label") ?? "",
    from: query.get("from") ?? "", until: query.get("until") ?? "",
    unknown: unknown(query, "sender", "category", "code", "label", "from", "until", "page", "after") });

/** Converts the texts of the filters to a filter, or says which of them has no meaning. */
function understand({ sender, category, code, label, from, until, unknown: stray }: Asked):
{ filter: DeadLetterFilter; invalid: string } {
  const [name, ...value] = label.split("=");
  const filter: DeadLetterFilter = {
    ...(sender ? { senderId: sender } : {}), ...(category ? { category } : {}), ...(code ? { code: Number(code) } : {}),
    ...(from ? { deadLetteredAfter: from } : {}), ...(until ? { deadLetteredBefore: until } : {}),
    ...(label ? { label: { name: name!.trim(), value: value.join("=").trim() } } : {}),
  };
  const invalid = code && !/^\d+$/.test(code) ? `“${code}” is not an error code. Enter a number such as 131000.`
    : [from, until].some(time => time && momentOf(time) === null) ? "The address has a time that is not valid."
    : label && (!filter.label!.name || value.length === 0) ? `“${label}” is not a label. Enter name=value.` : stray;
  return { filter, invalid };
}

/** Describes a filter, for the count and for what a decision is about. */
const describe = ({ senderId, category, code, label, deadLetteredAfter, deadLetteredBefore }: DeadLetterFilter): string => [
  senderId && `sender ${senderId}`, category && words(category), code !== undefined && `code ${code}`,
  label && `label ${label.name}=${label.value}`, deadLetteredAfter && `dead from ${deadLetteredAfter}`,
  deadLetteredBefore && `dead before ${deadLetteredBefore}`].filter(Boolean).join(", ");

export function deadLetters(route: Route): View {
  const view = reactive({
    asked: read(route.query), at: pageOf(route.query), page: null as Page | null, fault: "",
    all: false, // all that match the filter are selected, not only the checked ones
    ticked: new Set() as ReadonlySet<string>,
  });
  let round = 0;
  let stop = poll(every, load);

  function moved(query: URLSearchParams): void {
    round++; // a reply that has not arrived is of another address
    Object.assign(view, { asked: read(query), at: pageOf(query), page: null, fault: "", all: false, ticked: new Set() });
    stop();
    stop = poll(every, load);
  }

  async function load(): Promise<void> {
    const mine = ++round;
    const { filter, invalid } = understand(view.asked);
    if (invalid) { // it selects nothing, rather than everything
      Object.assign(view, { page: null, fault: invalid });
      return;
    }
    try {
      const answer = await ask(DeadLetters, { filter, first: pageSize, after: view.at.after });
      if (mine === round) Object.assign(view, { page: answer.deadLetters, fault: "" });
    } catch (error) {
      if (mine === round) view.fault = messageOf(error);
      throw error;
    }
  }

  const select = (all: boolean, ids: Iterable<string> = []): void => void Object.assign(view, { all, ticked: new Set(ids) });

  const changed = (): void => {
    void load().catch(() => {});
    void pulse().catch(() => {});
  };

  return { title: "Dead letters", stop: () => stop(), moved, render };

  function render(): VNode {
    const { asked, page, fault } = view, { sender, code, label } = asked;
    const { filter, invalid } = understand(asked);
    const described = describe(filter);
    return h("div", { class: "board" },
      h("div", { class: "filters wide", role: "group", "aria-label": "Filters" },
        choose("Sender", sender, senderChoices("all"), value => setFilter({ sender: value })),
        h(textFilter, { label: "Code", value: code, placeholder: "131000", inputmode: "numeric", onchange: value => setFilter({ code: value }) }),
        h(textFilter, { label: "Label", value: label, placeholder: "name=value", onchange: value => setFilter({ label: value }) }),
        h(textFilter, { label: "From", type: "datetime-local", step: 1, value: toField(asked.from), onchange: value => setFilter({ from: fromField(value) }) }),
        h(textFilter, { label: "Until", type: "datetime-local", step: 1, value: toField(asked.until), onchange: value => setFilter({ until: fromField(value) }) }),
        described || invalid ? h("a", { class: "clear", href: "#/dead-letters" }, "Clear all") : null),
      card(["Dead letters ", page
        ? h("span", { class: "quiet", id: "dead-count" }, described ? `${count(page.totalCount)} with ${described}` : count(page.totalCount))
        : null],
        { id: "dead-letters", class: "wide" }, null,
        categories(page, asked.category),
        fault ? h("p", { class: "error", role: "alert" }, fault) : null,
        invalid ? null : page === null ? quiet("Loading…") : page.edges.length === 0 ? empty(described)
          : [selection(page, filter), rows(page), pager(view.at, page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null, byTime, plural(page.edges.length, "row"))]));
  }

  function empty(described: string): VNode {
    return h("div", { class: "nothing" }, described ? quiet(`No dead letters with ${described}.`)
      : [h("p", null, "No dead letters await a decision."),
        quiet("A message becomes a dead letter when its attempts are used up, or when a response was lost and the message must not be sent twice.")]);
  }

  function categories(page: Page | null, category: string): Child {
    const found = page?.byCategory ?? [];
    if (found.length === 0 && !category) return null;
    return h("div", { class: "counts", role: "group", "aria-label": "By category" },
      category ? button("All categories", () => setFilter({ category: null }), { class: "plain small" }) : null,
      found.map(({ category: name, count: n }) => h("button", {
        type: "button", key: name, class: "count-link", "aria-pressed": String(category === name),
          onclick: () => setFilter({ category: category === name ? null : name }),
      }, words(name), h("strong", null, count(n)))));
  }

  function selection({ totalCount, edges }: Page, filter: DeadLetterFilter): VNode {
    const { all, ticked } = view, chosen = all ? totalCount : ticked.size, described = describe(filter);
    const decide = (action: typeof requeueDeadLetters): void => {
      const input = view.all ? { filter } : { ids: [...view.ticked] }; // a change may not be drawn yet
      const what = view.all ? described ? `All dead letters with ${described}.` : "All dead letters." : "The selected dead letters.";
      action(input, what, changed, () => select(false));
    };
    const reason = forbidden(Requeue, "Requeueing") ?? forbidden(Discard, "Discarding");
    const shown = edges.map(({ node }) => node.message.id);
    return h("div", { class: "selection" },
      reason ? quiet(reason) : [
        button("Requeue…", () => decide(requeueDeadLetters), { class: "", disabled: chosen === 0, id: "requeue" }),
        button("Discard…", () => decide(discardDeadLetters), { disabled: chosen === 0, id: "discard" }),
        h("span", { role: "status" }, chosen === 0 ? "None selected." : all
          ? `All ${count(chosen)} that match the filter are selected.` : `${count(chosen)} selected.`),
        all || totalCount <= shown.length && ticked.size === totalCount ? null
          : button(`Select all ${count(totalCount)}${described ? " that match the filter" : ""}`,
            () => select(true), { class: "plain small", id: "select-all" }),
        chosen > 0 ? button("Select none", () => select(false), { class: "plain small" }) : null,
      ]);
  }

  function rows({ edges }: Page): VNode {
    const ids = edges.map(({ node }) => node.message.id);
    const { all, ticked } = view, some = !all && ids.some(id => ticked.has(id)), every = all || ids.every(id => ticked.has(id));
    const allowed = !forbidden(Requeue);
    const tick = (id: string, on: boolean): void => {
      const next = new Set(view.all ? ids : view.ticked); // from all that match the filter to those on the page
      if (on) next.add(id);
      else next.delete(id);
      select(false, next);
    };
    return h("table", { class: "stack dead" },
      h("caption", { class: "unseen" }, "Dead letters, most recently queued first"),
      h("thead", null, h("tr", null,
        allowed ? h("th", { scope: "col", class: "tick" }, h("input", {
          type: "checkbox", "aria-label": "Select this page", checked: every, indeterminate: some && !every,
          onchange: (event: Event) => select(false, (event.target as HTMLInputElement).checked ? [...view.ticked, ...ids]
            : [...view.ticked].filter(id => !ids.includes(id))),
        })) : null,
        ["Message", "To", "Sender", "Failure and advice"].map(name => h("th", { scope: "col", key: name }, name)),
        h("th", { scope: "col", class: "number" }, "Attempts"), h("th", { scope: "col", class: "number" }, "Dead for"))),
      h("tbody", null, edges.map(({ node: { message, failure, at, attempts } }) => h("tr", { key: message.id },
        allowed ? h("td", { class: "tick" }, h("input", {
          type: "checkbox", "aria-label": `Select ${message.id}`, checked: all || ticked.has(message.id),
          onchange: (event: Event) => tick(message.id, (event.target as HTMLInputElement).checked),
        })) : null,
        cell("Message", null, messageLink(message.id)),
        cell("To", { class: "mono" }, message.to ?? message.toUserId ?? "erased"),
        cell("Sender", { class: "name" }, message.sender.id),
        h("td", { class: "wrap" },
          h("p", null, chip(words(failure.category), "bad"), " ", failure.message, failure.code === null ? null
          : h("span", { class: "quiet" }, ` code ${failure.code}`)),
          h("p", { class: "quiet" }, failure.advice)),
        cell("Attempts", { class: "number" }, attempts),
        cell("Dead for", { class: "number" }, ago(at))))));
  }
}
