// The theme, light or dark: that of the system, or the chosen one, which this browser remembers.
import { computed, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const kept = "theme";

function read(): Theme {
  try {
    const value = localStorage.getItem(kept);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system"; // storage is not available
  }
}

export const theme = signal(read());

const darkness = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(darkness.matches);
darkness.addEventListener("change", () => { systemIsDark.value = darkness.matches; });

/** What the page looks like. */
export const shade = computed(() => (theme.value === "system" ? systemIsDark.value ? "dark" : "light" : theme.value));

export function setTheme(next: Theme): void {
  try {
    if (next === "system") localStorage.removeItem(kept);
    else localStorage.setItem(kept, next);
  } catch {
    // If storage is not available, the choice lasts as long as the page.
  }
  apply(next);
  theme.value = next;
}

function apply(next: Theme): void {
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
}

apply(theme.value);
