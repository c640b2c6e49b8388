// The API keys and what each of them permits.
import { ask } from "../api/client.ts";
import { ApiKeys, CreateApiKey, RevokeApiKey, type ApiKeyRow, type Scope } from "../api/operations.ts";
import { unknown, unlisted } from "../lib/query.ts";
import { setQuery, type Route, type View } from "../route.ts";
import { forbidden, poll, state } from "../state.ts";
import { h, reactive, type Child, type VNode } from "../ui/h.ts";
import { lostEntry, note, openDialog, showSecret } from "../ui/overlay.ts";
import { fromField } from "../ui/zone.ts";
import { actorOf, astray, button, card, cell, chip, field, mono, quiet, table, time } from "../ui/parts.ts";

const every = 5000;

const scopes: readonly (readonly [Scope, string])[] = [
  ["READ", "messages, counts, and metrics, with numbers masked"], ["PERSONAL", "phone numbers, labels, and content"],
  ["SEND", "queue and cancel messages"], ["OPERATE", "senders, alerts, dead letters"], ["AUDIT", "the ledger and the event log"],
  ["ADMIN", "everything, and keys"],
];

export function keys(route: Route): View {
  const view = reactive({ all: false, invalid: "", keys: null as ApiKeyRow[] | null });
  const load = async (): Promise<void> => {
    const { all } = view, { apiKeys } = await ask(ApiKeys, { includeRevoked: all });
    if (all === view.all) view.keys = apiKeys;
  };
  let stop: () => void = () => {};
  const begin = (query: URLSearchParams): void => {
    stop();
    Object.assign(view, { all: query.get("all") === "1", invalid: unlisted(query, "all", ["1"]) || unknown(query, "all") });
    if (!view.invalid && !forbidden(ApiKeys)) stop = poll(every, load);
  };
  const put = (key: ApiKeyRow): void => {
    const rest = (view.keys ?? []).filter(({ id }) => id !== key.id);
    view.keys = key.revokedAt && !view.all ? rest : [...rest, key].sort((a, b) => Date.parse(a.createdAt) - Date.parse(b.createdAt));
  };
  begin(route.query);
  return {
    title: "API keys", stop: () => stop(), moved: begin,
    render: () => {
      const reason = forbidden(ApiKeys);
      if (reason) return h("section", { class: "card narrow" }, h("h2", null, "API keys"), quiet(reason));
      if (view.invalid) return astray("API keys", view.invalid, "#/keys");
      return h("div", { class: "board" }, card("API keys", { id: "keys", class: "wide" }, [
        h("label", { class: "check" }, h("input", { type: "checkbox", checked: view.all,
          onchange: (event: Event) => setQuery({ all: (event.target as HTMLInputElement).checked ? "1" : null }) }), "Show revoked and expired keys"),
        button("Create key…", () => create(put), { class: "", id: "create-key" }),
      ],
      quiet("The ADMIN key of the installation and short-lived access tokens are not listed."),
      view.keys === null ? quiet("Loading…") : view.keys.length === 0 ? quiet("No keys yet.") : keyTable(view.keys, put)));
    },
  };
}

const columns = [{ name: "Name" }, { name: "Scopes" }, { name: "Senders" }, { name: "Created" }, { name: "Last used" }, { name: "Expires" },
  { name: "Change" }];

const keyTable = (list: readonly ApiKeyRow[], changed: (key: ApiKeyRow) => void): VNode => table({ class: "stack" }, "API keys", columns,
  list.map(key => h("tr", { key: key.id },
    h("th", { scope: "row" }, key.name, " ", key.revokedAt ? chip("revoked", "bad") : null),
    cell("Scopes", { class: "wrap" }, key.scopes.join(", ")),
    cell("Senders", { class: "wrap" }, key.senderIds?.join(", ") ?? "all"),
    cell("Created", { class: "wrap" }, time(key.createdAt, "minutes"), h("span", { class: "quiet" }, ` by ${actorOf(key.createdBy)}`)),
    cell("Last used", null, key.lastUsedAt ? time(key.lastUsedAt, "minutes") : "–"),
    cell("Expires", null, key.expiresAt ? time(key.expiresAt, "minutes") : "never"),
    h("td", null, key.revokedAt ? null : button("Revoke…", () => revoke(key, changed), { class: "plain small", "aria-label": `Revoke… ${key.name}` })))));

function create(changed: (key: ApiKeyRow) => void): void {
  openDialog({
    title: "Create API key", label: () => "Create key", lost: lostEntry,
    body: (): Child => [
      field("Name", h("input", { name: "name", required: true, autocomplete: "off" }), "Without personal data: it is recorded in the event log."),
      h("fieldset", null, h("legend", null, "Scopes"), scopes.map(([scope, meaning]) => h("label", { class: "check", key: scope },
        h("input", { type: "checkbox", name: `scope-${scope}`, value: scope, defaultChecked: scope === "READ" }), scope,
        h("span", { class: "quiet" }, ` ${meaning}`)))),
      h("fieldset", null, h("legend", null, "Senders"), quiet("Without a choice, the key has access to all senders."),
        (state.senders ?? []).map(({ id, name }) => h("label", { class: "check", key: id },
          h("input", { type: "checkbox", name: `sender-${id}`, value: id }), `${name} (${id})`))),
      field("Expires", h("input", { name: "expiresAt", type: "datetime-local", step: 60 }), "If empty, never."),
    ],
    run: async values => {
      const chosen = (prefix: string): string[] => Object.entries(values).filter(([name]) => name.startsWith(prefix)).map(([, value]) => value);
      const senderIds = chosen("sender-");
      const { createApiKey } = await ask(CreateApiKey, { input: {
        name: values.name!, scopes: chosen("scope-") as Scope[], senderIds: senderIds.length > 0 ? senderIds : null,
        expiresAt: values.expiresAt ? fromField(values.expiresAt) : null,
      } });
      changed(createApiKey.apiKey);
      showSecret(`API key ${createApiKey.apiKey.name}`, createApiKey.secret);
    },
  });
}

function revoke(key: ApiKeyRow, changed: (key: ApiKeyRow) => void): void {
  openDialog({
    title: `Revoke ${key.name}`, danger: true, close: "Keep the key", label: () => "Revoke key",
    body: () => [h("p", null, "Programs that use the key, and the access tokens that it created, lose access within a second. This cannot be undone."),
      quiet("Key ID ", mono(key.id))],
    run: async () => {
      changed((await ask(RevokeApiKey, { id: key.id })).revokeApiKey);
      note(`${key.name} revoked.`);
    },
  });
}
