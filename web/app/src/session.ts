// Whose key the page uses: one that somebody has typed, which stays in this tab, or in the demo the one that is given.
import { ask, currentKey, Refused, ServerAway, useKey } from "./api/client.ts";
import { Viewer } from "./api/operations.ts";
import { connection } from "./api/socket.ts";
import { begin, end, may, refresh, state, type Demo } from "./state.ts";

export const session = { fault: "", opening: false, asksForKey: false };

let retry: ReturnType<typeof setTimeout> | undefined;

export function signOut(reason = ""): void {
  clearTimeout(retry);
  end();
  connection.close();
  useKey(null);
  state.viewer = null;
  sessionStorage.removeItem("key");
  Object.assign(session, { fault: reason, opening: false, asksForKey: true });
  refresh();
}

export function signIn(key: string): void {
  useKey(key);
  void open();
}

/** Goes back to the demo's own key. */
export function useDemoKey(): void {
  sessionStorage.removeItem("key");
  signIn(state.demo!.key);
}

/** Opens the page with the key at hand; while the server is away it tries again. */
async function open(): Promise<void> {
  clearTimeout(retry);
  Object.assign(session, { fault: "", opening: true });
  refresh();
  const key = currentKey();
  try {
    const { viewer } = await ask(Viewer, {});
    if (key !== currentKey()) return;
    state.viewer = viewer;
    if (!may("READ")) return signOut(`The key ${viewer.name} has no READ scope; it has ${viewer.scopes.join(", ")}.`);
    if (key !== state.demo?.key) sessionStorage.setItem("key", key!);
    Object.assign(session, { opening: false, asksForKey: false });
    state.away = false;
    begin();
  } catch (error) {
    if (key !== currentKey()) return;
    if (error instanceof Refused && (error.code === "UNAUTHENTICATED" || error.code === "FORBIDDEN")) return signOut(error.message);
    state.away = error instanceof ServerAway;
    session.fault = `${error instanceof Error ? error.message : "The server does not answer."} The page tries again by itself.`;
    retry = setTimeout(open, 2000);
  }
  refresh();
}

export async function start(): Promise<void> {
  connection.onState = live => {
    state.live = live;
    refresh();
  };
  connection.onUnauthenticated = signOut;
  state.demo = await demo();
  const key = sessionStorage.getItem("key") ?? state.demo?.key;
  if (key) signIn(key);
  else signOut();
}

/** The demo's key and simulator. Elsewhere the same file is served without a key. */
async function demo(): Promise<Demo | null> {
  try {
    const response = await fetch("demo.json", { signal: AbortSignal.timeout(10_000) });
    const given = response.ok ? await response.json() as Demo : null;
    return given?.key ? given : null;
  } catch {
    return null; // the server is away
  }
}
