// Alerts: open alerts, updated live; resolved alerts; and the rules that raise them.
import { ask, messageOf } from "../api/client.ts";
import { Acknowledge, AlertRules, Alerts, SetRule, SilenceAlerts, Silences, type AlertKind, type AlertNow, type AlertRuleInput,
  type Rule, type SilenceNow } from "../api/operations.ts";
import { count, duration, figure, parseSpan, percent, seconds, sentence, span, spanInput, words } from "../lib/format.ts";
import { unknown } from "../lib/query.ts";
import type { Route, View } from "../route.ts";
import { forbidden, loudAlerts, onAlert, openAlerts, poll, putAlert, senderChoices, state } from "../state.ts";
import { h, reactive, type Child, type VNode } from "../ui/h.ts";
import { lostEntry, note, openDialog } from "../ui/overlay.ts";
import { byTime, pageOf, pager } from "../ui/pager.ts";
import { ago, astray, button, card, cell, chip, facts, field, held, options, quiet, statusChip, table, time, toneOf } from "../ui/parts.ts";
import { summaryNow, units } from "./alert_parts.ts";
import { silenceAlerts, silencedBy, silencesTable } from "./silences.ts";

const pageSize = 25;
const currentEvery = 3000; // the current values of open alerts

/** The anchor of the runbook's section for each kind. */
const runbook: Record<AlertKind, string> = {
  ERROR_RATE: "2-dead-letters", QUEUE_GROWTH: "3-stopped-queue", QUEUE_STALLED: "3-stopped-queue", SENDER_HELD: "1-expired-token",
  BREAKER_OPEN: "whatsapp-doesnt-respond", ACCOUNT_RESTRICTED: "restricted-account", MESSAGING_LIMIT_REACHED: "messaging-limit",
  LOG_SHORTENED: "shorter-log", DELIVERY_LATENCY: "other-alerts", QUALITY_LOW: "other-alerts", WEBHOOK_SILENCE: "other-alerts",
  WEBHOOK_REJECTED: "other-alerts", READ_MODEL_STALE: "other-alerts", LEDGER_UNBALANCED: "other-alerts", DISK_SPACE: "other-alerts",
  OUTGOING_WEBHOOK_DISABLED: "other-alerts", TEMPLATE_PAUSED: "other-alerts", TEMPLATE_CATEGORY_CHANGED: "other-alerts",
};

const allKinds = Object.keys(units) as AlertKind[];

const unitNames = { share: "percent", seconds: "seconds", perMinute: "messages per minute", number: "number", none: "" };

function written(kind: AlertKind, value: number): string {
  switch (units[kind]) {
    case "share": return percent(value);
    case "seconds": return span(value);
    case "perMinute": return `${figure(value)}/min`;
    case "number": return figure(value);
    default: return "–";
  }
}

