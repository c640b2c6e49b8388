// The operations page. It talks GraphQL alone, save for the simulator's settings in the demo,
// and builds every node by hand, so nothing a message holds can become markup.

const rowLimit = 30;
const rowsPerSecond = 3; // of a busy sender only a sample is shown, so that each row can be watched
const troubledRowsPerSecond = 2;
const secondsShown = 60;
const requestTimeout = 10_000;
const socketSilence = 30_000;
const countedLimit = 50_000;

const tones = {
  QUEUED: "wait", SENDING: "move", RETRYING: "warn", AMBIGUOUS: "warn", SENT: "move", DELIVERED: "good", READ: "good",
  FAILED: "bad", DEAD_LETTERED: "bad", CANCELLED: "wait", EXPIRED: "warn", DISCARDED: "wait",
  ACTIVE: "good", PAUSED: "warn", HELD: "bad",
};
const troubled = new Set(["RETRYING", "AMBIGUOUS", "FAILED", "DEAD_LETTERED", "EXPIRED"]);

const messageFields = "id to type status attempts cursor queuedAt sentAt sender { id }";
const failureFields = "code category class message details httpStatus advice fbtraceId at";

// ───────────────────────────── nodes and formats ─────────────────────────────

const byId = id => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter(child => child != null && child !== false));
  return node;
}

