// The layer above the views: one dialog at a time, temporary notes, and the progress of bulk operations.
import { useLayoutEffect, useRef } from "preact/hooks";
import { ask, messageOf, Refused, ServerAway } from "../api/client.ts";
import { OperationProgress, RunningOperations, type OperationKind, type Progress } from "../api/operations.ts";
import { count } from "../lib/format.ts";
import { forbidden, poll, state } from "../state.ts";
import { h, reactive, type Child, type VNode } from "./h.ts";
import { actorOf, button, copied, markField, messageLink, values } from "./parts.ts";

// ───────────── dialog ─────────────

export interface Dialog {
  title: string;
  body: () => Child;
  /** The label of the submit button. Null while it is disabled. */
  label: () => string | null;
  danger?: boolean;
  /** The label of the button that closes the dialog without submitting it. Cancel if omitted. */
  close?: string;
  /** The text for a lost response, where trying again could do something twice. */
  lost?: string;
  /** Whether it stays when its view is replaced or the session ends. */
  stays?: boolean;
  /** Submits the values of the fields. The dialog closes on success and shows the error otherwise. */
  run: (values: Record<string, string>, form: HTMLFormElement) => Promise<void>;
}

const layer = reactive({
  dialog: null as Dialog | null, busy: false, fault: "",
  notes: [] as readonly Note[], operations: new Map() as ReadonlyMap<string, Running>,
});
let serial = 0;
let element: HTMLDialogElement | null = null; // of the dialog that was drawn last

export function openDialog(dialog: Dialog): void {
  serial++;
  Object.assign(layer, { dialog, busy: false, fault: "" });
}

function closeDialog(): void {
  layer.dialog = null;
  element?.close(); // before it is removed, because nothing else can have the focus while it is open
}

/** Closes the dialog of a view that is replaced. */
export function leaveDialog(): void {
  if (!layer.dialog?.stays) closeDialog();
}

/** Shows a secret that the server returns only once. It replaces the dialog that requested it. */
export function showSecret(title: string, secret: string): void {
  openDialog({
    title, close: "Close", stays: true, label: () => "I have stored it",
    body: () => [h("p", null, "Copy it now. It is not shown again."), h("p", { class: "secret" }, copied(secret, "the secret"))],
    run: () => Promise.resolve(),
  });
}

/** The text for the lost response of an action that adds an entry to a list each time. */
export const lostEntry = "No response, so the outcome is unknown. Check the list before you try again.";

/** Returns the text to show for the error of an action. */
const faultText = (error: unknown, lost = "No response, so the outcome is unknown. It is safe to try again."): string =>
  (error instanceof ServerAway ? lost : messageOf(error));

function Shown({ dialog }: { dialog: Dialog }): VNode {
  const { title, body, label, danger, lost, run } = dialog, { busy, fault } = layer, text = label();
  const node = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const shown = element = node.current!;
    shown.showModal();
    return () => shown.close(); // gives the focus back
  }, []);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (layer.busy) return;
    const form = event.currentTarget as HTMLFormElement;
    Object.assign(layer, { busy: true, fault: "" });
    try {
      await run(values(form), form);
      if (layer.dialog === dialog) closeDialog();
    } catch (error) {
      if (layer.dialog !== dialog) return note(faultText(error, lost), true); // it was closed in the meantime
      layer.fault = faultText(error, lost);
      markField(form, error instanceof Refused ? error.field : null);
    }
    if (layer.dialog === dialog) layer.busy = false;
  };
  return h("dialog", { class: "dialog", "aria-labelledby": "dialog-title", ref: node as never,
    onclose: () => { if (layer.dialog === dialog) closeDialog(); } }, // the event can come when there is another one
    h("form", { onsubmit: submit },
      h("h2", { id: "dialog-title" }, title),
      h("div", { class: "dialog-body" }, body()),
      h("p", { class: "error", role: "alert" }, fault),
      h("div", { class: "actions" },
        h("button", { type: "submit", class: danger ? "danger" : "", disabled: busy || text === null }, busy ? "Please wait…" : text ?? "…"),
        button(dialog.close ?? "Cancel", closeDialog))));
}

// ───────────── notes ─────────────

