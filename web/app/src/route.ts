// The current view, as the part of the address after "#", so that links to it can be shared and the web UI works below any path.
import { signal } from "@preact/signals";

/** The address of the current view, after "#": a path and a query. */
export interface Address { path: string; query: URLSearchParams }

/** A view with the parameters of its path. */
export interface Route { params: Record<string, string>; query: URLSearchParams }

function read(): Address {
  const hash = location.hash.replace(/^#/, "");
  const at = hash.indexOf("?"), path = at < 0 ? hash : hash.slice(0, at), query = at < 0 ? "" : hash.slice(at + 1);
  if (/^[0-9a-f-]{36}$/i.test(path)) return { path: `/messages/${path}`, query: new URLSearchParams() }; // the form of older links to a message
  return { path: path.startsWith("/") ? path : `/${path}`, query: new URLSearchParams(query) };
}

export const address = signal(read());

let hash = location.hash; // that address was read from

function update(): void {
  hash = location.hash;
  address.value = read();
}

// A link within the page sends both events, and the second one can come when the new view has already been used.
for (const type of ["hashchange", "popstate"]) addEventListener(type, () => { if (location.hash !== hash) update(); });

export function link(path: readonly string[], query?: URLSearchParams): string {
  const search = query?.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${search ? `?${search}` : ""}`;
}

export function go(to: string): void {
  location.hash = to;
}

/** Goes to another address in place of the current one. */
export function replace(to: string): void {
  history.replaceState(null, "", to);
  update();
}

/** Changes the query of the current view: in a new entry of the browser's history if it has a state, and in the current one otherwise. */
export function setQuery(change: Record<string, string | null>, entry?: object): void {
  const { path } = address.value, query = new URLSearchParams(address.value.query);
  for (const [name, value] of Object.entries(change)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
  const to = link(path.split("/").filter(Boolean).map(decodeURIComponent), query);
  if (!entry) return replace(to);
  history.pushState(entry, "", to);
  update();
}

/** A view, shown while its route is current. A view with `moved` keeps its state when the query changes. */
export interface View {
  title: string;
  render: () => import("./ui/h.ts").Child;
  /** Called when the query has changed. Without it, the view is created again. */
  moved?: (query: URLSearchParams) => void;
  stop: () => void;
}
