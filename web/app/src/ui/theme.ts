// The theme, light or dark: that of the system, or the chosen one, which this browser remembers.
import { computed, signal } from "@preact/signals";
import { keep, recall } from "../storage.ts";

export type Theme = "system" | "light" | "dark";

const kept = "theme";

function read(): Theme {
  const value = recall("localStorage", kept);
  return value === "light" || value === "dark" ? value : "system";
}

export const theme = signal(read());

const darkness = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(darkness.matches);
darkness.addEventListener("change", () => { systemIsDark.value = darkness.matches; });

/** What the page looks like. */
export const shade = computed(() => (theme.value === "system" ? systemIsDark.value ? "dark" : "light" : theme.value));

export function setTheme(next: Theme): void {
  keep("localStorage", kept, next === "system" ? null : next);
  apply(next);
  theme.value = next;
}

function apply(next: Theme): void {
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
}

apply(theme.value);
