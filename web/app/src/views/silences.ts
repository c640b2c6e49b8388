// Silences: periods without notifications of some alerts.
import { ask, serverNow } from "../api/client.ts";
import { EndSilence, SilenceAlerts, type AlertKind, type SilenceNow } from "../api/operations.ts";
import { parseSpan, sentence, span, words } from "../lib/format.ts";
import { forbidden, senderChoices, state } from "../state.ts";
import { h, reactive, type Child, type VNode } from "../ui/h.ts";
import { attempt, lostEntry, note, openDialog } from "../ui/overlay.ts";
import { actorOf, button, cell, drawnAt, field, held, options, quiet, table, time } from "../ui/parts.ts";
import { fromField, toField } from "../ui/zone.ts";

const lengths = [["1 h", "1 hour"], ["4 h", "4 hours"], ["1 d", "1 day"], ["7 d", "7 days"], ["", "until a time"]] as const;

/** Which alerts a silence covers, in words. */
const covers = ({ kind, sender }: SilenceNow): Child => [
  kind ? sentence(words(kind)) : "All alerts",
  sender ? [" of ", h("a", { href: `#/senders/${encodeURIComponent(sender.id)}` }, sender.name)] : null,
];

/** Whether the key can end the silence. One of all senders concerns all of them. */
const ends = (silence: SilenceNow): boolean => !forbidden(EndSilence) && (silence.sender !== null || !state.viewer?.senderIds);

const endButton = (silence: SilenceNow, ended: (silence: SilenceNow) => void): VNode =>
  button("End silence", () => void attempt("Silence ended.", async () => {
    ended((await ask(EndSilence, { id: silence.id })).endSilence);
  }), { class: "plain small end-silence" });

/** The silence of an alert: its end, its reason, and who started it. */
export const silencedBy = (silence: SilenceNow): VNode => h("p", { class: "quiet silenced" }, "Silenced until ", time(silence.until, "minutes"),
  ` by ${actorOf(silence.by)}: `, h("q", null, silence.reason), ".");

export function silencesTable(silences: readonly SilenceNow[], ended: (silence: SilenceNow) => void): VNode {
  return table({ class: "stack silences" }, "Silences", [{ name: "Alerts" }, { name: "Ends" }, { name: "Reason" }, { name: "By" }, { name: "Change" }],
    silences.map(silence => h("tr", { key: silence.id },
      h("th", { scope: "row" }, covers(silence)),
      cell("Ends", null, h("span", null, time(silence.until, "minutes"), h("span", { class: "quiet" }, ` in ${span(Math.max(0, Math.ceil((Date.parse(silence.until) - drawnAt()) / 60_000)) * 60)}`))),
      cell("Reason", { class: "wrap" }, silence.reason),
      cell("By", { class: "wrap" }, actorOf(silence.by)),
      h("td", null, ends(silence) ? endButton(silence, ended) : null))));
}

/** Opens the dialog that silences alerts: those of an alert's kind and sender, or others. */
export function silenceAlerts(about: { kind: AlertKind | null; senderId: string | null }, kinds: readonly AlertKind[], started: (silence: SilenceNow) => void): void {
  const chosen = reactive({ length: "1 h" });
  const limited = state.viewer?.senderIds;
  const until = (values: Record<string, string>): string =>
    chosen.length ? new Date(serverNow() + parseSpan(chosen.length)! * 1000).toISOString() : fromField(values.until ?? "");
  openDialog({
    title: "Silence alerts", label: () => "Silence", lost: lostEntry,
    body: () => [
      h("p", null, "The alerts are still raised and shown, but not counted in the menu, and the alert webhook is not called. Alerts that outlast the silence are reported when it ends."),
      h("div", { class: "row" },
        field("Kind", h("select", { name: "kind" }, options([["", "all kinds"], ...kinds.map(kind => [kind, sentence(words(kind))] as const)], about.kind ?? ""))),
        field("Sender", h("select", { name: "senderId" }, options(senderChoices("all senders").slice(limited ? 1 : 0), about.senderId ?? "")))),
      h("div", { class: "row" },
        field("For", h("select", { name: "length", value: chosen.length, onchange: (event: Event) => { chosen.length = held(event); } }, options(lengths, chosen.length))),
        chosen.length ? null : field("Until", h("input", { name: "until", type: "datetime-local", required: true, defaultValue: toField(new Date(serverNow() + 3_600_000).toISOString()).slice(0, 16) }), "At most 90 days from now.")),
      field("Reason", h("input", { name: "reason", required: true, autocomplete: "off" }), "Shown to everyone who sees the alerts."),
      quiet("The silence ends automatically. You can end it early."),
    ],
    run: async values => {
      const { silenceAlerts: silence } = await ask(SilenceAlerts,
        { input: { kind: (values.kind as AlertKind | undefined) ?? null, senderId: values.senderId ?? null, reason: values.reason!, until: until(values) } });
      started(silence);
      note("Alerts silenced.");
    },
  });
}
