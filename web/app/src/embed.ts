// One view in a page of someone else. It shows what its token is for, and has no other access, no menu, and no actions.
import { render } from "preact";
import { sawServerTime } from "./api/client.ts";
import type { MessageStatus, MessageType, SenderState } from "./api/operations.ts";
import { figure, percent, seconds, span, words } from "./lib/format.ts";
import { h, reactive, type Child, type VNode } from "./ui/h.ts";
import { card, facts, quiet, statusChip, time } from "./ui/parts.ts";
import { campaignFigures, type Counts } from "./views/campaign_parts.ts";
import { bubble } from "./views/content.ts";

const every = 5000; // ms

interface EmbeddedView { kind: "message" | "campaign" | "sender"; id?: string; label?: string; value?: string }

interface Data {
  message?: {
    id: string; status: MessageStatus; type: MessageType; queuedAt: string; sendAt: string | null; sentAt: string | null;
    deliveredAt: string | null; readAt: string | null; sender: { name: string }; to?: string | null; content?: unknown;
    failure: { category: string; message: string; advice: string } | null;
  } | null;
  messageCounts?: Counts;
  sender?: {
    id: string; name: string; state: SenderState; pauseReason: string | null; queueDepth: number; drainPerMinute: number; emptyIn: string | null;
    hold: { message: string; since: string } | null;
  } | null;
  metrics?: { sentPerMinute: number; deliveryRate: number | null; errorRate: number | null };
}

/** Whether this page is a single view. */
export const embedded = location.pathname.endsWith("/embed");

const shown = reactive({ data: null as Data | null, fault: "", ended: false });
let token = "";
let view: EmbeddedView | null = null;

export function startEmbedded(): void {
  take();
  // A page can give the frame a newer token without loading it again.
  addEventListener("hashchange", () => { if (take()) void load(); });
  render(h(Embedded, {}), document.getElementById("app")!);
  void load();
}

/** Takes the token from the address, where it does not stay. */
function take(): boolean {
  const given = /^#token=(wpv_[\w.-]+)$/.exec(location.hash)?.[1];
  if (!given) {
    if (!token) Object.assign(shown, { fault: "This view has no token.", ended: true });
    return false;
  }
  token = given;
  history.replaceState(null, "", location.pathname);
  try {
    const text = given.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/");
    view = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(text), c => c.charCodeAt(0)))) as EmbeddedView;
  } catch {
    view = null;
  }
  Object.assign(shown, { fault: "", ended: false });
  return true;
}

let timer: ReturnType<typeof setTimeout> | undefined;

async function load(): Promise<void> {
  clearTimeout(timer);
  if (shown.ended) return;
  const used = token;
  try {
    const response = await fetch("embed/data", { headers: { authorization: `Bearer ${used}` }, credentials: "omit", signal: AbortSignal.timeout(10_000) });
    sawServerTime(response.headers.get("date") ?? "");
    const answer = await response.json() as { data?: Data | null; errors?: { message: string }[] };
    if (used !== token) return;
    if (response.status === 401) return void Object.assign(shown, { data: null, fault: "This view has expired. Reload the page that contains it.", ended: true });
    if (answer.data) shown.data = answer.data;
    shown.fault = answer.errors?.[0]?.message ?? "";
  } catch {
    shown.fault = "The server does not respond. Retrying automatically.";
  }
  timer = setTimeout(load, every);
}

const gone = quiet("There is nothing to show.");

function body({ message, messageCounts, sender, metrics }: Data): Child {
  switch (view?.kind) {
    case "message": return message ? messageCard(message) : gone;
    case "campaign": return messageCounts
      ? card(`${view.label} = ${view.value}`, { id: "embedded-campaign" }, null, campaignFigures(messageCounts, null)) : gone;
    case "sender": return sender ? senderCard(sender, metrics) : gone;
    default: return gone;
  }
}

const messageCard = (m: NonNullable<Data["message"]>): VNode => card(["Message ", statusChip(m.status)], { id: "embedded-message" }, null,
  facts([
    ["Sender", m.sender.name], ["To", m.to], ["Type", words(m.type)], ["Queued", time(m.queuedAt)], ["Send at", m.sendAt && time(m.sendAt)],
    ["Sent", m.sentAt && time(m.sentAt)], ["Delivered", m.deliveredAt && time(m.deliveredAt)], ["Read", m.readAt && time(m.readAt)],
    ["Problem", m.failure && `${m.failure.message} ${m.failure.advice}`],
  ]),
  m.content ? bubble(m.type, m.content) : null);

const senderCard = (s: NonNullable<Data["sender"]>, metrics: Data["metrics"]): VNode => card([s.name, " ", statusChip(s.state)], { id: "embedded-sender" }, null,
  facts([
    ["Why", s.hold ? [s.hold.message, " since ", time(s.hold.since)] : s.pauseReason],
    ["Due", figure(s.queueDepth)], ["Empty in", s.emptyIn && s.queueDepth > 0 && span(seconds(s.emptyIn))],
    ["Sent per minute", metrics && figure(metrics.sentPerMinute)], ["Delivered, last 5 minutes", metrics && percent(metrics.deliveryRate)],
    ["Errors, last 5 minutes", metrics && percent(metrics.errorRate)],
  ]));

function Embedded(): VNode {
  return h("main", { id: "main", class: "embedded" }, h("h1", { class: "unseen" }, "Waypost"),
    shown.fault ? h("p", { id: "embed-fault", class: "error", role: "alert" }, shown.fault) : null,
    shown.data ? body(shown.data) : shown.fault ? null : quiet("Loading…"));
}