export function alerts(route: Route): View {
  const view = reactive({
    resolved: null as AlertNow[] | null, rules: null as Rule[] | null, silences: [] as readonly SilenceNow[], page: pageOf(route.query), invalid: unknown(route.query, "page", "after"), next: null as string | null, fault: "",
  });

  async function history(): Promise<boolean> {
    const { page } = view;
    try {
      const { alerts: { edges, pageInfo } } = await ask(Alerts, { filter: { state: ["RESOLVED"] }, first: pageSize, after: page.after });
      if (page === view.page) Object.assign(view, { resolved: edges.map(({ node }) => node), next: pageInfo.hasNextPage ? pageInfo.endCursor : null, fault: "" });
      return true;
    } catch (error) {
      if (page === view.page) view.fault = messageOf(error);
      throw error;
    }
  }

  async function loadRules(): Promise<void> {
    view.rules = (await ask(AlertRules, {})).alertRules;
  }

  /** Shows the rule that a mutation returned, because the list may be slightly behind. */
  function put(rule: Rule): void {
    const at = view.rules?.findIndex(({ id }) => id === rule.id) ?? -1;
    view.rules = at < 0 ? [...(view.rules ?? []), rule] : view.rules!.with(at, rule);
  }

  async function loadSilences(): Promise<void> {
    view.silences = (await ask(Silences, {})).silences;
  }

  // The list may be slightly behind, so the result of a mutation is shown until it is read again.
  const started = (silence: SilenceNow): void => { view.silences = [...view.silences, silence]; };
  const ended = ({ id }: SilenceNow): void => { view.silences = view.silences.filter(other => other.id !== id); };

  let stopHistory: () => void = () => {};
  /** Loads the resolved alerts, repeatedly if that fails. */
  function reload(): void {
    stopHistory();
    stopHistory = poll(2000, history);
  }

  // Transitions in quick succession cause one reload, when the list has them.
  let again: ReturnType<typeof setTimeout> | undefined;
  const unheard = onAlert(() => {
    again ??= setTimeout(() => {
      again = undefined;
      reload();
    }, 500);
  });
  reload();
  const stopCurrent = poll(currentEvery, async () => {
    if (openAlerts().length === 0) return;
    const { alerts: { edges } } = await ask(Alerts, { filter: { state: ["RAISED", "ACKNOWLEDGED"] }, first: 200 });
    for (const { node } of edges) if (state.alerts.has(node.id)) putAlert(node);
  });
  const stopRules = poll(30_000, loadRules);
  const stopSilences = poll(currentEvery, loadSilences);

  return {
    title: "Alerts",
    moved: query => {
      Object.assign(view, { page: pageOf(query), invalid: unknown(query, "page", "after"), resolved: null, next: null, fault: "" });
      reload();
    },
    stop: () => {
      clearTimeout(again);
      unheard();
      stopHistory();
      stopRules();
      stopSilences();
      stopCurrent();
    },
    render: () => {
      if (view.invalid) return astray("Alerts", view.invalid, "#/alerts");
      const open = openAlerts(), loud = loudAlerts().length, quietly = open.filter(({ silence }) => silence).length;
      return h("div", { class: "board" },
        card(["Open ", chip(count(open.length), open.length === 0 ? "good" : loud === 0 ? "warn" : "bad"),
          quietly > 0 ? [" ", chip(`${count(quietly)} silenced`, "wait")] : null], { id: "open-alerts", class: "wide" }, null,
          open.length === 0 ? h("div", { class: "nothing" }, h("p", null, "No open alerts.")) : open.map(alert => alertCard(alert, started))),
        card("Silences", { id: "silences", class: "wide" }, forbidden(SilenceAlerts) ? quiet(forbidden(SilenceAlerts, "Silencing"))
          : button("Silence alerts…", () => silenceAlerts({ kind: null, senderId: null }, allKinds, started), { id: "silence-alerts" }),
          view.silences.length === 0 ? quiet("No alerts are silenced.") : silencesTable(view.silences, ended)),
        card("Rules", { id: "rules", class: "wide" }, fixedRules() ? quiet(fixedRules())
          : button("Add rule…", () => editRule(null, put), { id: "add-rule" }),
          view.rules === null ? quiet("Loading…") : ruleTable(view.rules, put)),
        card("Resolved", { id: "resolved", class: "wide" }, null,
          view.fault ? h("p", { class: "error", role: "alert" }, view.fault) : null,
          view.resolved === null ? quiet(view.fault ? "" : "Loading…") : view.resolved.length === 0 ? quiet("No resolved alerts yet.") : resolvedTable(view.resolved),
          view.next || view.page.number > 1 ? pager(view.page, view.next, byTime) : null));
    },
  };
}

function alertCard(alert: AlertNow, silenced: (silence: SilenceNow) => void): VNode {
  const reason = forbidden(Acknowledge, "Acknowledging");
  return h("article", { key: alert.id, class: "alert", "data-tone": toneOf(alert.severity), "aria-label": summaryNow(alert) },
    h("div", { class: "heading" },
      h("h3", null, statusChip(alert.severity), " ", sentence(words(alert.kind)),
        alert.sender ? [" · ", h("a", { href: `#/senders/${encodeURIComponent(alert.sender.id)}` }, alert.sender.name)] : null),
      h("div", { class: "tools" },
        h("span", { class: "quiet" }, "raised ", time(alert.raisedAt, "seconds"), ", ", ago(alert.raisedAt), " ago"),
        alert.state === "RAISED" ? reason ? quiet(reason)
          : button("Acknowledge…", () => acknowledge(alert), { class: "acknowledge" })
          : chip("acknowledged", "warn"),
        alert.silence ? chip("silenced", "wait") : forbidden(SilenceAlerts) || !alert.sender && state.viewer?.senderIds ? null
          : button("Silence…", () => silenceAlerts({ kind: alert.kind, senderId: alert.sender?.id ?? null }, allKinds, silenced), { class: "plain silence" }))),
    h("p", { class: "summary" }, summaryNow(alert)),
    units[alert.kind] === "none" ? null : facts([
      ["Now", alert.current && [written(alert.kind, alert.current.value), h("span", { class: "quiet" }, " measured ", ago(alert.current.at), " ago")]],
      ["When it was raised", written(alert.kind, alert.value)], ["Threshold", written(alert.kind, alert.threshold)]]),
    alert.explanation.length > 0 ? h("ul", { class: "explanation" }, alert.explanation.map((line, i) => h("li", { key: i }, line))) : null,
    h("p", { class: "quiet" }, h("a", { href: `runbook.html#${runbook[alert.kind]}`, target: "_blank" }, "What to do: the runbook")),
    alert.silence ? silencedBy(alert.silence) : null,
    alert.acknowledgedAt ? quiet("Acknowledged ", time(alert.acknowledgedAt, "seconds"), alert.acknowledgedBy
      ? ` by ${alert.acknowledgedBy.name ?? alert.acknowledgedBy.id}` : "",
      alert.note ? [": ", h("q", null, alert.note)] : ".") : null);
}

