// The layer above the views: one dialog at a time, temporary notes, and the progress of bulk operations.
import { ask, messageOf, Refused, ServerAway } from "../api/client.ts";
import { OperationProgress, type Progress } from "../api/operations.ts";
import { count, shortId } from "../lib/format.ts";
import { poll, refresh, state } from "../state.ts";
import { h, type Child, type VNode } from "./dom.ts";
import { button, markField, values } from "./parts.ts";

// ───────────── dialog ─────────────

export interface Dialog {
  title: string;
  body: () => Child;
  /** The label of the submit button. Null while it is disabled. */
  label: () => string | null;
  danger?: boolean;
  /** Submits the values of the fields. The dialog closes on success and shows the error otherwise. */
  run: (values: Record<string, string>, form: HTMLFormElement) => Promise<void>;
}

let open: Dialog | null = null;
let busy = false;
let fault = "";
let shown: HTMLDialogElement | null = null;
let serial = 0;

export function openDialog(dialog: Dialog): void {
  [open, busy, fault] = [dialog, false, ""];
  serial++;
  refresh();
}

export function closeDialog(): void {
  shown?.close();
  [open, shown] = [null, null];
  refresh();
}

/** Returns the text to show for the error of an action. */
export function faultText(error: unknown): string {
  if (error instanceof ServerAway) return "No response, so the outcome is unknown. It is safe to try again.";
  return messageOf(error);
}

function dialog(): VNode | null {
  if (!open) return null;
  const { title, body, label, danger, run } = open;
  const text = label();
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    const form = event.currentTarget as HTMLFormElement, mine = open;
    [busy, fault] = [true, ""];
    refresh();
    try {
      await run(values(form), form);
      if (open === mine) closeDialog();
    } catch (error) {
      fault = faultText(error);
      markField(form, error instanceof Refused ? error.field : null);
    }
    busy = false;
    refresh();
  };
  return h("dialog", {
    key: serial, class: "dialog", "aria-labelledby": "dialog-title",
    ref: node => {
      shown = node as HTMLDialogElement;
      shown.showModal();
    },
    onclose: () => {
      open = null;
      refresh();
    },
  },
  h("form", { onsubmit: submit },
    h("h2", { id: "dialog-title" }, title),
    h("div", { class: "dialog-body" }, body()),
    h("p", { class: "error", role: "alert" }, fault),
    h("div", { class: "actions" },
      h("button", { type: "submit", class: danger ? "danger" : "", disabled: busy || text === null }, busy ? "Please wait…" : text ?? "…"),
      button("Cancel", closeDialog))));
}

// ───────────── notes ─────────────

interface Note { id: number; text: string; bad: boolean }

let notes: Note[] = [];
let lastNote = 0;
const noteTime = 7000;

export function note(text: string, bad = false): void {
  const id = ++lastNote;
  notes = [...notes.slice(-2), { id, text, bad }];
  setTimeout(() => {
    notes = notes.filter(other => other.id !== id);
    refresh();
  }, noteTime);
  refresh();
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

interface Running { verb: string; progress: Progress; stop: () => void; ended: () => void }

const operations = new Map<string, Running>();

/** Shows an operation in every view until it is finished and the user has closed it. */
export function watch(verb: string, progress: Progress, ended: () => void): void {
  const running: Running = { verb, progress, ended, stop: () => {} };
  operations.set(progress.id, running);
  refresh();
  if (progress.state !== "RUNNING") return ended();
  running.stop = poll(400, async () => {
    const { operation } = await ask(OperationProgress, { id: progress.id });
    if (operation) running.progress = operation;
    if (!operation || operation.state !== "RUNNING") {
      running.stop();
      ended();
    }
    refresh();
  });
}

const operationCards = (): VNode[] => [...operations].map(([id, { verb, progress, stop }]) => {
  const { state: now, selected, done, refusedCount, refused } = progress;
  const over = now !== "RUNNING";
  return h("section", { key: id, class: "operation", "aria-label": verb },
    h("div", { class: "heading" }, h("strong", null, verb),
      over ? button("Close", () => { stop(); operations.delete(id); refresh(); }, { class: "plain small" }) : null),
    h("progress", { max: Math.max(selected, 1), value: String(done + refusedCount), "aria-label": `${verb}: progress` }),
    h("p", null, `${over ? "Done: " : ""}${count(done)} of ${count(selected)}${refusedCount > 0 ? `, ${count(refusedCount)} rejected` : ""}`),
    refused.length > 0 ? h("details", null, h("summary", null, "Rejected messages"),
      h("ul", null, refused.map(r => h("li", { key: r.messageId }, h("a", { href: `#/messages/${r.messageId}` }, shortId(r.messageId)),
        ` ${r.message}`)))) : null);
});

export const overlay = (): Child => [
  dialog(),
  h("div", { key: "operations", class: "operations" }, state.viewer ? operationCards() : null),
  h("div", { key: "notes", class: "notes", role: "status" },
    notes.map(({ id, text, bad }) => h("p", { key: id, class: "note", "data-tone": bad ? "bad" : "good" }, text))),
];
