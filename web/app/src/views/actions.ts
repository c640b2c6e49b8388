// What can be done to messages and dead letters, with the dialogs that ask before.
import { ask } from "../api/client.ts";
import { Cancel, CancelMany, Discard, Requeue, type DeadLetterSelection, type MessageFilter, type Progress, type RequeueData,
  type RequeueVariables } from "../api/operations.ts";
import { count, plural } from "../lib/format.ts";
import { refresh } from "../state.ts";
import { h, type Child } from "../ui/dom.ts";
import { note, openDialog, watch } from "../ui/overlay.ts";
import { field, quiet } from "../ui/parts.ts";

interface Bulk {
  title: string;
  verb: string;
  /** Says what it will do to so many. */
  says: (n: number) => string;
  button: (n: number) => string;
  danger: boolean;
  reason: boolean;
  /** What is said if the selection finds none. */
  none: string;
  count: () => Promise<Progress>;
  run: (reason: string) => Promise<Progress>;
}

/** Counts what a selection finds, by the server's own dry run, and asks before it is done. */
function bulk({ title, verb, says, button, danger, reason, none, count: dryRun, run }: Bulk, what: string, ended: () => void): void {
  let selected: number | null = null, fault = "";
  dryRun().then(progress => { selected = progress.selected; }, (error: Error) => { fault = error.message; }).finally(refresh);
  openDialog({
    title, danger,
    label: () => (selected === null || selected === 0 ? null : button(selected)),
    body: (): Child => [
      h("p", { id: "dry-run" }, fault ? h("span", { class: "error" }, fault) : selected === null ? "Counting…" : selected === 0 ? none
        : says(selected)),
      quiet(what),
      reason ? field("Reason",
        h("input", { name: "reason", required: true, maxlength: 500, autocomplete: "off", placeholder: "Why, for the history" })) : null,
    ],
    run: async values => {
      watch(verb, await run(values.reason ?? ""), ended);
    },
  });
}

const noDeadLetter = "The selection finds no dead letter any more.";

export function requeueDeadLetters(input: DeadLetterSelection, what: string, ended: () => void): void {
  const send = (dryRun: boolean): Promise<Progress> => ask<RequeueData,
    RequeueVariables>(Requeue, { input, dryRun }).then(data => data.requeueDeadLetters);
  bulk({
    title: "Requeue dead letters", verb: "Requeueing", danger: false, reason: false, none: noDeadLetter,
    says: n => `${plural(n, "message")} will be sent again, each with a fresh budget of attempts.`,
    button: n => `Requeue ${count(n)}`, count: () => send(true), run: () => send(false),
  }, what, ended);
}

export function discardDeadLetters(input: DeadLetterSelection, what: string, ended: () => void): void {
  const send = (dryRun: boolean, reason: string): Promise<Progress> => ask(Discard,
    { input, reason, dryRun }).then(data => data.discardDeadLetters);
  bulk({
    title: "Discard dead letters", verb: "Discarding", danger: true, reason: true, none: noDeadLetter,
    says: n => `${plural(n, "message")} will be dropped for good. Their history stays.`,
    button: n => `Discard ${count(n)}`, count: () => send(true, "count"), run: reason => send(false, reason),
  }, what, ended);
}

/** Calls off all that a filter finds and that still waits. */
export function cancelMessages(filter: MessageFilter, what: string, ended: () => void): void {
  const send = (dryRun: boolean, reason: string): Promise<Progress> => ask(CancelMany,
    { input: { filter }, reason, dryRun }).then(data => data.cancelMessages);
  bulk({
    title: "Cancel messages", verb: "Cancelling", danger: true, reason: true, none: "Nothing that the filter finds waits any more.",
    says: n => `${plural(n, "waiting message")} will be called off.`,
    button: n => `Cancel ${count(n)}`, count: () => send(true, "count"), run: reason => send(false, reason),
  }, what ? `All by ${what}.` : "All messages.", ended);
}

export function cancelMessage(id: string, ended: () => void): void {
  openDialog({
    title: "Cancel the message", danger: true, label: () => "Cancel the message",
    body: () => [
      h("p", null, "It will not be sent. Once a call to WhatsApp is under way it can no longer be called off."),
      field("Reason", h("input", { name: "reason", maxlength: 500, autocomplete: "off" }), "For its history; it may be left out."),
    ],
    run: async values => {
      await ask(Cancel, { id, reason: values.reason ?? null });
      note("The message is cancelled.");
      ended();
    },
  });
}