function acknowledge(alert: AlertNow): void {
  openDialog({
    title: "Acknowledge alert", label: () => "Acknowledge",
    body: () => [
      h("p", null, summaryNow(alert)),
      quiet("Others see that someone is handling it. The alert stays open until its cause is gone."),
      field("Note", h("input", { name: "note", autocomplete: "off" }), "Optional. Shown to others."),
    ],
    run: async values => {
      const { acknowledgeAlert } = await ask(Acknowledge, { id: alert.id, note: values.note ?? null });
      if (state.alerts.has(alert.id)) putAlert(acknowledgeAlert);
      note("Alert acknowledged.");
    },
  });
}

const resolvedColumns = [{ name: "Severity" }, { name: "Summary" }, { name: "Raised", class: "extra" },
  { name: "Lasted", class: "number" }, { name: "Acknowledged", class: "extra" }];

const resolvedTable = (resolved: readonly AlertNow[]): VNode => table({ class: "alerts-over" }, "Resolved alerts", resolvedColumns,
  resolved.map(alert =>
  h("tr", { key: alert.id },
    h("td", null, statusChip(alert.severity)),
    h("td", { class: "wrap" }, alert.summary),
    h("td", { class: "extra" }, time(alert.raisedAt, "seconds")),
    h("td", { class: "number" }, alert.resolvedAt ? span(Math.floor((Date.parse(alert.resolvedAt) - Date.parse(alert.raisedAt)) / 1000))
      : "–"),
    h("td", { class: "extra wrap" }, alert.acknowledgedAt
      ? `by ${alert.acknowledgedBy?.name ?? alert.acknowledgedBy?.id ?? "someone"}${alert.note ? `: ${alert.note}` : ""}` : "no"))));

// ───────────── rules ─────────────

const ruleColumns = [
  { name: "Rule" }, { name: "Threshold", class: "number" }, { name: "Window", title: "Window for measurements", class: "number" },
  { name: "For", title: "How long the condition must hold", class: "number" },
    { name: "Volume", title: "Minimum number of messages", class: "number" },
  { name: "Severity" }, { name: "On" }, { name: "Change" },
];

/** Returns why the key can't change rules, or null. */
const fixedRules = (): string | null => forbidden(SetRule, "Changing rules")
  ?? (state.viewer?.senderIds ? "Changing rules requires a key that is not limited to senders." : null);

function ruleTable(rules: readonly Rule[], changed: (rule: Rule) => void): VNode {
  const fixed = fixedRules() !== null;
  return table({ class: "stack rules" }, "Alert rules", ruleColumns,
    rules.map(rule => h("tr", { key: rule.id, id: `rule-${rule.id}`, class: rule.enabled ? "" : "off" },
    h("th", { scope: "row" }, sentence(words(rule.kind)), rule.kind === "DELIVERY_LATENCY"
      ? h("span", { class: "quiet" }, ` ${words(rule.statistic)}`) : null,
      rule.senderId ? h("span", { class: "quiet" }, ` for ${rule.senderId}`) : null),
    cell("Threshold", { class: "number" }, written(rule.kind, rule.threshold)),
    cell("Window", { class: "number" }, length(rule.window)), cell("For", { class: "number" }, length(rule.for)),
    cell("Volume", { class: "number" }, rule.minimumVolume === 0 ? "–" : count(rule.minimumVolume)),
    cell("Severity", null, statusChip(rule.severity)),
    cell("On", null, h("input", {
      type: "checkbox", class: "switch", role: "switch", checked: rule.enabled, disabled: fixed,
        "aria-label": `${sentence(words(rule.kind))}: on`,
      onchange: (event: Event) => {
        const box = event.target as HTMLInputElement;
        ask(SetRule, { input: { id: rule.id, kind: rule.kind, senderId: rule.senderId,
          enabled: box.checked } }).then(data => changed(data.setAlertRule), (error: Error) => {
          box.checked = !box.checked;
          note(error.message, true);
        });
      },
    })),
    h("td", null, fixed ? null : button("Edit…", () => editRule(rule, changed), { class: "plain small edit" })))));
}

