// The web UI: its frame, and the current view.
import { options, render } from "preact";
import { effect, untracked } from "@preact/signals";
import UniversalRouter from "universal-router/sync";
import "./style/base.css";
import "./style/frame.css";
import "./style/views.css";
import { forbidden, badge, end, onAnnounce, onSignOut, loudAlerts, state } from "./state.ts";
import { ApiKeys, Erase, Hooks, Ledger, Queue } from "./api/operations.ts";
import { connection } from "./api/socket.ts";
import { plural, span, visible } from "./lib/format.ts";
import { address, link, type Route, type View } from "./route.ts";
import { expire, leave, session, signedIn, start, takeLink } from "./session.ts";
import { h, reactive, type VNode } from "./ui/h.ts";
import { Overlay, leaveDialog, note } from "./ui/overlay.ts";
import { openPalette, Palette, type Command } from "./ui/palette.ts";
import { chip, held, type Tone } from "./ui/parts.ts";
import { SearchBox, focusSearch } from "./ui/search_box.ts";
import { setUtc, utc } from "./ui/zone.ts";
import { setTheme, theme, type Theme } from "./ui/theme.ts";
import { signInCard } from "./views/sign_in.ts";
import { overview } from "./views/overview.ts";
import { compare } from "./views/compare.ts";
import { messages } from "./views/messages.ts";
import { message } from "./views/message.ts";
import { conversations } from "./views/conversations.ts";
import { conversation } from "./views/conversation.ts";
import { deadLetters } from "./views/dead_letters.ts";
import { alerts } from "./views/alerts.ts";
import { senders } from "./views/senders.ts";
import { hindered } from "./views/queues.ts";
import { templates } from "./views/templates.ts";
import { ledger } from "./views/ledger.ts";
import { queue } from "./views/queue.ts";
import { breakIt } from "./views/break_it.ts";
import { keys } from "./views/keys.ts";
import { hooks } from "./views/hooks.ts";
import { erasure } from "./views/erasure.ts";
import { campaign } from "./views/campaign.ts";
import { embedded, startEmbedded } from "./embed.ts";

// ───────────── current view ─────────────

const pages: Record<string, (route: Route) => View> = {
  "/": overview, "/compare": compare, "/messages": messages, "/messages/:id": message, "/conversations": conversations, "/conversations/:sender/:person": conversation, "/campaigns{/:label/:value}": campaign, "/dead-letters": deadLetters, "/alerts": alerts,
  "/senders{/:id}": senders, "/templates": templates, "/templates/:account/:name/:language": templates, "/ledger": ledger, "/queue": queue, "/break": breakIt,
  "/keys": keys, "/webhooks{/:id}": hooks, "/erasure": erasure,
};

const router = new UniversalRouter<() => View>(
  Object.entries(pages).map(([path, page]) => ({
    path, action: ({ params, query }) => () => page({ params: params as Record<string, string>, query: query as URLSearchParams }),
  })),
  { errorHandler: (_, { pathname }) => () => nowhere(pathname) });

const frame = reactive({ view: null as View | null, menuOpen: false });
let shownFor = "";
let views = 0; // the key of the current one, so that none inherits the state of another one's elements

/** Shows the view of the address. If the view is already shown and keeps its state, only its query changes. */
function follow(): void {
  const { path, query } = address.value, { viewer } = state;
  untracked(() => {
    const place = viewer ? JSON.stringify([viewer.keyId, path]) : "";
    if (place && place === shownFor && frame.view?.moved) return frame.view.moved(query);
    frame.view?.stop();
    leaveDialog();
    views++;
    frame.view = place ? router.resolve({ pathname: path, query })!() : null;
    frame.menuOpen = false;
    if (shownFor && place) {
      scrollTo(0, 0);
      document.getElementById("main")?.focus({ preventScroll: true }); // a screen reader continues in the new view
    }
    shownFor = place;
  });
}

const nowhere = (path: string): View => ({
  title: "Not found", stop: () => {},
  render: () => h("section", { class: "card narrow" }, h("h2", null, `There is no page “${path}”`),
    h("a", { href: "#/" }, "Go to the overview")),
});