interface Note { id: number; text: string; bad: boolean }

let lastNote = 0;
const noteTime = 7000;

export function note(text: string, bad = false): void {
  const id = ++lastNote;
  layer.notes = [...layer.notes.slice(-2), { id, text, bad }];
  setTimeout(() => {
    layer.notes = layer.notes.filter(other => other.id !== id);
  }, noteTime);
}

/** Performs an action and shows a note with the outcome. */
export async function attempt(done: string, fn: () => Promise<unknown>): Promise<void> {
  try {
    await fn();
    note(done);
  } catch (error) {
    note(faultText(error), true);
  }
}

// ───────────── bulk operations ─────────────

interface Running { verb: string; by: string; progress: Progress; stop: () => void }

export const verbs: Record<OperationKind, string> = { CANCEL: "Cancelling", REQUEUE: "Requeueing", DISCARD: "Discarding" };

/** Shows an operation in every view until it is finished and the user has closed it. by is who started it elsewhere. */
export function watch(verb: string, progress: Progress, ended: () => void, by = ""): void {
  if (!state.viewer) return; // signed out in the meantime
  const { id } = progress;
  const put = (next: Progress): void => { layer.operations = new Map(layer.operations).set(id, { verb, by, progress: next, stop }); };
  let stop: () => void = () => {};
  if (progress.state !== "RUNNING") {
    put(progress);
    return ended();
  }
  stop = poll(400, async () => {
    const { operation } = await ask(OperationProgress, { id });
    if (layer.operations.get(id)?.stop !== stop) return stop(); // it was forgotten, or is shown by another watch
    if (operation) put(operation);
    else close(id);
    if (operation?.state !== "RUNNING") {
      stop();
      ended();
    }
  });
  put(progress);
}

/** Shows the operations that were started in other tabs, by other people, or before a reload. Returns how to end that, and all progress. */
export function watchOthers(): () => void {
  let ended = false;
  const stop = forbidden(RunningOperations) ? () => {} : poll(3000, async () => {
    const { operations } = await ask(RunningOperations, {});
    if (ended) return;
    for (const { kind, startedBy, ...progress } of operations) {
      if (progress.state === "RUNNING" && !layer.operations.has(progress.id)) {
        watch(verbs[kind], progress, () => {}, startedBy ? actorOf(startedBy) : "");
      }
    }
  });
  return () => {
    ended = true;
    stop();
    for (const id of layer.operations.keys()) close(id);
  };
}

function close(id: string): void {
  layer.operations.get(id)?.stop();
  layer.operations = new Map([...layer.operations].filter(([other]) => other !== id));
}

const operationCards = (): VNode[] => [...layer.operations].map(([id, { verb, by, progress }]) => {
  const { state: now, selected, done, refusedCount, refused } = progress;
  const over = now !== "RUNNING";
  return h("section", { key: id, class: "operation", "aria-label": verb },
    h("div", { class: "heading" }, h("strong", null, verb),
      over ? button("Close", () => close(id), { class: "plain small" }) : null),
    by ? h("p", { class: "quiet" }, `Started by ${by}`) : null,
    h("progress", { max: Math.max(selected, 1), value: String(done + refusedCount), "aria-label": `${verb}: progress` }),
    h("p", null, `${over ? "Done: " : ""}${count(done)} of ${count(selected)}${refusedCount > 0 ? `, ${count(refusedCount)} rejected` : ""}`),
    refused.length > 0 ? h("details", null, h("summary", null, refused.length < refusedCount ? `The first ${count(refused.length)} rejected messages` : "Rejected messages"),
      h("ul", null, refused.map(r => h("li", { key: r.messageId }, messageLink(r.messageId),
        ` ${r.message}`)))) : null);
});

export function Overlay(): VNode {
  return h("div", null,
    layer.dialog ? h(Shown, { key: serial, dialog: layer.dialog }) : null,
    h("div", { class: "operations" }, state.viewer ? operationCards() : null),
    h("div", { class: "notes", role: "status" },
      layer.notes.map(({ id, text, bad }) => h("p", { key: id, class: "note", "data-tone": bad ? "bad" : "good" }, text))));
}