/** Writes only what differs, so that a screen reader and a selection are left in peace. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setChip(node, text, tone) {
  setText(node, text);
  if (node.dataset.tone !== tone) node.dataset.tone = tone;
}

const chip = (text, tone) => element("span", { class: "chip", "data-tone": tone }, text);
const words = name => name.toLowerCase().replaceAll("_", " ");
const numbers = new Intl.NumberFormat("en");
const count = value => numbers.format(Number(value));
// The end tells ids apart: those of one minute begin alike (UUIDv7).
const shortId = id => (id.length > 9 ? `…${id.slice(-8)}` : id);

/** Seconds of an ISO 8601 duration, or null. */
function seconds(iso) {
  const parts = /^(-?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(iso ?? "");
  if (!parts) return null;
  const [, sign, w = 0, d = 0, h = 0, m = 0, s = 0] = parts;
  return (sign ? -1 : 1) * (w * 604800 + d * 86400 + h * 3600 + m * 60 + Number(s));
}

function span(s) {
  if (s == null) return "–";
  if (s < 0) s = 0;
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

function age(s) {
  if (s < 60) return `${Math.max(0, Math.floor(s))} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

function clock(at) {
  const date = new Date(at);
  const time = `${date.toLocaleTimeString("en-GB")}.${String(date.getMilliseconds()).padStart(3, "0")}`;
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString("en-CA")} ${time}`;
}

// ───────────────────────────── the server's clock ─────────────────────────────

// The browser's clock may be wrong; ages and the throughput go by the server's stamps.
let clockOffset = null;

function sawServerTime(at) {
  const offset = Date.parse(at) - Date.now();
  if (Number.isFinite(offset) && (clockOffset === null || offset > clockOffset)) clockOffset = offset;
}

const serverNow = () => Date.now() + (clockOffset ?? 0);

// ───────────────────────────── GraphQL over HTTP ─────────────────────────────

class GraphQLError extends Error {
  constructor({ message, extensions = {} }) {
    super(message);
    this.code = extensions.code ?? "INTERNAL";
    this.field = extensions.field ?? null;
  }
}

class ServerAway extends Error {}

let key = null;

async function graphql(query, variables = {}) {
  let response;
  try {
    response = await fetch("graphql", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json", authorization: `Bearer ${key}` },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(requestTimeout),
    });
  } catch (cause) {
    throw new ServerAway("The server does not answer.", { cause });
  }
  let answer = null;
  try {
    answer = await response.json();
  } catch {
    // Not JSON: a proxy in between, or the status alone says it.
  }
  if (answer?.errors?.length) throw new GraphQLError(answer.errors[0]);
  if (response.status === 401) throw new GraphQLError({ message: "The key is not valid.", extensions: { code: "UNAUTHENTICATED" } });
  if (!response.ok || !answer?.data) throw new ServerAway(`The server answered ${response.status}.`);
  return answer.data;
}

// ───────────────────────────── subscription ─────────────────────────────

/**
 * Keeps one subscription running over graphql-transport-ws until stop() is called. After a lost connection it goes
 * on behind the last cursor, so nothing is missed and nothing comes twice.
 */
class Updates {
  constructor({ after, onUpdate, onState, onUnauthenticated, onCursorGone }) {
    Object.assign(this, { after, onUpdate, onState, onUnauthenticated, onCursorGone });
    this.failures = 0;
    this.stopped = false;
    this.open();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    clearInterval(this.watch);
    this.socket?.close(1000);
  }

  open() {
    if (this.stopped) return;
    const url = new URL("graphql", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, "graphql-transport-ws");
    this.socket = socket;
    let heard = Date.now();
    this.watch = setInterval(() => {
      if (Date.now() - heard > socketSilence) this.lost(socket, "silent");
      else if (socket.readyState === WebSocket.OPEN) socket.send(`{"type":"ping"}`);
    }, socketSilence / 3);
    socket.onopen = () => socket.send(JSON.stringify({ type: "connection_init", payload: { authorization: `Bearer ${key}` } }));
    socket.onmessage = ({ data }) => {
      heard = Date.now();
      if (socket === this.socket) this.receive(socket, JSON.parse(data));
    };
    socket.onclose = ({ code }) => this.lost(socket, code);
  }

  receive(socket, { type, payload }) {
    switch (type) {
      case "connection_ack":
        socket.send(JSON.stringify({
          id: "updates", type: "subscribe",
          payload: {
            query: `subscription Updates($after: String) { messageUpdates(after: $after) { cursor at message { ${messageFields} } } }`,
            variables: { after: this.after },
          },
        }));
        this.onState("live");
        return;
      case "ping":
        socket.send(`{"type":"pong"}`);
        return;
      case "next":
        if (payload.errors?.length) return this.refused(socket, payload.errors[0]);
        this.failures = 0;
        this.after = payload.data.messageUpdates.cursor;
        this.onUpdate(payload.data.messageUpdates);
        return;
      case "error":
        return this.refused(socket, payload[0]);
      case "complete":
        this.lost(socket, "complete");
    }
  }

  refused(socket, error) {
    const code = error.extensions?.code;
    if (code === "CURSOR_GONE") {
      this.stop();
      this.onCursorGone();
    } else if (code === "UNAUTHENTICATED" || code === "FORBIDDEN") {
      this.stop();
      this.onUnauthenticated(error.message);
    } else {
      this.lost(socket, code);
    }
  }

  lost(socket, reason) {
    if (socket !== this.socket || this.stopped) return;
    this.socket = null;
    clearInterval(this.watch);
    socket.close();
    if (reason === 4401 || reason === 4403) {
      this.stop();
      this.onUnauthenticated("The key is no longer valid.");
      return;
    }
    this.failures++;
    const wait = Math.min(10_000, 500 * 2 ** Math.min(this.failures - 1, 5)) * (0.75 + Math.random() / 2);
    this.onState("lost");
    this.timer = setTimeout(() => this.open(), wait);
  }
}

// ───────────────────────────── state of the connection ─────────────────────────────

const connection = { polling: "wait", live: "wait" };

function showConnection() {
  const away = connection.polling === "away";
  if (away) setChip(byId("connection"), "Server away", "bad");
  else if (connection.live === "live") setChip(byId("connection"), "Live", "good");
  else if (connection.live === "lost") setChip(byId("connection"), "Reconnecting…", "warn");
  else setChip(byId("connection"), "Connecting…", "wait");
  byId("board").classList.toggle("away", away);
  if (away) trouble("The server does not answer. What is shown is from before; the page goes on by itself as soon as it is back.");
  else if (troubleShown === "away") trouble(null);
  troubleShown = away ? "away" : troubleShown === "away" ? null : troubleShown;
}

let troubleShown = null;

function trouble(text) {
  const node = byId("trouble");
  node.hidden = !text;
  setText(node, text ?? "");
  troubleShown = text ? "error" : null;
}

// ───────────────────────────── throughput ─────────────────────────────

const sentIn = new Map(); // second of acceptance → messages
const counted = new Set();
const spark = byId("spark");
const bars = Array.from({ length: secondsShown }, (_, i) => {
  const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  bar.setAttribute("x", String(i * 4));
  bar.setAttribute("width", "3");
  spark.append(bar);
  return bar;
});

/** Counts a message once, in the second WhatsApp accepted it: several updates tell of it, and a replay may tell late. */
function countSent({ id, sentAt }) {
  if (!sentAt) return;
  const second = Math.floor(Date.parse(sentAt) / 1000);
  if (second < serverNow() / 1000 - secondsShown || counted.has(id)) return;
  counted.add(id);
  if (counted.size > countedLimit) counted.delete(counted.values().next().value);
  sentIn.set(second, (sentIn.get(second) ?? 0) + 1);
}

function showThroughput() {
  const now = Math.floor(serverNow() / 1000);
  for (const second of sentIn.keys()) if (second < now - secondsShown) sentIn.delete(second);
  const series = bars.map((_, i) => sentIn.get(now - secondsShown + i) ?? 0);
  const top = Math.max(...series, 1);
  bars.forEach((bar, i) => {
    const height = series[i] === 0 ? 0 : Math.max(1.5, (series[i] / top) * 46);
    bar.setAttribute("y", String(48 - height));
    bar.setAttribute("height", String(height));
  });
  const recent = series.slice(-5).reduce((sum, n) => sum + n, 0) / 5;
  setText(byId("per-second"), recent > 0 && recent < 10 ? recent.toFixed(1) : count(Math.round(recent)));
  const total = series.reduce((sum, n) => sum + n, 0);
  setText(byId("throughput-note"), total === 0
    ? "Nothing was sent in the last 60 seconds."
    : `Mean of 5 seconds. In the last 60: ${count(total)} sent, at most ${count(Math.max(...series))} in one.`);
}

// ───────────────────────────── messages ─────────────────────────────

let rows = new Map(); // id → { message, tr, cells }, oldest first
let holding = false;
let paintAsked = false;
let passedBy = -Infinity; // when a new message was last left out
let quota = { second: 0, plain: 0, troubled: 0 };

function takeRow(message) {
  if (byId("only").value === "trouble" && !troubled.has(message.status)) return false;
  const second = Math.floor(Date.now() / 1000);
  if (quota.second !== second) quota = { second, plain: 0, troubled: 0 };
  if (troubled.has(message.status)) return quota.troubled++ < troubledRowsPerSecond;
  return quota.plain++ < rowsPerSecond;
}

function onUpdate({ at, message }) {
  sawServerTime(at);
  countSent(message);
  if (message.id === shownId) refreshFound();
  if (holding) return;
  const row = rows.get(message.id);
  if (row) row.message = message;
  else if (takeRow(message)) addRow(message);
  else if (message.status === "QUEUED") passedBy = Date.now();
  askPaint();
}

function addRow(message) {
  rows.set(message.id, { message });
  if (rows.size > rowLimit) {
    const [oldest, row] = rows.entries().next().value;
    row.tr?.remove();
    rows.delete(oldest);
  }
}

function askPaint() {
  if (paintAsked) return;
  paintAsked = true;
  setTimeout(() => { // at most five times a second, however many updates come
    paintAsked = false;
    paintRows();
  }, 200);
}

function paintRows() {
  const body = byId("messages");
  for (const [id, row] of rows) {
    if (!row.tr) {
      const link = element("button", { type: "button", class: "link", title: id, "aria-label": `Show message ${id}` }, shortId(id));
      link.addEventListener("click", () => showMessage(id, true));
      row.cells = { to: element("td", { class: "mono" }), status: chip("", "wait"), attempts: element("td", { class: "number" }), age: element("td", { class: "number" }) };
      row.tr = element("tr", {},
        element("td", {}, link), row.cells.to, element("td", { class: "extra" }, row.message.sender.id),
        element("td", { class: "extra" }, words(row.message.type)), element("td", {}, row.cells.status), row.cells.attempts, row.cells.age);
      body.prepend(row.tr);
    }
    const { message, cells } = row;
    setText(cells.to, message.to ?? "erased");
    setChip(cells.status, words(message.status), tones[message.status] ?? "wait");
    setText(cells.attempts, String(message.attempts));
    setText(cells.age, age((serverNow() - Date.parse(message.queuedAt)) / 1000));
  }
  const only = byId("only").value === "trouble";
  setText(byId("messages-note"), holding ? "Held still: updates go on in the figures above."
    : rows.size === 0 ? (only ? "No message is in trouble." : "No message yet. Queue one below.")
    : Date.now() - passedBy < 5000 && !only ? "A sample: a few new messages of each second, so that they can be followed. The figures above count all."
    : "");
}

function clearRows() {
  for (const { tr } of rows.values()) tr?.remove();
  rows = new Map();
  passedBy = -Infinity;
}

/** Loads the newest messages, then follows the log from behind the newest of them: no change falls between the two. */
async function follow() {
  const only = byId("only").value === "trouble";
  const filter = only ? { status: [...troubled] } : null;
  const { messages } = await graphql(
    `query Latest($filter: MessageFilter, $first: Int) { messages(filter: $filter, first: $first) { edges { node { ${messageFields} } } } }`,
    { filter, first: rowLimit });
  clearRows();
  for (const { node } of messages.edges.toReversed()) {
    addRow(node);
    countSent(node);
  }
  paintRows();
  return only ? null : messages.edges[0]?.node.cursor ?? null;
}

// ───────────────────────────── senders and ledger ─────────────────────────────

const ledgerColumns = {
  accepted: "accepted", open: "open", ambiguous: "ambiguous", sent: "sent", delivered: "delivered", read: "read", failed: "failed",
  deadLettered: "dead-lettered", cancelled: "cancelled", expired: "expired", discarded: "discarded", sentTwice: "sent twice",
};
const ledgerTones = { ambiguous: "warn", failed: "bad", deadLettered: "bad", expired: "warn", sentTwice: "warn" };

function figures(entries) {
  return entries.map(([name, value, tone]) => element("div", { "data-tone": tone }, element("dt", {}, name), element("dd", {}, value)));
}

function showLedger(ledger) {
  sawServerTime(ledger.asOf);
  byId("ledger").replaceChildren(...figures(Object.entries(ledgerColumns).map(([column, name]) =>
    [name, count(ledger[column]), Number(ledger[column]) > 0 ? ledgerTones[column] : null])));
  setChip(byId("balanced"), ledger.balanced ? "balanced" : "not balanced", ledger.balanced ? "good" : "bad");
  setText(byId("ledger-note"), "");
}

let senders = [];

function showSenders() {
  if (senders.length === 0) {
    byId("senders").replaceChildren(element("p", { class: "quiet" }, "No sender yet. Register one with the mutation registerSender."));
    return;
  }
  byId("senders").replaceChildren(...senders.map(sender => {
    const notes = [
      sender.stateReason,
      sender.hold && `${sender.hold.message} ${sender.hold.advice}`,
      sender.state === "ACTIVE" && sender.pausedPriorities.length > 0 && `Paused: ${sender.pausedPriorities.map(words).join(", ")}.`,
    ].filter(Boolean);
    return element("article", { class: "sender", "aria-label": `Sender ${sender.name}` },
      element("h3", {}, sender.name, element("span", { class: "quiet mono" }, sender.id), chip(words(sender.state), tones[sender.state])),
      element("dl", { class: "figures" }, ...figures([
        ["rate", `${count(sender.messagesPerSecond)}/s`],
        ["queue depth", count(sender.queueDepth)], ["scheduled", count(sender.scheduled)], ["oldest due", span(seconds(sender.oldestDueAge))],
      ])),
      notes.length > 0 && element("p", { class: "quiet" }, notes.join(" ")));
  }));
}

function offerSenders() {
  const select = byId("queue").elements.senderId;
  const offered = [...select.options].map(option => option.value).join("\n");
  if (offered === senders.map(sender => sender.id).join("\n")) return;
  const chosen = select.value;
  select.replaceChildren(...senders.map(sender => element("option", { value: sender.id }, `${sender.name} (${sender.id})`)));
  if (chosen) select.value = chosen;
  offerHanging();
}

const sendersQuery = `query Senders { senders { id name phoneNumberId messagesPerSecond state stateReason hold { message advice } pausedPriorities queueDepth scheduled oldestDueAge } }`;
const ledgerQuery = `query Ledger { ledger { ${Object.keys(ledgerColumns).join(" ")} balanced asOf } }`;

let pollTimer = null;
let polls = 0; // a stale round, begun before a change of key, must not write

async function poll(round) {
  const asked = [graphql(sendersQuery).then(data => ({ senders: data.senders }))];
  if (may("AUDIT")) asked.push(graphql(ledgerQuery).then(data => ({ ledger: data.ledger })));
  const answers = await Promise.allSettled(asked);
  if (round !== polls) return;
  let away = false;
  for (const answer of answers) {
    if (answer.status === "rejected") {
      if (answer.reason.code === "UNAUTHENTICATED") return signOut("The key is no longer valid.");
      if (answer.reason instanceof ServerAway) away = true;
      else trouble(answer.reason.message);
    } else if (answer.value.senders) {
      senders = answer.value.senders;
      showSenders();
      offerSenders();
    } else {
      showLedger(answer.value.ledger);
    }
  }
  if (troubleShown === "error" && answers.every(answer => answer.status === "fulfilled")) trouble(null);
  connection.polling = away ? "away" : "well";
  showConnection();
  if (!holding) paintRows();
  pollTimer = setTimeout(() => poll(round), 1000);
}

// ───────────────────────────── queue a message ─────────────────────────────

let pending = null; // the input whose outcome is unknown, with its idempotency key

/** Not crypto.randomUUID: that is missing where the page is served over plain HTTP from another machine. */
const freshKey = () => `page-${Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, "0")).join("")}`;

async function queueMessage(event) {
  event.preventDefault();
  const form = event.currentTarget;
  const note = byId("queue-note");
  const input = { senderId: form.elements.senderId.value, to: form.elements.to.value.trim(), content: { text: { body: form.elements.text.value } } };
  // The same content under the same key, when an answer was lost: pressing the button again sends nothing twice.
  const content = JSON.stringify(input);
  if (pending?.content !== content) pending = { content, idempotencyKey: freshKey() };
  const button = form.querySelector("button");
  button.disabled = true;
  for (const field of form.elements) field.removeAttribute("aria-invalid");
  note.className = "";
  note.replaceChildren("Queueing…");
  try {
    const { queueMessage: { message } } = await graphql(
      "mutation Queue($input: QueueMessageInput!) { queueMessage(input: $input) { message { id } } }",
      { input: { ...input, idempotencyKey: pending.idempotencyKey } });
    pending = null;
    form.elements.text.value = "";
    note.replaceChildren("Accepted as ", element("a", { href: `#${message.id}`, class: "mono" }, shortId(message.id)), ".");
    showMessage(message.id, false);
  } catch (error) {
    note.className = "error";
    note.replaceChildren(error instanceof ServerAway ? "No answer came. Press Queue again: it will not be sent twice." : error.message);
    const field = error.field?.split(".").at(-1);
    const control = form.elements[field === "body" || field === "text" ? "text" : field];
    if (control) {
      control.setAttribute("aria-invalid", "true");
      control.focus();
    }
  } finally {
    button.disabled = false;
  }
}

// ───────────────────────────── find a message ─────────────────────────────

const foundQuery = `query Found($id: ID!) { message(id: $id) {
  id to type status priority attempts calls statusReason sentTwice whatsappId content queuedAt sendAt expiresAt sentAt deliveredAt readAt retryAt
  sender { id } labels { name value } failure { ${failureFields} }
  attemptLog { call startedAt endedAt outcome settledBy failure { ${failureFields} } } } }`;

let shownId = null;
let refreshTimer = null;

function refreshFound() {
  if (refreshTimer) return;
  refreshTimer = setTimeout(() => {
    refreshTimer = null;
    if (shownId) loadFound(shownId, false);
  }, 500);
}

function showMessage(id, focus) {
  if (location.hash !== `#${id}`) history.replaceState(null, "", `#${id}`);
  byId("find").elements.id.value = id;
  return loadFound(id, focus);
}

async function loadFound(id, focus) {
  const note = byId("find-note");
  shownId = id;
  try {
    const { message } = await graphql(foundQuery, { id });
    if (shownId !== id) return;
    setText(note, message ? "" : "No message has this id.");
    note.className = "";
    byId("found").replaceChildren(...(message ? describe(message) : []));
    if (focus && message) {
      byId("found").focus({ preventScroll: true });
      byId("find").scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    }
  } catch (error) {
    if (shownId !== id) return;
    setText(note, error.message);
    note.className = "error";
    if (!(error instanceof ServerAway)) byId("found").replaceChildren();
  }
}

function explain(failure) {
  const source = [failure.code != null ? `code ${failure.code}` : null, failure.httpStatus != null ? `HTTP ${failure.httpStatus}` : null, words(failure.category), words(failure.class)];
  return `${failure.message} (${source.filter(Boolean).join(", ")})${failure.details ? ` ${failure.details}` : ""}`;
}

const outcomes = { UNDER_WAY: ["under way", "move"], ACCEPTED: ["accepted", "good"], FAILED: ["failed", "bad"], DEFERRED: ["deferred", "warn"], UNKNOWN: ["answer lost", "warn"] };

function timeline(message) {
  const entries = [{ at: message.queuedAt, tone: "wait", text: "Queued" }];
  const add = (at, tone, text, detail) => at && entries.push({ at, tone, text, detail });
  for (const attempt of message.attemptLog) {
    const [outcome, tone] = outcomes[attempt.outcome] ?? [words(attempt.outcome), "wait"];
    const took = attempt.endedAt ? ` after ${span((Date.parse(attempt.endedAt) - Date.parse(attempt.startedAt)) / 1000)}` : "";
    add(attempt.startedAt, tone, `Call ${attempt.call}: ${outcome}${took}`,
      [attempt.failure && explain(attempt.failure), attempt.settledBy && `Settled by ${words(attempt.settledBy)}.`].filter(Boolean).join(" "));
  }
  add(message.deliveredAt, "good", "Delivered");
  add(message.readAt, "good", "Read");
  // WhatsApp's times are whole seconds and may lie before the call that caused them, so ties and near ties keep this order.
  entries.sort((a, b) => Math.floor(Date.parse(a.at) / 1000) - Math.floor(Date.parse(b.at) / 1000));
  if (message.status === "RETRYING") add(message.retryAt, "warn", "Next attempt");
  if (message.status === "QUEUED") add(message.sendAt, "wait", "To be sent");
  if (["DEAD_LETTERED", "FAILED"].includes(message.status)) add(message.failure?.at, "bad", message.status === "FAILED" ? "Failed for good" : "Dead-lettered", message.failure?.advice);
  return element("ol", { class: "timeline", "aria-label": "Timeline" }, ...entries.map(({ at, tone, text, detail }) =>
    element("li", { "data-tone": tone }, element("time", { datetime: at }, clock(at)), text, detail ? element("p", { class: "quiet" }, detail) : null)));
}

function describe(message) {
  const facts = [
    ["To", message.to ?? "erased"], ["Sender", message.sender.id], ["Type", `${words(message.type)}, ${words(message.priority)}`],
    ["Attempts", `${message.attempts}, in ${message.calls} ${message.calls === 1 ? "call" : "calls"}`],
    ["Reason", message.statusReason], ["Sent twice", message.sentTwice ? "yes, after a lost answer" : null], ["WhatsApp id", message.whatsappId],
    ["Expires", message.expiresAt && clock(message.expiresAt)],
    ["Labels", message.labels.map(({ name, value }) => `${name}=${value}`).join(", ") || null],
  ].filter(([, value]) => value != null);
  return [
    element("h3", {}, element("span", { class: "mono" }, message.id), chip(words(message.status), tones[message.status] ?? "wait")),
    element("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])),
    message.content && element("pre", { "aria-label": "Content", tabindex: "0" }, JSON.stringify(message.content, null, 2)),
    timeline(message),
  ].filter(Boolean);
}

// ───────────────────────────── break it (demo) ─────────────────────────────

/** Milliseconds of a duration as Go writes it, such as 1m30s or 50ms. */
function goMilliseconds(text) {
  const units = { ns: 1e-6, us: 1e-3, "µs": 1e-3, ms: 1, s: 1e3, m: 6e4, h: 36e5 };
  return [...String(text).matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g)].reduce((sum, [, n, unit]) => sum + Number(n) * units[unit], 0);
}

const shares = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1];
const percent = share => (share === 0 ? "none" : `${Math.round(share * 100)} %`);
const faults = {
  drop: { steps: shares, from: Number, to: share => share, text: percent, broken: share => share > 0 },
  slow: { steps: [0, 50, 100, 250, 500, 1000, 2000, 5000, 10_000, 20_000], from: goMilliseconds, to: ms => `${ms}ms`, text: ms => span(ms / 1000), broken: ms => ms > 250 },
  throttle: { steps: [1000, 500, 200, 80, 40, 20, 10, 5, 2, 1], from: rate => (rate === 0 ? Infinity : rate), to: rate => rate, text: rate => (rate === Infinity ? "no limit" : `above ${rate}/s`), broken: rate => rate < 80 },
  "server-errors": { steps: shares, from: Number, to: share => share, text: percent, broken: share => share > 0 },
};

