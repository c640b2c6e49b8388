// What the browser keeps for the web UI: in the tab, or for all tabs. If it does not allow that, values last as long as the page.

type Area = "sessionStorage" | "localStorage";

const refused = new Map<string, string>(); // values that the browser doesn't keep

/** Returns a kept value, or null. */
export function recall(area: Area, name: string): string | null {
  try {
    return window[area].getItem(name);
  } catch {
    return refused.get(name) ?? null;
  }
}

/** Keeps a value, or removes it if it is null. */
export function keep(area: Area, name: string, value: string | null): void {
  try {
    if (value === null) window[area].removeItem(name);
    else window[area].setItem(name, value);
  } catch {
    if (value === null) refused.delete(name);
    else refused.set(name, value);
  }
}
