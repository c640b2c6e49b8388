// Actions on messages and dead letters, with their confirmation dialogs.
import { ask } from "../api/client.ts";
import { Cancel, CancelMany, Discard, Requeue, SetOptOut, type DeadLetterSelection, type MessageFilter, type Progress, type RequeueData,
  type RequeueVariables, type SetOptOutData } from "../api/operations.ts";
import { count, plural } from "../lib/format.ts";
import { h, reactive, type Child } from "../ui/h.ts";
import { note, openDialog, verbs, watch } from "../ui/overlay.ts";
import { field, quiet } from "../ui/parts.ts";

interface Bulk {
  title: string;
  /** The label of the button that closes the dialog. Cancel if omitted. */
  close?: string;
  verb: string;
  /** Describes the effect on n messages. */
  says: (n: number) => string;
  button: (n: number) => string;
  danger: boolean;
  reason: boolean;
  /** The text for an empty selection. */
  none: string;
  count: () => Promise<Progress>;
  run: (reason: string) => Promise<Progress>;
}

/** Counts the selected messages with a dry run on the server, and asks for confirmation. */
function bulk({ title, close, verb, says, button, danger, reason, none, count: dryRun, run }: Bulk, what: string, ended: () => void, started: () => void = () => {}): void {
  const dry = reactive({ selected: null as number | null, fault: "" });
  dryRun().then(progress => { dry.selected = progress.selected; }, (error: Error) => { dry.fault = error.message; });
  openDialog({
    title, danger, ...(close ? { close } : {}),
    label: () => (dry.selected ? button(dry.selected) : null),
    body: (): Child => [
      h("p", { id: "dry-run" }, dry.fault ? h("span", { class: "error" }, dry.fault) : dry.selected === null ? "Counting…" : dry.selected === 0 ? none
        : says(dry.selected)),
      quiet(what),
      reason ? field("Reason",
        h("input", { name: "reason", required: true, autocomplete: "off", placeholder: "Recorded in the history" })) : null,
    ],
    run: async values => {
      const progress = await run(values.reason ?? "");
      started();
      watch(verb, progress, ended);
    },
  });
}

const noDeadLetter = "No dead letters match the selection.";

export function requeueDeadLetters(input: DeadLetterSelection, what: string, ended: () => void, started?: () => void): void {
  const send = (dryRun: boolean): Promise<Progress> => ask<RequeueData,
    RequeueVariables>(Requeue, { input, dryRun }).then(data => data.requeueDeadLetters);
  bulk({
    title: "Requeue dead letters", verb: verbs.REQUEUE, danger: false, reason: false, none: noDeadLetter,
    says: n => `${plural(n, "message")} will be sent again, each with a new retry budget.`,
    button: n => `Requeue ${count(n)}`, count: () => send(true), run: () => send(false),
  }, what, ended, started);
}

export function discardDeadLetters(input: DeadLetterSelection, what: string, ended: () => void, started?: () => void): void {
  const send = (dryRun: boolean, reason: string): Promise<Progress> => ask(Discard,
    { input, reason, dryRun }).then(data => data.discardDeadLetters);
  bulk({
    title: "Discard dead letters", verb: verbs.DISCARD, danger: true, reason: true, none: noDeadLetter,
    says: n => `${plural(n, "message")} will be permanently discarded. Their history remains.`,
    button: n => `Discard ${count(n)}`, count: () => send(true, "count"), run: reason => send(false, reason),
  }, what, ended, started);
}

/** Cancels all waiting messages that match a filter. */
export function cancelMessages(filter: MessageFilter, what: string, ended: () => void): void {
  const send = (dryRun: boolean, reason: string): Promise<Progress> => ask(CancelMany,
    { input: { filter }, reason, dryRun }).then(data => data.cancelMessages);
  bulk({
    title: "Cancel messages", close: "Don't cancel", verb: verbs.CANCEL, danger: true, reason: true, none: "No waiting messages match the filter.",
    says: n => `${plural(n, "waiting message")} will be cancelled.`,
    button: n => `Cancel ${count(n)}`, count: () => send(true, "count"), run: reason => send(false, reason),
  }, what ? `All messages with ${what}.` : "All messages.", ended);
}

export function cancelMessage(id: string, ended: () => void): void {
  openDialog({
    title: "Cancel message", danger: true, close: "Don't cancel", label: () => "Cancel message",
    body: () => [
      h("p", null, "The message will not be sent. After a call to WhatsApp has started, it can no longer be cancelled."),
      field("Reason", h("input", { name: "reason", autocomplete: "off" }), "Optional. Recorded in the message's history."),
    ],
    run: async values => {
      await ask(Cancel, { id, reason: values.reason ?? null });
      note("Message cancelled.");
      ended();
    },
  });
}

/** Records that a person opted out of a sender's marketing, or in again. */
export function setOptOut(of: { senderId: string; to: string | null; toUserId: string | null }, optedOut: boolean, ended: (now: SetOptOutData["setOptOut"]) => void): void {
  const { senderId, to, toUserId } = of;
  openDialog({
    title: optedOut ? "Opt out of marketing" : "Opt in to marketing", label: () => (optedOut ? "Opt out" : "Opt in"),
    body: () => [
      h("p", null, optedOut ? "Records that this person wants no marketing from the sender."
        : "Records that this person wants marketing from the sender again. Do this only if they asked for it."),
      field("Reason", h("input", { name: "reason", required: true, autocomplete: "off" }), "Recorded. Without personal data."),
    ],
    run: async ({ reason }) => {
      const person = to === null ? { toUserId } : { to };
      ended((await ask(SetOptOut, { senderId, ...person, optedOut, reason: reason! })).setOptOut);
      note(optedOut ? "Opted out." : "Opted in.");
    },
  });
}
