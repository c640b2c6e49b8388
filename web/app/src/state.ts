// The shared state: the key, the connection, the senders, the open alerts, and the counts in the menu. Views that read
// it are drawn again when it changes.
import { signal } from "@preact/signals";
import { ask, Refused, sawServerTime, ServerAway } from "./api/client.ts";
import { AlertTransitions, Pulse, scopes, type AlertNow, type Scope, type SenderNow, type ViewerData } from "./api/operations.ts";
import { connection, type LiveState } from "./api/socket.ts";
import { count, seconds } from "./lib/format.ts";
import { reactive } from "./ui/h.ts";

/** The demo: the key that it returns for the secret of its link, and the address of its simulated WhatsApp. */
export interface Demo { key: string; simulator: string; secret: string }

export interface State {
  viewer: ViewerData["viewer"] | null;
  demo: Demo | null;
  live: LiveState;
  away: boolean;
  /** The error of a background request that the server rejected. */
  trouble: string | null;
  senders: SenderNow[] | null;
  deadLetters: number | null;
  behind: number | null;
  alerts: ReadonlyMap<string, AlertNow>;
}

export const state = reactive<State>({
  viewer: null, demo: null, live: "connecting", away: false, trouble: null, senders: null, deadLetters: null, behind: null,
  alerts: new Map(),
});

/** Counts seconds while the tab is visible, to update ages. */
export const tick = signal(0);
setInterval(() => document.hidden || tick.value++, 1000);

// ───────────── scopes ─────────────

export const may = (scope: Scope): boolean =>
  state.viewer !== null && (state.viewer.scopes.includes(scope) || state.viewer.scopes.includes("ADMIN"));

/** Returns why the key does not allow an operation, or null if it does. what is the subject of the sentence. */
export function forbidden(operation: unknown, what = "This"): string | null {
  const missing = scopes.get(operation)!.filter(scope => !may(scope));
  return missing.length === 0 ? null : `${what} requires a key with the scope ${missing.join(" and ")}.`;
}

// ───────────── polling ─────────────

/**
 * Runs fn immediately, and again `every` ms after each run has ended, until one returns true. It pauses in a hidden tab. Returns a
 * function that stops it.
 */
export function poll(every: number, fn: () => Promise<boolean | void>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined, stopped = false, running = false;
  const run = async (): Promise<void> => {
    clearTimeout(timer);
    if (stopped || running || document.hidden) return;
    running = true;
    try {
      if (await fn()) stop();
    } catch (error) {
      report(error);
    }
    running = false;
    if (!stopped) timer = setTimeout(run, state.away ? Math.max(every, 1000) : every);
  };
  const shown = (): void => void run();
  const stop = (): void => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", shown);
  };
  document.addEventListener("visibilitychange", shown);
  void run();
  return stop;
}

let troubledAt = 0;
const troubleFor = 6000; // longer than the time between failures of a poll, so that the layout does not jump

let signOut: (reason: string) => void = () => {};
export function onSignOut(fn: (reason: string) => void): void {
  signOut = fn;
}

/** Handles the error of a background request. */
export function report(error: unknown): void {
  if (error instanceof Refused && error.code === "UNAUTHENTICATED") return signOut("");
  if (error instanceof ServerAway) state.away = true;
  else if (error instanceof Error && error.name !== "AbortError") [state.trouble, troubledAt] = [error.message, Date.now()];
}

// ───────────── the pulse ─────────────

let ends: (() => void)[] = [];
let announce: (text: string) => void = () => {};
export function onAnnounce(fn: (text: string) => void): void {
  announce = fn;
}

/** Starts the work that is independent of the current view. also starts more, and returns how to stop it. */
export function begin(also: () => () => void): void {
  end();
  ends = [poll(1500, pulse), follow(), also()];
}

export function end(): void {
  for (const stop of ends) stop();
  ends = [];
  Object.assign(state, { senders: null, deadLetters: null, behind: null, trouble: null, away: false, alerts: new Map() });
}

export async function pulse(): Promise<void> {
  const { senders, readModel, deadLetters } = await ask(Pulse, {});
  if (!state.viewer) return; // signed out in the meantime
  if (state.away) connection.hurry();
  Object.assign(state, {
    senders: kept(senders), deadLetters: deadLetters.totalCount, behind: seconds(readModel.behind), away: false,
  });
  if (Date.now() - troubledAt > troubleFor) state.trouble = null;
}

