// The web UI: its frame, and the current view.
import "./style/base.css";
import "./style/frame.css";
import "./style/views.css";
import { forbidden, badge, end, onAnnounce, onRefresh, onSignOut, openAlerts, refresh, state } from "./state.ts";
import { Ledger, Queue } from "./api/operations.ts";
import { connection } from "./api/socket.ts";
import { span } from "./lib/format.ts";
import { currentRoute, link, type Route, type View } from "./route.ts";
import { session, signOut, start, takeLink } from "./session.ts";
import { h, patchChildren, type Child, type VNode } from "./ui/dom.ts";
import { overlay, note } from "./ui/overlay.ts";
import { chip, held, type Tone } from "./ui/parts.ts";
import { searchBox, focusSearch } from "./ui/search_box.ts";
import { setTheme, theme, type Theme } from "./ui/theme.ts";
import { signInCard } from "./views/sign_in.ts";
import { overview } from "./views/overview.ts";
import { messages } from "./views/messages.ts";
import { message } from "./views/message.ts";
import { deadLetters } from "./views/dead_letters.ts";
import { alerts } from "./views/alerts.ts";
import { senders } from "./views/senders.ts";
import { ledger } from "./views/ledger.ts";
import { queue } from "./views/queue.ts";
import { breakIt } from "./views/break_it.ts";

const views: Record<string, (route: Route) => View> = {
  "": overview, messages, "dead-letters": deadLetters, alerts, senders, ledger, queue, break: breakIt,
};

// ───────────── current view ─────────────

let view: View | null = null;
let shownFor = "";
let menuOpen = false;

function follow(): void {
  if (!state.viewer) {
    view?.stop();
    [view, shownFor] = [null, ""];
    return;
  }
  const route = currentRoute();
  const [name = "", id = ""] = route.path;
  const place = JSON.stringify([state.viewer.keyId, ...route.path]);
  if (place === shownFor && view?.moved) {
    view.moved(route.query);
    return;
  }
  const known = Object.hasOwn(views, name);
  view?.stop();
  view = name === "messages" && id ? message(route) : known ? views[name]!(route) : nowhere(name);
  if (shownFor) {
    scrollTo(0, 0);
    document.getElementById("main")?.focus({ preventScroll: true }); // a screen reader continues in the new view
  }
  shownFor = place;
  menuOpen = false;
}

const nowhere = (name: string): View => ({
  title: "Not found", stop: () => {},
  render: () => h("section", { class: "card narrow" }, h("h2", null, `There is no page “${name}”`),
    h("a", { href: "#/" }, "Go to the overview")),
});

// ───────────── the frame ─────────────

function status(): VNode {
  const [text, tone]: [string, Tone] = state.away ? ["Server unavailable", "bad"]
    : !state.viewer ? [session.opening ? "Connecting…" : "No key", "wait"]
    : state.live === "live" ? ["Live", "good"]
    : state.live === "lost" ? ["Reconnecting…", "warn"] : ["Connecting…", "wait"];
  return chip(text, tone, { id: "connection", role: "status" });
}

interface Entry { name: string; text: string; count?: string; tone?: string; title?: string }

function entries(): Entry[] {
  const open = openAlerts();
  const held = (state.senders ?? []).filter(sender => sender.state !== "ACTIVE").length;
  const all: (Entry | false)[] = [
    { name: "", text: "Overview" },
    { name: "messages", text: "Messages" },
    { name: "dead-letters", text: "Dead letters", count: badge(state.deadLetters), tone: "bad" },
    { name: "alerts", text: "Alerts", count: badge(open.length), tone: open.some(alert => alert.severity === "CRITICAL") ? "bad" : "warn" },
    { name: "senders", text: "Senders", count: badge(held), tone: "warn", title: `${held} not sending` },
    !forbidden(Ledger) && { name: "ledger", text: "Ledger and log" },
    !forbidden(Queue) && { name: "queue", text: "Queue a message" },
    state.demo !== null && { name: "break", text: "Break it" },
  ];
  return all.filter(entry => entry !== false);
}