const length = (iso: string): string => {
  const s = seconds(iso);
  return s ? span(s) : "–";
};

function editRule(rule: Rule | null, changed: (rule: Rule) => void): void {
  const chosen = reactive({ kind: (rule?.kind ?? "ERROR_RATE") as AlertKind });
  const kinds = allKinds.map(name => [name, sentence(words(name))] as const);
  openDialog({
    title: rule ? `Rule: ${words(rule.kind)}` : "Add rule", label: () => "Save", ...(rule ? {} : { lost: lostEntry }),
    body: (): Child => {
      const { kind } = chosen, unit = units[kind];
      return [
        rule ? null : field("Kind",
          h("select", { name: "kind", value: kind, onchange: (event: Event) => { chosen.kind = held(event) as AlertKind; } },
          options(kinds, kind))),
        field("Sender", h("select", { name: "senderId" }, options(senderChoices("all together, and each one"), rule?.senderId ?? ""))),
        h("div", { class: "row" },
          unit === "none" ? null : field(`Threshold, ${unitNames[unit]}`, h("input", {
            name: "threshold", type: "number", step: "any", min: 0, required: true, defaultValue: rule
              ? String(unit === "share" ? Number((rule.threshold * 100).toFixed(6)) : rule.threshold) : "",
          })),
          kind === "DELIVERY_LATENCY"
            ? field("Statistic", h("select", { name: "statistic" },
            options([["AVERAGE", "average"], ["P50", "p50"], ["P95", "p95"]], rule?.statistic))) : null,
          field("Severity", h("select", { name: "severity" },
            options([["WARNING", "warning"], ["CRITICAL", "critical"]], rule?.severity ?? "CRITICAL")))),
        h("div", { class: "row" },
          rule && !seconds(rule.window) ? null
            : field("Window", h("input",
            { name: "window", defaultValue: rule ? spanInput(seconds(rule.window) ?? 0) : "", placeholder: "5 min", autocomplete: "off" }),
            "10 s to 3 h"),
          field("For", h("input",
            { name: "for", defaultValue: rule ? spanInput(seconds(rule.for) ?? 0) : "", placeholder: "1 min", autocomplete: "off" }),
            "how long the condition must hold"),
          field("Volume", h("input",
            { name: "minimumVolume", type: "number", min: 0, step: 1, defaultValue: rule ? String(rule.minimumVolume) : "" }),
            "minimum number of messages")),
      ];
    },
    run: async values => {
      const { kind } = chosen, unit = units[kind];
      const input: AlertRuleInput = { ...(rule ? { id: rule.id } : {}), kind, senderId: values.senderId ?? null,
        severity: values.severity as AlertRuleInput["severity"] ?? null };
      if (values.threshold !== undefined && unit !== "none") input.threshold = Number(values.threshold) / (unit === "share" ? 100 : 1);
      if (values.statistic) input.statistic = values.statistic as Rule["statistic"];
      if (rule || values.minimumVolume !== undefined) input.minimumVolume = Number(values.minimumVolume ?? 0);
      for (const name of ["window", "for"] as const) {
        const text = values[name];
        if (text === undefined && rule && seconds(rule[name])) throw new Error(`${sentence(name)} is empty. Enter a duration such as 5 min${name === "for" ? ", or 0" : ""}.`);
        if (text === undefined) continue;
        const s = parseSpan(text);
        if (s === null) throw new Error(`“${text}” is not a duration; use a format like 30 s, 5 min, or 1 h.`);
        input[name] = duration(s);
      }
      changed((await ask(SetRule, { input })).setAlertRule);
      note("Rule saved.");
    },
  });
}
