// How the web UI identifies itself: with a key that was typed, which stays in this tab, with the key that the demo returns for its
// link, or with the cookie of a person who signed in with the identity provider.
import { ask, currentKey, Refused, ServerAway, useKey } from "./api/client.ts";
import { Viewer } from "./api/operations.ts";
import { connection } from "./api/socket.ts";
import { replace } from "./route.ts";
import { reactive } from "./ui/h.ts";
import { note, watchOthers } from "./ui/overlay.ts";
import { begin, end, may, state, type Demo } from "./state.ts";
import { keep, recall } from "./storage.ts";

export const session = reactive({ fault: "", opening: false, asksForKey: false, wantsLink: false, canSignIn: false });

let retry: ReturnType<typeof setTimeout> | undefined;

/** Ends the use of the key, and asks for another one or to sign in. */
export function signOut(reason = ""): void {
  clearTimeout(retry);
  end();
  connection.close();
  useKey(null);
  state.viewer = null;
  keep("sessionStorage", "key", null);
  Object.assign(session, { fault: reason, opening: false, asksForKey: true });
}

/** Called when the server no longer accepts the key or the session. */
export function expire(reason: string): void {
  if (!state.viewer) return; // known already
  signOut(signedIn() ? "Your session has ended. Sign in again." : reason || "The key is no longer valid.");
}

/** Whether a person has signed in with the identity provider, in this browser. */
export const signedIn = (): boolean => state.viewer?.kind === "USER" && currentKey() === null;

/** Signs a person out in this browser, or stops using the key. */
export async function leave(): Promise<void> {
  if (!signedIn()) return signOut();
  try {
    const response = await fetch("auth/logout", { method: "POST", signal: AbortSignal.timeout(10_000) });
    if (!response.ok) throw new Error();
    signOut();
  } catch {
    note("The server does not respond, so you are still signed in. Try again.", true);
  }
}

const origin = "origin"; // the storage key for the view that a person was in before signing in

/** Goes to the identity provider, which returns to the web UI. */
export function beginSignIn(): void {
  keep("sessionStorage", origin, location.hash);
  location.assign("auth/login");
}

export function signIn(key: string): void {
  // The browser can't send it in a header, which would look like an unavailable server.
  if (!/^[\x21-\x7e]+$/.test(key)) return signOut("The key contains a space or another character that no key has. Copy it again.");
  useKey(key);
  void open();
}

/** Switches back to the demo's own key. */
export function useDemoKey(): void {
  keep("sessionStorage", "key", null);
  signIn(state.demo!.key);
}

/** Begins with the current key, or with the session if there is none. While the server is unavailable, it retries. */
async function open(): Promise<void> {
  clearTimeout(retry);
  Object.assign(session, { fault: "", opening: true });
  const key = currentKey();
  try {
    const { viewer } = await ask(Viewer, {});
    if (key !== currentKey()) return;
    state.viewer = viewer;
    if (!may("READ")) return signOut(`The key ${viewer.name} has no READ scope, only ${viewer.scopes.join(", ")}.`);
    if (key !== null && key !== state.demo?.key) keep("sessionStorage", "key", key);
    Object.assign(session, { opening: false, asksForKey: false });
    state.away = false;
    begin(watchOthers);
  } catch (error) {
    if (key !== currentKey()) return;
    if (error instanceof Refused && (error.code === "UNAUTHENTICATED" || error.code === "FORBIDDEN")) return signOut(error.message);
    state.away = error instanceof ServerAway;
    session.fault = `${error instanceof Error ? error.message : "The server does not respond."} Retrying automatically.`;
    retry = setTimeout(open, 2000);
  }
}

export async function start(): Promise<void> {
  clearTimeout(retry);
  connection.onState = live => {
    state.live = live;
  };
  connection.onUnauthenticated = expire;
  takeLink();
  const [found, people] = await Promise.all([demo(), identities()]);
  state.demo = found;
  session.canSignIn = people?.signIn ?? false;
  const key = recall("sessionStorage", "key") ?? state.demo?.key;
  if (key) return signIn(key);
  if (!people) { // a person who has signed in needs no key
    state.away = true;
    Object.assign(session, { fault: "The server does not respond. Retrying automatically.", opening: true });
    retry = setTimeout(start, 2000);
    return;
  }
  if (!people.signedIn) return signOut();
  const from = recall("sessionStorage", origin);
  keep("sessionStorage", origin, null);
  if (from && !location.hash) replace(from);
  void open();
}

/** Returns whether people can sign in, and whether someone has, in this browser. Null if the server is unavailable. */
async function identities(): Promise<{ signIn: boolean; signedIn?: boolean } | null> {
  try {
    const response = await fetch("auth.json", { signal: AbortSignal.timeout(10_000) });
    return response.ok ? await response.json() as { signIn: boolean } : null;
  } catch {
    return null;
  }
}

/** The storage key for the secret of the demo's link, for reloads and other tabs. The secret is useless after the demo. */
const demoSecret = "demo";

/** Removes the secret of the demo's link from the address and stores it. Returns whether there was one. */
export function takeLink(): boolean {
  const secret = /^#key=(.+)$/.exec(location.hash)?.[1];
  if (!secret) return false;
  keep("localStorage", demoSecret, secret);
  replace("#/");
  return true;
}

/** Returns the demo's key and simulator. Without the secret of its link, and outside the demo, the file contains no key. */
async function demo(): Promise<Demo | null> {
  const secret = recall("localStorage", demoSecret) ?? "";
  try {
    const response = await fetch("demo.json", { headers: { authorization: `Bearer ${secret}` }, signal: AbortSignal.timeout(10_000) });
    const given = response.ok ? await response.json() as Demo & { demo?: boolean } : null;
    session.wantsLink = given?.demo === true;
    if (given?.key) return { ...given, secret };
    if (given) keep("localStorage", demoSecret, null);
    return null;
  } catch {
    return null; // the server is unavailable
  }
}