function menu(): VNode {
  const [here = ""] = currentRoute().path;
  return h("nav", { id: "menu", class: "menu", "aria-label": "Views", "data-open": String(menuOpen) },
    h("ul", null, entries().map(({ name, text, count, tone, title }) => h("li", { key: name },
      h("a", { href: link(name ? [name] : []), "aria-current": name === here ? "page" : null,
        onclick: () => { menuOpen = false; refresh(); } },
        text, count ? h("span", { class: "badge", "data-tone": tone ?? null, title: title ?? null }, count) : null)))),
    h("div", { class: "menu-end" },
      h("label", { class: "choose" }, h("span", null, "Theme"),
        h("select", { id: "theme", value: theme(), onchange: (event: Event) => setTheme(held(event) as Theme) },
          ["system", "light", "dark"].map(name => h("option", { key: name, value: name }, name)))),
      h("a", { href: "playground" }, "GraphiQL"),
      h("p", { class: "quiet", id: "who" }, "Key ", h("strong", null, state.viewer!.name),
        state.viewer!.scopes.includes("ADMIN") ? null : `: ${state.viewer!.scopes.join(", ")}`,
        state.viewer!.senderIds ? `; senders ${state.viewer!.senderIds.join(", ")}` : null),
      h("button", { type: "button", id: "forget", class: "plain small", onclick: () => signOut() }, "Change key")));
}

function trouble(): Child {
  const behind = state.behind ?? 0;
  const text = state.away && state.viewer
    ? "The server does not respond. The data shown is from before. It updates automatically when the server is back."
    : state.trouble ?? (behind >= 5 ? `Lists and counts are ${span(behind)} behind the event log. A message's own page is current.` : "");
  return h("div", { key: "trouble", role: "alert" }, text
    ? h("p", { id: "trouble", class: "trouble", "data-tone": state.away || state.trouble ? "bad" : "warn" }, text) : null);
}

function frame(): Child {
  const main = h("main", { key: "main", id: "main", tabindex: -1, class: state.away ? "away" : "" },
    view ? [h("h1", { class: "unseen" }, view.title), view.render()]
      : session.asksForKey ? [h("h1", { class: "unseen" }, "Waypost"), signInCard()] : h("p", { class: "quiet centred" }, session.fault || "Connecting…"));
  return [
    h("a", {
      key: "skip", class: "skip", href: "#main",
      onclick: (event: Event) => {
        event.preventDefault(); // the address determines the view
        document.getElementById("main")?.focus();
      },
    }, "Skip to content"),
    h("header", { key: "bar", class: "bar" },
      h("a", { class: "brand", href: "#/" }, h("img", { src: "icon.svg", alt: "", width: 24, height: 24 }), "Waypost"),
      state.viewer ? searchBox() : null,
      status(),
      state.viewer ? h("button", {
        type: "button", class: "plain menu-button", "aria-expanded": String(menuOpen), "aria-controls": "menu",
        onclick: () => { menuOpen = !menuOpen; refresh(); },
      }, "Menu") : null),
    h("div", { key: "body", class: state.viewer ? "body" : "body bare" }, state.viewer ? menu() : null,
      h("div", { class: "content" }, trouble(), main)),
    overlay(),
  ];
}

// ───────────── start ─────────────

const root = document.getElementById("app")!;
let drawn: VNode = h("div", null);

onRefresh(() => {
  if ((state.viewer === null) !== (view === null)) follow();
  const next = h("div", null, frame());
  patchChildren(root, drawn.children, next.children);
  drawn = next;
  const open = openAlerts().length;
  document.title = `${open > 0 ? `(${open}) ` : ""}${view ? `${view.title} · ` : ""}Waypost`;
});
onSignOut(signOut);
onAnnounce(text => note(text, text.startsWith("Alert")));
addEventListener("hashchange", () => {
  if (takeLink()) return void start();
  follow();
  refresh();
});
addEventListener("online", () => connection.hurry());
addEventListener("keydown", event => {
  const typing = event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable], dialog");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey && state.viewer) {
    event.preventDefault();
    focusSearch();
  } else if (event.key === "Escape" && menuOpen) {
    menuOpen = false;
    refresh();
  }
});
addEventListener("pagehide", event => {
  if (event.persisted) return;
  end();
  connection.close();
});

refresh();
void start();
