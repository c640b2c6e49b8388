// The theme, light or dark: that of the system, or the chosen one, which this browser remembers.

export type Theme = "system" | "light" | "dark";

const kept = "theme";

export function theme(): Theme {
  const value = read();
  return value === "light" || value === "dark" ? value : "system";
}

export function setTheme(next: Theme): void {
  try {
    if (next === "system") localStorage.removeItem(kept);
    else localStorage.setItem(kept, next);
  } catch {
    // If storage is not available, the choice lasts as long as the page.
  }
  apply(next);
}

function read(): string | null {
  try {
    return localStorage.getItem(kept);
  } catch {
    return null;
  }
}

function apply(next: Theme): void {
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
}

apply(theme());