let control = null;

function showControl(settings) {
  control = settings;
  let broken = 0;
  for (const [id, fault] of Object.entries(faults)) {
    const slider = byId(id);
    const value = fault.from(settings[slider.name] ?? 0);
    const nearest = fault.steps.reduce((best, step, i) => (Math.abs(step - value) < Math.abs(fault.steps[best] - value) ? i : best), 0);
    slider.value = String(nearest);
    showFault(id, value);
    if (fault.broken(value)) broken++;
  }
  const hanging = settings.hang_numbers ?? [];
  for (const box of byId("hang").querySelectorAll("input")) box.checked = hanging.includes(box.value);
  if (hanging.length > 0) broken++;
  setChip(byId("broken"), broken === 0 ? "nothing broken" : `${broken} ${broken === 1 ? "thing" : "things"} broken`, broken === 0 ? "good" : "bad");
}

function showFault(id, value) {
  const fault = faults[id];
  const output = byId(`${id}-value`);
  setText(output, fault.text(value));
  output.dataset.tone = fault.broken(value) ? "bad" : "";
  byId(id).setAttribute("aria-valuetext", fault.text(value));
}

function offerHanging() {
  byId("hang").replaceChildren(...senders.map(sender => {
    const box = element("input", { type: "checkbox", value: sender.phoneNumberId });
    box.checked = (control?.hang_numbers ?? []).includes(sender.phoneNumberId);
    return element("label", {}, box, `${sender.name} (${sender.phoneNumberId})`);
  }));
}