// ───────────── the frame ─────────────

function Status(): VNode {
  const [text, tone]: [string, Tone] = state.away ? ["Server unavailable", "bad"]
    : !state.viewer ? [session.opening ? "Connecting…" : "Not signed in", "wait"]
    : state.live === "live" ? ["Live", "good"]
    : state.live === "lost" ? ["Reconnecting…", "warn"] : ["Connecting…", "wait"];
  return chip(text, tone, { id: "connection", role: "status" });
}

interface Entry { name: string; text: string; count?: string; tone?: string; title?: string }

function entries(): Entry[] {
  const open = loudAlerts();
  const stopped = (state.senders ?? []).filter(hindered).length;
  const all: (Entry | false)[] = [
    { name: "", text: "Overview" },
    { name: "messages", text: "Messages" },
    { name: "conversations", text: "Conversations" },
    { name: "campaigns", text: "Campaigns" },
    { name: "dead-letters", text: "Dead letters", count: badge(state.deadLetters), tone: "bad" },
    { name: "alerts", text: "Alerts", count: badge(open.length), tone: open.some(alert => alert.severity === "CRITICAL") ? "bad" : "warn" },
    { name: "senders", text: "Senders", count: badge(stopped), tone: "warn", title: `${plural(stopped, "sender")} held, paused, restricted, or without responses from WhatsApp` },
    { name: "templates", text: "Templates" },
    !forbidden(Ledger) && { name: "ledger", text: "Ledger and log" },
    !forbidden(Queue) && { name: "queue", text: "Queue a message" },
    !forbidden(Hooks) && { name: "webhooks", text: "Outgoing webhooks" },
    !forbidden(ApiKeys) && { name: "keys", text: "API keys" },
    !forbidden(Erase) && !state.viewer?.senderIds && { name: "erasure", text: "Erasure" },
    state.demo !== null && { name: "break", text: "Break it" },
  ];
  return all.filter(entry => entry !== false);
}

/** What the command palette offers: the views, the senders, and the keys. */
const commands = (): Command[] => [
  { name: "Search messages", run: focusSearch, keys: "/" },
  ...entries().map(({ name, text }) => ({ name: text, run: link(name ? [name] : []) })),
  ...(state.senders ?? []).map(({ id, name }) => ({ name: `Sender ${name} (${id})`, run: link(["senders", id]) })),
  { name: "Compare two time ranges", run: link(["compare"]) },
  { name: "Dark theme", run: () => setTheme("dark") }, { name: "Light theme", run: () => setTheme("light") },
  { name: "Show these commands", run: () => openPalette(commands()), keys: "? or Ctrl+K" },
];

function Menu(): VNode {
  const here = address.value.path.split("/")[1] ?? "";
  return h("nav", { id: "menu", class: "menu", "aria-label": "Views", "data-open": String(frame.menuOpen) },
    h("ul", null, entries().map(({ name, text, count, tone, title }) => h("li", { key: name },
      h("a", { href: link(name ? [name] : []), "aria-current": name === here ? "page" : null,
        onclick: () => { frame.menuOpen = false; } },
        text, count ? h("span", { class: "badge", "data-tone": tone ?? null, title: title ?? null }, count) : null)))),
    h("div", { class: "menu-end" },
      h("label", { class: "choose" }, h("span", null, "Theme"),
        h("select", { id: "theme", value: theme.value, onchange: (event: Event) => setTheme(held(event) as Theme) },
          ["system", "light", "dark"].map(name => h("option", { key: name, value: name }, name)))),
      h("label", { class: "choose" }, h("span", null, "Times"),
        h("select", { id: "zone", value: utc.value ? "UTC" : "local", onchange: (event: Event) => setUtc(held(event) === "UTC") },
          [["local", "local"], ["UTC", "UTC"]].map(([value, text]) => h("option", { key: value!, value: value! }, text)))),
      h("button", { type: "button", class: "plain small", onclick: () => openPalette(commands()) }, "Commands ", h("kbd", null, "?")),
      h("a", { href: "playground" }, "GraphiQL"),
      h("p", { class: "quiet", id: "who" }, signedIn() ? "Signed in as " : "Key ", h("strong", null, state.viewer!.name),
        state.viewer!.scopes.includes("ADMIN") ? null : `: ${state.viewer!.scopes.join(", ")}`,
        state.viewer!.senderIds ? `; senders ${state.viewer!.senderIds.join(", ")}` : null),
      h("button", { type: "button", id: "forget", class: "plain small", onclick: () => void leave() }, signedIn() ? "Sign out" : "Change key")));
}

