// The current view, as the part of the address after "#", so that links to it can be shared.

export interface Route {
  /** The parts of the path: [] for #/, ["messages", ID] for a message. */
  path: readonly string[];
  query: URLSearchParams;
}

export function currentRoute(): Route {
  const hash = location.hash.replace(/^#/, "");
  const [path = "", query = ""] = hash.split("?", 2);
  if (/^[0-9a-f-]{36}$/i.test(path)) return { path: ["messages", path], query: new URLSearchParams() }; // the form of older links to a message
  return { path: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function link(path: readonly string[], query?: URLSearchParams): string {
  const search = query?.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${search ? `?${search}` : ""}`;
}

export function go(to: string): void {
  location.hash = to;
}

/** Changes the query of the current view, without a new entry in the browser's history. */
export function setQuery(change: Record<string, string | null>): void {
  const { path, query } = currentRoute();
  for (const [name, value] of Object.entries(change)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
  history.replaceState(null, "", link(path, query));
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/** A view, shown while its route is current. A view with `moved` keeps its state when the query changes. */
export interface View {
  title: string;
  render: () => import("./ui/dom.ts").Child;
  /** Called when the query has changed. Without it, the view is created again. */
  moved?: (query: URLSearchParams) => void;
  stop: () => void;
}