let changes = Promise.resolve(); // one after the other, so that the last one wins

function change(settings, done) {
  changes = changes.then(async () => {
    const note = byId("faults-note");
    note.className = "quiet";
    try {
      await demoControl({ method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify(settings) });
      showControl(await (await demoControl()).json());
      setText(note, done);
    } catch (error) {
      note.className = "error";
      setText(note, error.message);
      if (control) showControl(control);
    }
  });
}

async function demoControl(request = {}) {
  let response;
  try {
    response = await fetch("demo/control", { ...request, signal: AbortSignal.timeout(requestTimeout) });
  } catch (cause) {
    throw new Error("The simulator's settings cannot be reached.", { cause });
  }
  if (!response.ok) throw new Error((await response.text()).trim().slice(0, 300) || `The simulator answered ${response.status}.`);
  return response;
}

function setUpFaults(simulator) {
  setText(byId("simulator"), simulator);
  for (const [id, fault] of Object.entries(faults)) {
    const slider = byId(id);
    Object.assign(slider, { min: "0", max: String(fault.steps.length - 1), step: "1" });
    slider.addEventListener("input", () => showFault(id, fault.steps[slider.value]));
    slider.addEventListener("change", () => change({ [slider.name]: fault.to(fault.steps[slider.value]) }, "Changed."));
  }
  byId("hang").addEventListener("change", () =>
    change({ hang_numbers: [...byId("hang").querySelectorAll("input:checked")].map(box => box.value) }, "Changed."));
  // null brings back what the simulator started with.
  byId("mend").addEventListener("click", () =>
    change({ drop_response_rate: null, latency: null, rate: null, empty_5xx_rate: null, hang_numbers: null }, "Mended."));
  byId("faults").addEventListener("submit", event => event.preventDefault());
  byId("break").hidden = false;
  demoControl().then(response => response.json()).then(showControl).catch(error => {
    byId("faults-note").className = "error";
    setText(byId("faults-note"), error.message);
  });
}

