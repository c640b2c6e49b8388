// The key that the web UI uses: one that was typed, which stays in this tab, or the one that the demo returns for its link.
import { ask, currentKey, Refused, ServerAway, useKey } from "./api/client.ts";
import { Viewer } from "./api/operations.ts";
import { connection } from "./api/socket.ts";
import { replace } from "./route.ts";
import { reactive } from "./ui/h.ts";
import { begin, end, may, state, type Demo } from "./state.ts";

export const session = reactive({ fault: "", opening: false, asksForKey: false, wantsLink: false });

let retry: ReturnType<typeof setTimeout> | undefined;

export function signOut(reason = ""): void {
  clearTimeout(retry);
  end();
  connection.close();
  useKey(null);
  state.viewer = null;
  sessionStorage.removeItem("key");
  Object.assign(session, { fault: reason, opening: false, asksForKey: true });
}

export function signIn(key: string): void {
  useKey(key);
  void open();
}

/** Switches back to the demo's own key. */
export function useDemoKey(): void {
  sessionStorage.removeItem("key");
  signIn(state.demo!.key);
}

/** Signs in with the current key. While the server is unavailable, it retries. */
async function open(): Promise<void> {
  clearTimeout(retry);
  Object.assign(session, { fault: "", opening: true });
  const key = currentKey();
  try {
    const { viewer } = await ask(Viewer, {});
    if (key !== currentKey()) return;
    state.viewer = viewer;
    if (!may("READ")) return signOut(`The key ${viewer.name} has no READ scope, only ${viewer.scopes.join(", ")}.`);
    if (key !== state.demo?.key) sessionStorage.setItem("key", key!);
    Object.assign(session, { opening: false, asksForKey: false });
    state.away = false;
    begin();
  } catch (error) {
    if (key !== currentKey()) return;
    if (error instanceof Refused && (error.code === "UNAUTHENTICATED" || error.code === "FORBIDDEN")) return signOut(error.message);
    state.away = error instanceof ServerAway;
    session.fault = `${error instanceof Error ? error.message : "The server does not respond."} Retrying automatically.`;
    retry = setTimeout(open, 2000);
  }
}

export async function start(): Promise<void> {
  connection.onState = live => {
    state.live = live;
  };
  connection.onUnauthenticated = signOut;
  takeLink();
  state.demo = await demo();
  const key = sessionStorage.getItem("key") ?? state.demo?.key;
  if (key) signIn(key);
  else signOut();
}

/** The storage key for the secret of the demo's link, for reloads and other tabs. The secret is useless after the demo. */
const demoSecret = "demo";

/** Removes the secret of the demo's link from the address and stores it. Returns whether there was one. */
export function takeLink(): boolean {
  const secret = /^#key=(.+)$/.exec(location.hash)?.[1];
  if (!secret) return false;
  localStorage.setItem(demoSecret, secret);
  replace("#/");
  return true;
}

/** Returns the demo's key and simulator. Without the secret of its link, and outside the demo, the file contains no key. */
async function demo(): Promise<Demo | null> {
  const secret = localStorage.getItem(demoSecret) ?? "";
  try {
    const response = await fetch("demo.json", { headers: { authorization: `Bearer ${secret}` }, signal: AbortSignal.timeout(10_000) });
    const given = response.ok ? await response.json() as Demo & { demo?: boolean } : null;
    session.wantsLink = given?.demo === true;
    if (given?.key) return { ...given, secret };
    if (given) localStorage.removeItem(demoSecret);
    return null;
  } catch {
    return null; // the server is unavailable
  }
}
