// What the whole page knows: whose key it uses, how the connection is, the senders, the open alerts, the counts beside the
// menu. Views read it and call refresh after they changed something.
import { ask, Refused, sawServerTime, ServerAway } from "./api/client.ts";
import {
  AlertTransitions, Pulse, type AlertNow, type Operation, type Scope, type SenderNow, type ViewerData,
} from "./api/operations.ts";
import { connection, type LiveState } from "./api/socket.ts";
import { count, seconds } from "./lib/format.ts";

export interface Demo { key: string; simulator: string }

export interface State {
  viewer: ViewerData["viewer"] | null;
  demo: Demo | null;
  live: LiveState;
  away: boolean;
  /** What the server refused of what the page asks by itself. */
  trouble: string | null;
  senders: SenderNow[] | null;
  deadLetters: number | null;
  behind: number | null;
  alerts: Map<string, { at: string; alert: AlertNow }>;
}

export const state: State = {
  viewer: null, demo: null, live: "connecting", away: false, trouble: null, senders: null, deadLetters: null, behind: null,
    alerts: new Map(),
};

// ───────────── drawing ─────────────

let draw: () => void = () => {};
let asked = false;
let drawnAt = 0;
const drawEvery = 100; // ms; of a busy server many changes are drawn at once

export function onRefresh(fn: () => void): void {
  draw = fn;
}

/** Draws the page soon: at once after what somebody did, at most ten times a second otherwise. */
export function refresh(): void {
  if (asked) return;
  asked = true;
  const wait = Math.max(0, drawnAt + drawEvery - performance.now());
  const now = (): void => {
    asked = false;
    drawnAt = performance.now();
    draw();
  };
  // A hidden tab has no frames, and its title still counts the alerts.
  setTimeout(() => (document.hidden ? now() : requestAnimationFrame(now)), wait);
}

/** Draws each second while the tab is shown, for ages; until what it returns is called. */
export function everySecond(): () => void {
  const timer = setInterval(() => document.hidden || refresh(), 1000);
  return () => clearInterval(timer);
}

// ───────────── scopes ─────────────

export const may = (scope: Scope): boolean =>
  state.viewer !== null && (state.viewer.scopes.includes(scope) || state.viewer.scopes.includes("ADMIN"));

/** Why the key does not allow an operation, or null where it does. */
export function forbidden(operation: Operation<never, never> | { scopes: readonly Scope[] }): string | null {
  const missing = operation.scopes.filter(scope => !may(scope));
  return missing.length === 0 ? null : `Needs a key with the scope ${missing.join(" and ")}.`;
}

// ───────────── polling ─────────────

/**
 * Runs fn at once and again each `every` ms after it has ended. In a hidden tab it rests, and goes on when the tab is shown.
 * Returns what ends it.
 */
export function poll(every: number, fn: () => Promise<void>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined, stopped = false, running = false;
  const run = async (): Promise<void> => {
    clearTimeout(timer);
    if (stopped || running || document.hidden) return;
    running = true;
    try {
      await fn();
    } catch (error) {
      report(error);
    }
    running = false;
    if (!stopped) timer = setTimeout(run, state.away ? Math.max(every, 1000) : every);
  };
  const shown = (): void => void run();
  document.addEventListener("visibilitychange", shown);
  void run();
  return () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", shown);
  };
}

let troubledAt = 0;
const troubleFor = 6000; // longer than what is asked again and again takes to fail again: the page does not jump

let signOut: (reason: string) => void = () => {};
export function onSignOut(fn: (reason: string) => void): void {
  signOut = fn;
}

/** Takes what went wrong with something that the page asked by itself. */
export function report(error: unknown): void {
  if (error instanceof Refused && error.code === "UNAUTHENTICATED") return signOut("The key is no longer valid.");
  if (error instanceof ServerAway) state.away = true;
  else if (error instanceof Error && error.name !== "AbortError") [state.trouble, troubledAt] = [error.message, Date.now()];
  refresh();
}

// ───────────── the pulse ─────────────

let ends: (() => void)[] = [];
let announce: (text: string) => void = () => {};
export function onAnnounce(fn: (text: string) => void): void {
  announce = fn;
}

/** Begins what goes on whatever view is shown. */
export function begin(): void {
  end();
  ends = [poll(1500, pulse), follow()];
}

export function end(): void {
  for (const stop of ends) stop();
  ends = [];
  Object.assign(state, { senders: null, deadLetters: null, behind: null, trouble: null, away: false });
  state.alerts.clear();
}

export async function pulse(): Promise<void> {
  const { senders, readModel, deadLetters } = await ask(Pulse, {});
  if (!state.viewer) return; // signed out while it was asked
  if (state.away) connection.hurry();
  Object.assign(state, {
    senders, deadLetters: deadLetters.totalCount, behind: seconds(readModel.behind), away: false,
  });
  if (Date.now() - troubledAt > troubleFor) state.trouble = null;
  refresh();
}

/** Puts a sender as a mutation answered it where the list has it. */
export function putSender(sender: SenderNow): void {
  const senders = state.senders ?? [];
  const at = senders.findIndex(({ id }) => id === sender.id);
  state.senders = at < 0 ? [...senders, sender].sort((a, b) => (a.id < b.id ? -1 : 1)) : senders.with(at, sender);
  refresh();
}

const alertListeners = new Set<() => void>();

/** Tells of each transition of an alert until what it returns is called. */
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
        state.alerts.clear();
        startedAt = Date.now();
        start();
      },
      next: ({ alerts: { at, node } }) => {
        sawServerTime(at);
        if (node.state === "RESOLVED") state.alerts.delete(node.id);
        else state.alerts.set(node.id, { at, alert: node });
        // Those that were open before are in the list; only news is announced.
        if (Date.now() - startedAt > 2000 || node.state !== "RAISED") {
          if (node.state === "RAISED") announce(`Alert: ${node.summary}`);
          else if (node.state === "RESOLVED") announce(`Over: ${node.summary}`);
        }
        for (const tell of alertListeners) tell();
        refresh();
      },
    });
  };
  start();
  return () => stop();
}

export const openAlerts = (): AlertNow[] =>
  [...state.alerts.values()].map(({ alert }) => alert)
    .sort((a, b) => Number(b.severity === "CRITICAL") - Number(a.severity === "CRITICAL") || Date.parse(b.raisedAt) - Date.parse(a.raisedAt));

export const senderName = (id: string): string => state.senders?.find(sender => sender.id === id)?.name ?? id;

/** The sender that figures are of: the one that was chosen, or for a key that is limited to some, the first of those; null: all. */
export const figuresOf = (chosen: string | null): string | null => (chosen ? chosen : state.viewer?.senderIds?.[0] ?? null);

/** The senders to choose among for figures: a key that is limited to some sees none over all. */
export const figureChoices = (all: string): (readonly [string, string])[] => senderChoices(all).slice(state.viewer?.senderIds ? 1 : 0);

/** The senders to choose among, behind a choice for all of them. */
export const senderChoices = (all: string): (readonly [string, string])[] =>
  [["", all], ...(state.senders ?? []).map(({ id, name }) => [id, name] as const)];

export const badge = (n: number | null): string => (n === null || n === 0 ? "" : n > 9999 ? "9999+" : count(n));