// ───────────────────────────── session ─────────────────────────────

let viewer = null;
let updates = null;

const may = scope => viewer.scopes.includes(scope) || viewer.scopes.includes("ADMIN");

function signOut(reason) {
  polls++;
  clearTimeout(pollTimer);
  updates?.stop();
  updates = null;
  viewer = null;
  key = null;
  shownId = null;
  sessionStorage.removeItem("key");
  trouble(null);
  clearRows();
  byId("found").replaceChildren();
  byId("board").hidden = true;
  byId("forget").hidden = true;
  setText(byId("who"), "");
  setChip(byId("connection"), "No key", "wait");
  byId("sign-in").hidden = false;
  setText(byId("sign-in-error"), reason ?? "");
  byId("sign-in-form").elements.key.focus();
}

function subscribe(after) {
  updates?.stop();
  connection.live = "wait";
  updates = new Updates({
    after, onUpdate,
    onState: state => {
      connection.live = state;
      showConnection();
    },
    onUnauthenticated: signOut,
    onCursorGone: start, // the log is another one, after a restore: begin anew
  });
}

/** Opens the board with the key at hand; while the server is away it tries again each two seconds. */
async function start() {
  const round = ++polls;
  clearTimeout(pollTimer);
  try {
    viewer = (await graphql("query Viewer { viewer { keyId name scopes senderIds } }")).viewer;
    if (round !== polls) return;
    if (!may("READ")) return signOut(`The key ${viewer.name} has no READ scope; it has ${viewer.scopes.join(", ")}.`);
    const after = await follow();
    if (round !== polls) return;
    sessionStorage.setItem("key", key);
    subscribe(after);
  } catch (error) {
    if (round !== polls) return;
    if (error.code === "UNAUTHENTICATED" || error.code === "FORBIDDEN") return signOut(error.message);
    setChip(byId("connection"), "Server away", "bad");
    trouble(`${error.message} The page tries again by itself.`);
    pollTimer = setTimeout(start, 2000);
    return;
  }
  trouble(null);
  byId("sign-in").hidden = true;
  byId("board").hidden = false;
  byId("forget").hidden = false;
  setText(byId("who"), viewer.name);
  if (!may("AUDIT")) {
    byId("balanced").hidden = true;
    setText(byId("ledger-note"), "The ledger needs a key with the scope AUDIT.");
  } else {
    byId("balanced").hidden = false;
  }
  byId("queue").querySelector("button").disabled = !may("SEND");
  if (!may("SEND")) setText(byId("queue-note"), "Queueing needs a key with the scope SEND.");
  poll(round);
  showHash();
}