/** Returns the senders, each as the same object as before if nothing about it has changed, so that it is not drawn again. */
function kept(senders: SenderNow[]): SenderNow[] {
  const before = state.senders ?? [];
  const now = senders.map(sender => {
    const known = before.find(({ id }) => id === sender.id);
    return known && JSON.stringify(known) === JSON.stringify(sender) ? known : sender;
  });
  return now.length === before.length && now.every((sender, i) => sender === before[i]) ? before : now;
}

/** Replaces a sender in the list by the result of a mutation. */
export function putSender(sender: SenderNow): void {
  const senders = state.senders ?? [];
  const at = senders.findIndex(({ id }) => id === sender.id);
  state.senders = at < 0 ? [...senders, sender].sort((a, b) => (a.id < b.id ? -1 : 1)) : senders.with(at, sender);
}

/** Replaces an alert in the list of open ones, or removes it. */
export function putAlert(alert: AlertNow): void {
  const alerts = new Map(state.alerts);
  if (alert.state === "RESOLVED") alerts.delete(alert.id);
  else alerts.set(alert.id, alert);
  state.alerts = alerts;
}

const alertListeners = new Set<() => void>();

/** Calls fn for each transition of an alert. Returns a function that stops it. */
export function onAlert(fn: () => void): () => void {
  alertListeners.add(fn);
  return () => alertListeners.delete(fn);
}

function follow(): () => void {
  let stop: () => void = () => {};
  let startedAt = Date.now();
  const start = (): void => {
    stop = connection.subscribe(AlertTransitions, {}, {
      cursor: data => data.alerts.cursor,
      gone: () => {
        state.alerts = new Map();
        startedAt = Date.now();
        start();
      },
      next: ({ alerts: { at, node } }) => {
        sawServerTime(at);
        putAlert(node);
        // Alerts that were already open are only listed. New transitions are announced.
        if (Date.now() - startedAt > 2000 || node.state !== "RAISED") {
          if (node.state === "RAISED" && !node.silence) announce(`Alert: ${node.summary}`);
          else if (node.state === "RESOLVED") announce(`Resolved: ${node.summary}`);
        }
        for (const listener of alertListeners) listener();
      },
    });
  };
  start();
  return () => stop();
}

/** The open alerts: those that need attention first, and the most severe and latest among them first. */
export const openAlerts = (): AlertNow[] =>
  [...state.alerts.values()]
    .sort((a, b) => Number(!!a.silence) - Number(!!b.silence) || Number(b.severity === "CRITICAL") - Number(a.severity === "CRITICAL") || Date.parse(b.raisedAt) - Date.parse(a.raisedAt));

/** The open alerts that no one takes care of and no silence covers. */
export const loudAlerts = (): AlertNow[] => openAlerts().filter(alert => alert.state === "RAISED" && !alert.silence);

export const senderName = (id: string): string => state.senders?.find(sender => sender.id === id)?.name ?? id;

/** The sender that metrics are shown for: the chosen one, or the first one of a key that is limited to senders. Null means all. */
export const figuresOf = (chosen: string | null): string | null => (chosen ? chosen : state.viewer?.senderIds?.[0] ?? null);

/** The choices of senders for metrics. A key that is limited to senders has no access to totals. */
export const figureChoices = (all: string): (readonly [string, string])[] => senderChoices(all).slice(state.viewer?.senderIds ? 1 : 0);

/** The choices of senders, after one for all of them. */
export const senderChoices = (all: string): (readonly [string, string])[] =>
  [["", all], ...(state.senders ?? []).map(({ id, name }) => [id, name] as const)];

export const badge = (n: number | null): string => (n === null || n === 0 ? "" : n > 9999 ? "9999+" : count(n));

const seen = new Map<string, string>(); // IDs that lists have shown, by their ends
const seenLimit = 5000;

/** Remembers the ID of a listed message, so that its short form can be searched for. */
export function see(id: string): void {
  const end = id.slice(-8);
  seen.delete(end);
  seen.set(end, id);
  if (seen.size > seenLimit) seen.delete(seen.keys().next().value!);
}

/** Returns the ID with this end that a list has shown. */
export const seenId = (end: string): string | undefined => seen.get(end);