function Trouble(): VNode {
  const behind = state.behind ?? 0;
  const text = state.away && state.viewer
    ? "The server does not respond. The data shown is from before. It updates automatically when the server is back."
    : state.trouble ?? (behind >= 5 ? `Lists and counts are ${span(behind)} behind the event log. A message's own page is current.` : "");
  return h("div", { role: "alert" }, text
    ? h("p", { id: "trouble", class: "trouble", "data-tone": state.away || state.trouble ? "bad" : "warn" }, text) : null);
}

function Current({ view }: { view: View }): VNode {
  return h("div", null, h("h1", { class: "unseen" }, view.title), view.render());
}

function Main(): VNode {
  const { view } = frame;
  return h("main", { id: "main", tabindex: -1, class: state.away ? "away" : "" },
    view ? h(Current, { key: views, view })
      : session.asksForKey ? [h("h1", { class: "unseen" }, "Waypost"), signInCard()]
      : h("p", { class: "quiet centred" }, session.fault || "Connecting…"));
}

const skip = (event: Event): void => {
  event.preventDefault(); // the address determines the view
  document.getElementById("main")?.focus();
};

function Frame(): VNode {
  const signedIn = state.viewer !== null;
  return h("div", null,
    h("a", { class: "skip", href: "#main", onclick: skip }, "Skip to content"),
    h("header", { class: "bar" },
      h("a", { class: "brand", href: "#/" }, h("img", { src: "icon.svg", alt: "", width: 24, height: 24 }), "Waypost"),
      signedIn ? h(SearchBox, {}) : null,
      h(Status, {}),
      signedIn ? h("button", {
        type: "button", class: "plain menu-button", "aria-expanded": String(frame.menuOpen), "aria-controls": "menu",
        onclick: () => { frame.menuOpen = !frame.menuOpen; },
      }, "Menu") : null),
    h("div", { class: signedIn ? "body" : "body bare" }, signedIn ? h(Menu, {}) : null,
      h("div", { class: "content" }, h(Trouble, {}), h(Main, {}))),
    h(Overlay, {}), h(Palette, {}));
}

// ───────────── start ─────────────

const drawEvery = 100; // ms; on a busy server, many changes are drawn at once
let drawnAt = 0;

// Draws in the next frame, and at most ten times per second. A hidden tab has no frames.
options.debounceRendering = draw => {
  const now = (): void => {
    drawnAt = performance.now();
    draw();
  };
  setTimeout(() => (document.hidden ? now() : requestAnimationFrame(now)), Math.max(0, drawnAt + drawEvery - performance.now()));
};

if (embedded) startEmbedded();
else begin();

function begin(): void {
  effect(follow);
  effect(() => {
    const open = loudAlerts().length;
    document.title = visible(`${open > 0 ? `(${open}) ` : ""}${frame.view ? `${frame.view.title} · ` : ""}Waypost`);
  });
  onSignOut(expire);
  onAnnounce(text => note(text, text.startsWith("Alert")));
  addEventListener("hashchange", () => { if (takeLink()) void start(); });
  addEventListener("online", () => connection.hurry());
  addEventListener("keydown", event => {
    const typing = event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable], dialog");
    const plain = !typing && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (event.key === "/" && plain && state.viewer) {
      event.preventDefault();
      focusSearch();
    } else if ((event.key === "?" && plain || event.key === "k" && (event.ctrlKey || event.metaKey)) && state.viewer) {
      event.preventDefault();
      openPalette(commands());
    } else if (event.key === "Escape") {
      frame.menuOpen = false;
    }
  });
  addEventListener("pagehide", event => {
    if (event.persisted) return;
    end();
    connection.close();
  });
  render(h(Frame, {}), document.getElementById("app")!);
  void start();
}