function showHash() {
  const id = decodeURIComponent(location.hash.slice(1));
  if (viewer && id && id !== "main") showMessage(id, false);
}

async function demo() {
  try {
    const response = await fetch("demo.json", { signal: AbortSignal.timeout(requestTimeout) });
    return response.ok ? await response.json() : null;
  } catch {
    return null; // away, or no demo
  }
}

byId("sign-in-form").addEventListener("submit", event => {
  event.preventDefault();
  const field = event.currentTarget.elements.key;
  key = field.value.trim();
  field.value = "";
  setText(byId("sign-in-error"), "");
  start();
});
byId("forget").addEventListener("click", () => signOut());
byId("queue").addEventListener("submit", queueMessage);
byId("find").addEventListener("submit", event => {
  event.preventDefault();
  showMessage(event.currentTarget.elements.id.value.trim(), true);
});
byId("hold").addEventListener("click", event => {
  holding = !holding;
  event.currentTarget.setAttribute("aria-pressed", String(holding));
  if (holding) paintRows();
  else follow().then(subscribe).catch(error => trouble(error.message));
});
byId("only").addEventListener("change", () => {
  follow().catch(error => trouble(error.message));
});
addEventListener("hashchange", showHash);
setInterval(showThroughput, 1000);
showThroughput();

const offered = await demo();
if (offered) setUpFaults(offered.simulator);
key = offered?.key ?? sessionStorage.getItem("key");
if (key) start();
else signOut();
