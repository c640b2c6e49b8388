// src/api/client.ts
var requestTimeout = 15e3;
/** An error that the server returned, with its code. */
var Refused = class extends Error {
	code;
	field;
	messageId;
	/** After how many seconds to repeat the request, if Waypost is overloaded. */
	retryAfter;
	constructor({ message, extensions = {} }) {
		super(message);
		this.code = extensions.code ?? "INTERNAL";
		this.field = extensions.field ?? null;
		this.messageId = extensions.messageId ?? null;
		this.retryAfter = extensions.retryAfter ?? null;
	}
};
/** There was no response, so it is unknown whether a mutation was carried out. */
var ServerAway = class extends Error {};
/** Returns the text to show for a thrown value. */
var messageOf = (error) => error instanceof Error ? error.message : String(error);
var key = null;
var currentKey = () => key;
function useKey(next) {
	key = next;
}
async function ask(operation, variables, signal) {
	const timeout = AbortSignal.timeout(requestTimeout);
	let response;
	let text;
	try {
		response = await fetch("graphql", {
			method: "POST",
			headers: {
				"content-type": "application/json",
				accept: "application/json",
				authorization: `Bearer ${key}`
			},
			body: JSON.stringify({
				query: operation.text,
				operationName: operation.name,
				variables
			}),
			signal: signal ? AbortSignal.any([signal, timeout]) : timeout
		});
		sawServerTime(response.headers.get("date") ?? "");
		text = await response.text();
	} catch (cause) {
		if (signal?.aborted) throw cause;
		throw new ServerAway("The server does not respond.", { cause });
	}
	const answer = parsed(text);
	const error = answer?.errors?.[0];
	if (error) throw new Refused(error);
	if (response.status === 401) throw new Refused({
		message: "The key is not valid.",
		extensions: { code: "UNAUTHENTICATED" }
	});
	if (!response.ok || !answer?.data) throw new ServerAway(`The server responded with status ${response.status}.`);
	return answer.data;
}
function parsed(text) {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}
var offset = null;
function sawServerTime(at) {
	const seen = Date.parse(at) - Date.now();
	if (Number.isFinite(seen) && (offset === null || seen > offset)) offset = seen;
}
var serverNow = () => Date.now() + (offset ?? 0);
/** Returns the milliseconds since a time of the server. */
var since = (at) => serverNow() - Date.parse(at);
// src/api/operations.ts
var Alerts = {
	name: "Alerts",
	scopes: ["READ"],
	text: "query Alerts($filter: AlertFilter, $first: Int!, $after: String) { alerts(filter: $filter, first: $first, after: $after) { edges { cursor at node { ...AlertNow } } pageInfo { hasNextPage endCursor } } } fragment AlertNow on Alert { id kind severity state summary value threshold raisedAt acknowledgedAt acknowledgedBy { kind id name } note explanation resolvedAt sender { id name } }"
};
var AlertTransitions = {
	name: "AlertTransitions",
	scopes: ["READ"],
	text: "subscription AlertTransitions($after: String) { alerts(after: $after) { cursor at node { ...AlertNow } } } fragment AlertNow on Alert { id kind severity state summary value threshold raisedAt acknowledgedAt acknowledgedBy { kind id name } note explanation resolvedAt sender { id name } }"
};
var Acknowledge = {
	name: "Acknowledge",
	scopes: ["OPERATE"],
	text: "mutation Acknowledge($id: ID!, $note: String) { acknowledgeAlert(id: $id, note: $note) { ...AlertNow } } fragment AlertNow on Alert { id kind severity state summary value threshold raisedAt acknowledgedAt acknowledgedBy { kind id name } note explanation resolvedAt sender { id name } }"
};
var AlertRules = {
	name: "AlertRules",
	scopes: ["READ"],
	text: "query AlertRules { alertRules { ...Rule } } fragment Rule on AlertRule { id kind senderId enabled threshold statistic window for minimumVolume severity }"
};
var SetRule = {
	name: "SetRule",
	scopes: ["OPERATE"],
	text: "mutation SetRule($input: AlertRuleInput!) { setAlertRule(input: $input) { ...Rule } } fragment Rule on AlertRule { id kind senderId enabled threshold statistic window for minimumVolume severity }"
};
var Messages = {
	name: "Messages",
	scopes: ["READ"],
	text: "query Messages($filter: MessageFilter, $first: Int!, $after: String) { messages(filter: $filter, first: $first, after: $after) { edges { cursor node { ...MessageRow } } pageInfo { hasNextPage endCursor } } } fragment MessageRow on Message { id to toUserId type status priority attempts cursor queuedAt sentAt overdueSince sender { id } failure { code category } }"
};
var MessageCounts = {
	name: "MessageCounts",
	scopes: ["READ"],
	text: "query MessageCounts($filter: MessageFilter) { messageCounts(filter: $filter) { status count } }"
};
var MessageUpdates = {
	name: "MessageUpdates",
	scopes: ["READ"],
	text: "subscription MessageUpdates($senderId: ID, $statuses: [MessageStatus!], $after: String) { messageUpdates(senderId: $senderId, statuses: $statuses, after: $after) { cursor at message { ...MessageRow } } } fragment MessageRow on Message { id to toUserId type status priority attempts cursor queuedAt sentAt overdueSince sender { id } failure { code category } }"
};
var OneMessage = {
	name: "OneMessage",
	scopes: ["READ"],
	text: "query OneMessage($id: ID!, $audit: Boolean!) { message(id: $id) { id idempotencyKey to toUserId type status priority attempts calls statusReason sentTwice heldForQuality cursor onAmbiguous replyTo whatsappId content queuedAt sendAt expiresAt sentAt deliveredAt readAt overdueSince retryAt erasedAt sender { id name } labels { name value } failure { ...Failure } attemptLog { call startedAt endedAt outcome settledBy whatsappId failure { ...Failure } } history(first: 200) @include(if: $audit) { edges { node { ...LoggedEvent } } pageInfo { hasNextPage endCursor } } } } fragment Failure on MessageFailure { code category class message details httpStatus advice fbtraceId at } fragment LoggedEvent on Event { id type stream revision recordedAt occurredAt data correlationId by { kind id name onBehalfOf } }"
};
var OneMessageUpdates = {
	name: "OneMessageUpdates",
	scopes: ["READ"],
	text: "subscription OneMessageUpdates($id: ID!, $after: String) { messageUpdates(ids: [$id], after: $after) { cursor at message { id status } } }"
};
var Queue = {
	name: "Queue",
	scopes: ["SEND"],
	text: "mutation Queue($input: QueueMessageInput!) { queueMessage(input: $input) { replayed message { id } } }"
};
var Cancel = {
	name: "Cancel",
	scopes: ["SEND"],
	text: "mutation Cancel($id: ID!, $reason: String) { cancelMessage(id: $id, reason: $reason) { id status } }"
};
var DeadLetters = {
	name: "DeadLetters",
	scopes: ["READ"],
	text: "query DeadLetters($filter: DeadLetterFilter, $first: Int!, $after: String) { deadLetters(filter: $filter, first: $first, after: $after) { totalCount byCategory { category count } edges { cursor node { at attempts message { id to toUserId type queuedAt sender { id } } failure { ...Failure } } } pageInfo { hasNextPage endCursor } } } fragment Failure on MessageFailure { code category class message details httpStatus advice fbtraceId at }"
};
var Requeue = {
	name: "Requeue",
	scopes: ["OPERATE"],
	text: "mutation Requeue($input: DeadLetterSelection!, $dryRun: Boolean!) { requeueDeadLetters(input: $input, dryRun: $dryRun) { ...Progress } } fragment Progress on Operation { id state selected done refusedCount refused { messageId code message } }"
};
var Discard = {
	name: "Discard",
	scopes: ["OPERATE"],
	text: "mutation Discard($input: DeadLetterSelection!, $reason: String!, $dryRun: Boolean!) { discardDeadLetters(input: $input, reason: $reason, dryRun: $dryRun) { ...Progress } } fragment Progress on Operation { id state selected done refusedCount refused { messageId code message } }"
};
var CancelMany = {
	name: "CancelMany",
	scopes: ["OPERATE"],
	text: "mutation CancelMany($input: MessageSelection!, $reason: String!, $dryRun: Boolean!) { cancelMessages(input: $input, reason: $reason, dryRun: $dryRun) { ...Progress } } fragment Progress on Operation { id state selected done refusedCount refused { messageId code message } }"
};
var LiveMetrics = {
	name: "LiveMetrics",
	scopes: ["READ"],
	text: "subscription LiveMetrics($senderId: ID, $window: Duration!, $every: Duration!) { metrics(senderId: $senderId, window: $window, every: $every) { at sent delivered failed deadLettered retried throttled ambiguous sentPerMinute deliveryRate errorRate averageDeliveryLatency p95DeliveryLatency queueDepth oldestDueAge errorsByType { class category code count rate } } }"
};
var Series = {
	name: "Series",
	scopes: ["READ"],
	text: "query Series($senderId: ID, $from: Time!, $to: Time!, $step: Duration!) { metricSeries(senderId: $senderId, from: $from, to: $to, step: $step) { at metrics { queued sent delivered failed deadLettered averageDeliveryLatency p50DeliveryLatency p95DeliveryLatency p99DeliveryLatency } } }"
};
var Pause = {
	name: "Pause",
	scopes: ["OPERATE"],
	text: "mutation Pause($id: ID!, $reason: String!, $priorities: [Priority!]) { pauseSender(id: $id, reason: $reason, priorities: $priorities) { ...SenderNow } } fragment SenderNow on Sender { id name phoneNumberId displayPhoneNumber businessAccountId messagesPerSecond effectiveRate throttledUntil state stateReason pausedPriorities hold { code category message since nextProbeAt advice } breaker { since failures nextProbeAt lastFailure } queueDepth scheduled oldestDueAge drainPerMinute emptyIn lanes { priority depth oldestDueAge } }"
};
var Resume = {
	name: "Resume",
	scopes: ["OPERATE"],
	text: "mutation Resume($id: ID!) { resumeSender(id: $id) { ...SenderNow } } fragment SenderNow on Sender { id name phoneNumberId displayPhoneNumber businessAccountId messagesPerSecond effectiveRate throttledUntil state stateReason pausedPriorities hold { code category message since nextProbeAt advice } breaker { since failures nextProbeAt lastFailure } queueDepth scheduled oldestDueAge drainPerMinute emptyIn lanes { priority depth oldestDueAge } }"
};
var SetRate = {
	name: "SetRate",
	scopes: ["OPERATE"],
	text: "mutation SetRate($id: ID!, $messagesPerSecond: Int!) { setSenderRate(id: $id, messagesPerSecond: $messagesPerSecond) { ...SenderNow } } fragment SenderNow on Sender { id name phoneNumberId displayPhoneNumber businessAccountId messagesPerSecond effectiveRate throttledUntil state stateReason pausedPriorities hold { code category message since nextProbeAt advice } breaker { since failures nextProbeAt lastFailure } queueDepth scheduled oldestDueAge drainPerMinute emptyIn lanes { priority depth oldestDueAge } }"
};
var UpdateSender = {
	name: "UpdateSender",
	scopes: ["OPERATE"],
	text: "mutation UpdateSender($input: UpdateSenderInput!) { updateSender(input: $input) { ...SenderNow } } fragment SenderNow on Sender { id name phoneNumberId displayPhoneNumber businessAccountId messagesPerSecond effectiveRate throttledUntil state stateReason pausedPriorities hold { code category message since nextProbeAt advice } breaker { since failures nextProbeAt lastFailure } queueDepth scheduled oldestDueAge drainPerMinute emptyIn lanes { priority depth oldestDueAge } }"
};
var RegisterSender = {
	name: "RegisterSender",
	scopes: ["OPERATE"],
	text: "mutation RegisterSender($input: RegisterSenderInput!) { registerSender(input: $input) { ...SenderNow } } fragment SenderNow on Sender { id name phoneNumberId displayPhoneNumber businessAccountId messagesPerSecond effectiveRate throttledUntil state stateReason pausedPriorities hold { code category message since nextProbeAt advice } breaker { since failures nextProbeAt lastFailure } queueDepth scheduled oldestDueAge drainPerMinute emptyIn lanes { priority depth oldestDueAge } }"
};
var Viewer = {
	name: "Viewer",
	scopes: [],
	text: "query Viewer { viewer { keyId name scopes senderIds } }"
};
var Pulse = {
	name: "Pulse",
	scopes: ["READ"],
	text: "query Pulse { senders { ...SenderNow } readModel { behind } deadLetters(first: 1) { totalCount } } fragment SenderNow on Sender { id name phoneNumberId displayPhoneNumber businessAccountId messagesPerSecond effectiveRate throttledUntil state stateReason pausedPriorities hold { code category message since nextProbeAt advice } breaker { since failures nextProbeAt lastFailure } queueDepth scheduled oldestDueAge drainPerMinute emptyIn lanes { priority depth oldestDueAge } }"
};
var Position = {
	name: "Position",
	scopes: ["READ"],
	text: "query Position { readModel { position } }"
};
var Ledger = {
	name: "Ledger",
	scopes: ["AUDIT"],
	text: "query Ledger($senderId: ID, $asOf: Time) { ledger(senderId: $senderId, asOf: $asOf) { accepted open ambiguous sent delivered read failed deadLettered cancelled expired discarded sentTwice overdue balanced asOf } }"
};
var Log = {
	name: "Log",
	scopes: ["AUDIT"],
	text: "query Log($filter: EventFilter, $first: Int!, $after: String) { events(filter: $filter, order: NEWEST_FIRST, first: $first, after: $after) { edges { cursor node { ...LoggedEvent } } pageInfo { hasNextPage endCursor } } } fragment LoggedEvent on Event { id type stream revision recordedAt occurredAt data correlationId by { kind id name onBehalfOf } }"
};
var OperationProgress = {
	name: "OperationProgress",
	scopes: ["OPERATE"],
	text: "query OperationProgress($id: ID!) { operation(id: $id) { ...Progress } } fragment Progress on Operation { id state selected done refusedCount refused { messageId code message } }"
};
// src/api/socket.ts
var silence = 3e4;
var Connection = class {
	onState = () => {};
	onUnauthenticated = () => {};
	entries = /* @__PURE__ */ new Map();
	socket = null;
	ready = false;
	heard = 0;
	failures = 0;
	ids = 0;
	retry;
	watch;
	/** Subscribes. Returns a function that ends the subscription. */
	subscribe(operation, variables, options) {
		const id = String(++this.ids);
		this.entries.set(id, {
			operation,
			variables,
			options
		});
		if (this.ready) this.begin(id);
		else if (!this.socket) this.open();
		return () => {
			if (this.entries.delete(id) && this.ready) this.send({
				id,
				type: "complete"
			});
		};
	}
	/** Ends all subscriptions and disconnects. */
	close() {
		this.entries.clear();
		clearTimeout(this.retry);
		this.drop();
		this.failures = 0;
	}
	/** Connects immediately instead of at the next retry. */
	hurry() {
		if (this.socket || this.entries.size === 0) return;
		clearTimeout(this.retry);
		this.open();
	}
	open() {
		this.retry = void 0;
		if (this.socket || currentKey() === null) return;
		const url = new URL("graphql", location.href);
		url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
		url.hash = "";
		const socket = new WebSocket(url, "graphql-transport-ws");
		this.socket = socket;
		this.heard = Date.now();
		this.watch = setInterval(() => {
			if (Date.now() - this.heard > silence) this.lost(socket, "silent");
			else if (this.ready) this.send({ type: "ping" });
		}, silence / 3);
		socket.onopen = () => this.send({
			type: "connection_init",
			payload: { authorization: `Bearer ${currentKey()}` }
		});
		socket.onmessage = ({ data }) => {
			this.heard = Date.now();
			if (socket === this.socket) this.receive(JSON.parse(data));
		};
		socket.onclose = ({ code }) => this.lost(socket, code);
	}
	begin(id) {
		const { operation, variables } = this.entries.get(id);
		this.send({
			id,
			type: "subscribe",
			payload: {
				query: operation.text,
				operationName: operation.name,
				variables
			}
		});
	}
	send(frame) {
		if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(frame));
	}
	receive({ id, type, payload }) {
		switch (type) {
			case "connection_ack":
				this.ready = true;
				this.failures = 0;
				for (const waiting of this.entries.keys()) this.begin(waiting);
				this.onState("live");
				break;
			case "ping":
				this.send({ type: "pong" });
				break;
			case "next": {
				const entry = this.entries.get(id);
				if (!entry) break;
				const { data, errors } = payload;
				if (errors?.length) {
					this.failed(id, entry, errors[0]);
					break;
				}
				const cursor = entry.options.cursor?.(data);
				if (cursor) entry.variables = {
					...entry.variables,
					after: cursor
				};
				entry.options.next(data);
				break;
			}
			case "error": {
				const entry = this.entries.get(id);
				if (entry) this.failed(id, entry, payload[0]);
				break;
			}
			case "complete": if (this.entries.has(id)) setTimeout(() => this.ready && this.entries.has(id) && this.begin(id), 1e3);
		}
	}
	failed(id, entry, wire) {
		const error = new Refused(wire);
		switch (error.code) {
			case "CURSOR_GONE":
				this.entries.delete(id);
				entry.options.gone?.();
				break;
			case "UNAUTHENTICATED":
				this.onUnauthenticated(error.message);
				break;
			case "FORBIDDEN":
			case "INVALID_INPUT":
			case "NOT_FOUND":
				this.entries.delete(id);
				entry.options.refused?.(error);
				break;
			default: setTimeout(() => this.ready && this.entries.has(id) && this.begin(id), 2e3);
		}
	}
	drop() {
		const socket = this.socket;
		this.socket = null;
		this.ready = false;
		clearInterval(this.watch);
		socket?.close(1e3);
	}
	lost(socket, reason) {
		if (socket !== this.socket) return;
		this.drop();
		if (reason === 4401 || reason === 4403) {
			this.onUnauthenticated("The key is no longer valid.");
			return;
		}
		this.onState("lost");
		if (this.entries.size === 0) return;
		const wait = Math.min(1e4, 500 * 2 ** Math.min(this.failures++, 5)) * (.75 + Math.random() / 2);
		this.retry = setTimeout(() => this.open(), wait);
	}
};
var connection = new Connection();
// src/lib/format.ts
var wholes = new Intl.NumberFormat("en");
var count = (value) => wholes.format(value);
/** Formats a number with its significant digits: 0.25, 4.2, 130. */
function figure(value) {
	const size = Math.abs(value);
	if (size === 0) return "0";
	if (size < .01) return value.toPrecision(1);
	if (size < 1) return trimmed(value.toFixed(2));
	if (size < 100) return trimmed(value.toFixed(1));
	return count(Math.round(value));
}
var trimmed = (digits) => digits.replace(/\.?0+$/, "");
/** Formats a fraction between 0 and 1 as a percentage, or null as a dash. */
function percent(share) {
	if (share === null) return "–";
	const value = share * 100;
	if (value === 0 || value === 100) return `${value}%`;
	return value > 99.9 ? "> 99.9%" : value < .01 ? "< 0.01%" : `${trimmed(value.toFixed(value < 1 ? 2 : 1))}%`;
}
/** Returns the seconds of an ISO 8601 duration, or null if it is invalid. */
function seconds(iso) {
	const parts = /^(-?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(iso ?? "");
	if (!parts || iso === "P" || iso?.endsWith("T")) return null;
	const [w, d, h, m, s] = parts.slice(2).map((part) => Number(part ?? 0));
	return (parts[1] ? -1 : 1) * (w * 604800 + d * 86400 + h * 3600 + m * 60 + s);
}
/** Returns the ISO 8601 duration of a number of seconds. */
var duration = (s) => `PT${Number(s.toFixed(3))}S`;
/** Returns the seconds of a duration in a notation like 90, 5s, 1m30s, or 2 h, or null if it is invalid. */
function parseSpan(text) {
	const plain = text.trim().toLowerCase();
	if (/^\d+(\.\d+)?$/.test(plain)) return Number(plain);
	if (!/^(\d+(\.\d+)?\s*(s|sec|m|min|h|d)\s*)+$/.test(plain)) return null;
	const units = {
		s: 1,
		sec: 1,
		m: 60,
		min: 60,
		h: 3600,
		d: 86400
	};
	let sum = 0;
	for (const [, n, unit] of plain.matchAll(/(\d+(?:\.\d+)?)\s*(sec|min|s|m|h|d)/g)) sum += Number(n) * (units[unit] ?? 0);
	return sum;
}
/** Returns the shortest notation that parseSpan accepts. */
function spanInput(s) {
	for (const [unit, size] of [
		["d", 86400],
		["h", 3600],
		["min", 60]
	]) if (s > 0 && s % size === 0) return `${s / size} ${unit}`;
	return `${s} s`;
}
/** Formats a duration, rounded to its significant units. */
function span(s) {
	if (s === null) return "–";
	if (s < 0) s = 0;
	if (s > 0 && s < .9995) return `${Math.round(s * 1e3)} ms`;
	if (s < 10) return `${trimmed(s.toFixed(1))} s`;
	if (s < 60) return `${Math.floor(s)} s`;
	if (s < 3600) return two(s, 60, "min", 1, "s");
	if (s < 86400) return two(s, 3600, "h", 60, "min");
	return two(s, 86400, "d", 3600, "h");
}
function two(s, size, unit, restSize, restUnit) {
	const rest = Math.floor(s % size / restSize);
	return `${Math.floor(s / size)} ${unit}${rest > 0 ? ` ${rest} ${restUnit}` : ""}`;
}
/** Formats an age in its largest unit, so that it rarely changes in lists. */
function age(s) {
	if (s < 60) return `${Math.max(0, Math.floor(s))} s`;
	if (s < 3600) return `${Math.floor(s / 60)} min`;
	if (s < 86400) return `${Math.floor(s / 3600)} h`;
	return `${Math.floor(s / 86400)} d`;
}
var two2 = (n) => String(n).padStart(2, "0");
var day = (date) => `${date.getFullYear()}-${two2(date.getMonth() + 1)}-${two2(date.getDate())}`;
/** Formats a time of day in the browser's time zone, with the date if it is not today. */
function clock(at, now, digits = "milliseconds") {
	const date = new Date(at);
	let time = `${two2(date.getHours())}:${two2(date.getMinutes())}`;
	if (digits !== "minutes") time += `:${two2(date.getSeconds())}`;
	if (digits === "milliseconds") time += `.${String(date.getMilliseconds()).padStart(3, "0")}`;
	return day(date) === day(new Date(now)) ? time : `${day(date)} ${time}`;
}
/** Returns the name of an enum value as words. */
var words = (name) => name.toLowerCase().replaceAll("_", " ");
/** Returns the display name of a lane. */
var laneName = (priority) => priority === "OTP" ? "OTP" : words(priority);
var sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
var plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
/** Returns the end of an ID, which distinguishes it: IDs of the same minute have the same beginning (UUIDv7). */
var shortId = (id) => id.length > 9 ? `…${id.slice(-8)}` : id;
// src/state.ts
var state = {
	viewer: null,
	demo: null,
	live: "connecting",
	away: false,
	trouble: null,
	senders: null,
	deadLetters: null,
	behind: null,
	alerts: /* @__PURE__ */ new Map()
};
var draw = () => {};
var asked = false;
var drawnAt = 0;
var drawEvery = 100;
function onRefresh(fn) {
	draw = fn;
}
/** Schedules a redraw: immediately if the last one is long enough ago, and at most ten times per second. */
function refresh() {
	if (asked) return;
	asked = true;
	const wait = Math.max(0, drawnAt + drawEvery - performance.now());
	const now = () => {
		asked = false;
		drawnAt = performance.now();
		draw();
	};
	setTimeout(() => document.hidden ? now() : requestAnimationFrame(now), wait);
}
/** Redraws every second while the tab is visible, to update ages. Returns a function that stops it. */
function everySecond() {
	const timer = setInterval(() => document.hidden || refresh(), 1e3);
	return () => clearInterval(timer);
}
var may = (scope) => state.viewer !== null && (state.viewer.scopes.includes(scope) || state.viewer.scopes.includes("ADMIN"));
/** Returns why the key does not allow an operation, or null if it does. what is the subject of the sentence. */
function forbidden(operation, what = "This") {
	const missing = operation.scopes.filter((scope) => !may(scope));
	return missing.length === 0 ? null : `${what} requires a key with the scope ${missing.join(" and ")}.`;
}
/**
* Runs fn immediately, and again `every` ms after each run has ended. It pauses in a hidden tab. Returns a function that
* stops it.
*/
function poll(every, fn) {
	let timer, stopped = false, running = false;
	const run = async () => {
		clearTimeout(timer);
		if (stopped || running || document.hidden) return;
		running = true;
		try {
			await fn();
		} catch (error) {
			report(error);
		}
		running = false;
		if (!stopped) timer = setTimeout(run, state.away ? Math.max(every, 1e3) : every);
	};
	const shown = () => void run();
	document.addEventListener("visibilitychange", shown);
	run();
	return () => {
		stopped = true;
		clearTimeout(timer);
		document.removeEventListener("visibilitychange", shown);
	};
}
var troubledAt = 0;
var troubleFor = 6e3;
var signOut$1 = () => {};
function onSignOut(fn) {
	signOut$1 = fn;
}
/** Handles the error of a background request. */
function report(error) {
	if (error instanceof Refused && error.code === "UNAUTHENTICATED") return signOut$1("The key is no longer valid.");
	if (error instanceof ServerAway) state.away = true;
	else if (error instanceof Error && error.name !== "AbortError") [state.trouble, troubledAt] = [error.message, Date.now()];
	refresh();
}
var ends = [];
var announce = () => {};
function onAnnounce(fn) {
	announce = fn;
}
/** Starts the work that is independent of the current view. */
function begin() {
	end();
	ends = [poll(1500, pulse), follow$1()];
}
function end() {
	for (const stop of ends) stop();
	ends = [];
	Object.assign(state, {
		senders: null,
		deadLetters: null,
		behind: null,
		trouble: null,
		away: false
	});
	state.alerts.clear();
}
async function pulse() {
	const { senders, readModel, deadLetters } = await ask(Pulse, {});
	if (!state.viewer) return;
	if (state.away) connection.hurry();
	Object.assign(state, {
		senders,
		deadLetters: deadLetters.totalCount,
		behind: seconds(readModel.behind),
		away: false
	});
	if (Date.now() - troubledAt > troubleFor) state.trouble = null;
	refresh();
}
/** Replaces a sender in the list by the result of a mutation. */
function putSender(sender) {
	const senders = state.senders ?? [];
	const at = senders.findIndex(({ id }) => id === sender.id);
	state.senders = at < 0 ? [...senders, sender].sort((a, b) => a.id < b.id ? -1 : 1) : senders.with(at, sender);
	refresh();
}
var alertListeners = /* @__PURE__ */ new Set();
/** Calls fn for each transition of an alert. Returns a function that stops it. */
function onAlert(fn) {
	alertListeners.add(fn);
	return () => alertListeners.delete(fn);
}
function follow$1() {
	let stop = () => {};
	let startedAt = Date.now();
	const start = () => {
		stop = connection.subscribe(AlertTransitions, {}, {
			cursor: (data) => data.alerts.cursor,
			gone: () => {
				state.alerts.clear();
				startedAt = Date.now();
				start();
			},
			next: ({ alerts: { at, node } }) => {
				sawServerTime(at);
				if (node.state === "RESOLVED") state.alerts.delete(node.id);
				else state.alerts.set(node.id, {
					at,
					alert: node
				});
				if (Date.now() - startedAt > 2e3 || node.state !== "RAISED") {
					if (node.state === "RAISED") announce(`Alert: ${node.summary}`);
					else if (node.state === "RESOLVED") announce(`Resolved: ${node.summary}`);
				}
				for (const listener of alertListeners) listener();
				refresh();
			}
		});
	};
	start();
	return () => stop();
}
var openAlerts = () => [...state.alerts.values()].map(({ alert }) => alert).sort((a, b) => Number(b.severity === "CRITICAL") - Number(a.severity === "CRITICAL") || Date.parse(b.raisedAt) - Date.parse(a.raisedAt));
/** The sender that metrics are shown for: the chosen one, or the first one of a key that is limited to senders. Null means all. */
var figuresOf = (chosen) => chosen ? chosen : state.viewer?.senderIds?.[0] ?? null;
/** The choices of senders for metrics. A key that is limited to senders has no access to totals. */
var figureChoices = (all) => senderChoices(all).slice(state.viewer?.senderIds ? 1 : 0);
/** The choices of senders, after one for all of them. */
var senderChoices = (all) => [["", all], ...(state.senders ?? []).map(({ id, name }) => [id, name])];
var badge = (n) => n === null || n === 0 ? "" : n > 9999 ? "9999+" : count(n);
// src/route.ts
function currentRoute() {
	const [path = "", query = ""] = location.hash.replace(/^#/, "").split("?", 2);
	if (/^[0-9a-f-]{36}$/i.test(path)) return {
		path: ["messages", path],
		query: new URLSearchParams()
	};
	return {
		path: path.split("/").filter(Boolean).map(decode),
		query: new URLSearchParams(query)
	};
}
function decode(part) {
	try {
		return decodeURIComponent(part);
	} catch {
		return part;
	}
}
function link(path, query) {
	const search = query?.toString();
	return `#/${path.map(encodeURIComponent).join("/")}${search ? `?${search}` : ""}`;
}
function go(to) {
	location.hash = to;
}
/** Changes the query of the current view, without a new entry in the browser's history. */
function setQuery(change) {
	const { path, query } = currentRoute();
	for (const [name, value] of Object.entries(change)) if (value === null || value === "") query.delete(name);
	else query.set(name, value);
	history.replaceState(null, "", link(path, query));
	dispatchEvent(new HashChangeEvent("hashchange"));
}
// src/session.ts
var session = {
	fault: "",
	opening: false,
	asksForKey: false,
	wantsLink: false
};
var retry;
function signOut(reason = "") {
	clearTimeout(retry);
	end();
	connection.close();
	useKey(null);
	state.viewer = null;
	sessionStorage.removeItem("key");
	Object.assign(session, {
		fault: reason,
		opening: false,
		asksForKey: true
	});
	refresh();
}
function signIn(key) {
	useKey(key);
	open$1();
}
/** Switches back to the demo's own key. */
function useDemoKey() {
	sessionStorage.removeItem("key");
	signIn(state.demo.key);
}
/** Signs in with the current key. While the server is unavailable, it retries. */
async function open$1() {
	clearTimeout(retry);
	Object.assign(session, {
		fault: "",
		opening: true
	});
	refresh();
	const key = currentKey();
	try {
		const { viewer } = await ask(Viewer, {});
		if (key !== currentKey()) return;
		state.viewer = viewer;
		if (!may("READ")) return signOut(`The key ${viewer.name} has no READ scope, only ${viewer.scopes.join(", ")}.`);
		if (key !== state.demo?.key) sessionStorage.setItem("key", key);
		Object.assign(session, {
			opening: false,
			asksForKey: false
		});
		state.away = false;
		begin();
	} catch (error) {
		if (key !== currentKey()) return;
		if (error instanceof Refused && (error.code === "UNAUTHENTICATED" || error.code === "FORBIDDEN")) return signOut(error.message);
		state.away = error instanceof ServerAway;
		session.fault = `${error instanceof Error ? error.message : "The server does not respond."} Retrying automatically.`;
		retry = setTimeout(open$1, 2e3);
	}
	refresh();
}
async function start() {
	connection.onState = (live) => {
		state.live = live;
		refresh();
	};
	connection.onUnauthenticated = signOut;
	takeLink();
	state.demo = await demo();
	const key = sessionStorage.getItem("key") ?? state.demo?.key;
	if (key) signIn(key);
	else signOut();
}
/** The storage key for the secret of the demo's link, for reloads and other tabs. The secret is useless after the demo. */
var demoSecret = "demo";
/** Removes the secret of the demo's link from the address and stores it. Returns whether there was one. */
function takeLink() {
	const secret = /^#key=(.+)$/.exec(location.hash)?.[1];
	if (!secret) return false;
	localStorage.setItem(demoSecret, secret);
	history.replaceState(null, "", "#/");
	return true;
}
/** Returns the demo's key and simulator. Without the secret of its link, and outside the demo, the file contains no key. */
async function demo() {
	const secret = localStorage.getItem(demoSecret) ?? "";
	try {
		const response = await fetch("demo.json", {
			headers: { authorization: `Bearer ${secret}` },
			signal: AbortSignal.timeout(1e4)
		});
		const given = response.ok ? await response.json() : null;
		session.wantsLink = given?.demo === true;
		if (given?.key) return {
			...given,
			secret
		};
		if (given) localStorage.removeItem(demoSecret);
		return null;
	} catch {
		return null;
	}
}
// src/ui/dom.ts
function h(tag, props, ...children) {
	const flat = [];
	flatten(children, flat);
	return {
		tag,
		props: props ?? {},
		children: flat
	};
}
function flatten(children, into) {
	for (const child of children) {
		if (child === null || child === void 0 || child === false || child === "") continue;
		if (Array.isArray(child)) flatten(child, into);
		else if (typeof child === "object") into.push(child);
		else if (typeof into.at(-1) === "string") into[into.length - 1] += String(child);
		else into.push(String(child));
	}
}
var svgSpace = "http://www.w3.org/2000/svg";
var handlers = /* @__PURE__ */ new WeakMap();
function dispatch(event) {
	(handlers.get(this)?.get(event.type))?.(event);
}
function create(vnode, parent) {
	if (typeof vnode === "string") return document.createTextNode(vnode);
	const node = vnode.tag === "svg" || parent.namespaceURI === svgSpace && parent.tagName !== "foreignObject" ? document.createElementNS(svgSpace, vnode.tag) : document.createElement(vnode.tag);
	vnode.node = node;
	patchChildren(node, [], vnode.children);
	for (const [name, value] of Object.entries(vnode.props)) setProp(node, name, void 0, value);
	return node;
}
function setProp(node, name, before, value) {
	if (name === "key" || name === "ref" || before === value) return;
	if (typeof value === "function" || typeof before === "function") {
		const type = name.slice(2);
		let own = handlers.get(node);
		if (!own) handlers.set(node, own = /* @__PURE__ */ new Map());
		if (!own.has(type)) node.addEventListener(type, dispatch);
		if (typeof value === "function") own.set(type, value);
		else own.delete(type);
	} else if (name === "value" || name === "checked" || name === "indeterminate") node[name] = value ?? (name === "value" ? "" : false);
	else if (name === "style") {
		const { style } = node, next = value ?? {}, last = before ?? {};
		for (const property of Object.keys(last)) if (!(property in next)) style.removeProperty(property);
		for (const [property, text] of Object.entries(next)) if (last[property] !== text) style.setProperty(property, text);
	} else if (value === null || value === void 0 || value === false) node.removeAttribute(name);
	else node.setAttribute(name, value === true ? "" : String(value));
}
var keyOf = (vnode) => typeof vnode === "string" ? "#text" : `${vnode.tag}\u0000${vnode.props.key ?? ""}`;
/** Updates the children of parent from old to next. Nodes are reused for children with the same tag and key. */
function patchChildren(parent, old, next) {
	const nodes = [...parent.childNodes];
	if (nodes.length !== old.length) {
		parent.replaceChildren();
		[old, nodes.length] = [[], 0];
	}
	const left = /* @__PURE__ */ new Map();
	old.forEach((vnode, i) => {
		const key = keyOf(vnode), same = left.get(key);
		if (same) same.push(i);
		else left.set(key, [i]);
	});
	const kept = next.map((vnode) => left.get(keyOf(vnode))?.shift() ?? -1);
	for (const indices of left.values()) for (const i of indices) nodes[i].remove();
	let at = parent.firstChild;
	next.forEach((vnode, i) => {
		const from = kept[i];
		if (from < 0) {
			const made = create(vnode, parent);
			parent.insertBefore(made, at);
			if (typeof vnode !== "string") vnode.props.ref?.(made);
			return;
		}
		const node = nodes[from];
		if (node === at) at = node.nextSibling;
		else parent.insertBefore(node, at);
		if (typeof vnode === "string") {
			if (node.nodeValue !== vnode) node.nodeValue = vnode;
		} else patch(node, old[from], vnode);
	});
}
function patch(node, old, next) {
	next.node = node;
	if (old === next) return;
	patchChildren(node, old.children, next.children);
	for (const name of Object.keys(old.props)) if (!(name in next.props)) setProp(node, name, old.props[name], void 0);
	for (const [name, value] of Object.entries(next.props)) setProp(node, name, old.props[name], value);
	if (next.tag === "select" && typeof next.props.value === "string") {
		const select = node;
		if (select.value !== next.props.value) select.value = next.props.value;
	}
}
// src/ui/parts.ts
var tones = {
	QUEUED: "wait",
	SENDING: "move",
	RETRYING: "warn",
	AMBIGUOUS: "warn",
	SENT: "move",
	DELIVERED: "good",
	READ: "good",
	FAILED: "bad",
	DEAD_LETTERED: "bad",
	CANCELLED: "wait",
	EXPIRED: "warn",
	DISCARDED: "wait",
	ACTIVE: "good",
	PAUSED: "warn",
	HELD: "bad",
	WARNING: "warn",
	CRITICAL: "bad",
	RAISED: "bad",
	ACKNOWLEDGED: "warn",
	RESOLVED: "good",
	TRANSIENT: "warn",
	PERMANENT: "bad",
	SENDER: "bad",
	THROTTLED: "move"
};
var toneOf = (name) => tones[name] ?? "wait";
var chip = (text, tone, props) => h("span", {
	class: "chip",
	"data-tone": tone,
	...props
}, text);
var statusChip = (name) => chip(words(name), toneOf(name));
var quiet = (...children) => h("p", { class: "quiet" }, ...children);
var mono = (text) => h("span", { class: "mono" }, text);
/** A card with a heading and tools to the right of it. */
function card(title, props, tools, ...children) {
	const key = props.key ?? String(props.id ?? "card"), id = `${props.id ? String(props.id) : key}-title`;
	return h("section", {
		...props,
		key,
		class: `card ${props.class ?? ""}`.trim(),
		"aria-labelledby": id
	}, h("div", { class: "heading" }, h("h2", { id }, title), tools ? h("div", { class: "tools" }, tools) : null), ...children);
}
/** A table with headings. In a narrow window, columns with the class extra are hidden, and the cells of a table with the class stack are stacked. */
function table(props, caption, columns, rows) {
	return h("table", props, h("caption", { class: "unseen" }, caption), h("thead", null, h("tr", null, columns.map(({ name, title, class: names }) => h("th", {
		scope: "col",
		class: names ?? null
	}, title ? h("abbr", { title }, name) : name)))), h("tbody", null, rows));
}
/** A cell that shows its column's name where the table is stacked. */
var cell = (label, props, ...children) => h("td", {
	...props,
	"data-label": label
}, ...children);
var time = (at, digits) => h("time", {
	datetime: at,
	title: at
}, clock(at, serverNow(), digits));
var ago = (at) => h("time", {
	datetime: at,
	title: clock(at, serverNow())
}, age((serverNow() - Date.parse(at)) / 1e3));
var facts = (entries) => h("dl", { class: "facts" }, entries.filter(([, value]) => value !== null && value !== void 0 && value !== false).map(([name, value]) => [h("dt", { key: name }, name), h("dd", { key: name }, value)]));
/** A button. Its key keeps its node when other buttons appear or disappear, so that it does not lose the focus. */
function button(text, onclick, props) {
	return h("button", {
		type: "button",
		class: "plain",
		onclick,
		key: String(props?.id ?? text),
		...props
	}, text);
}
/** Returns the value of the field that sent the event. */
var held = (event) => event.target.value.trim();
var fields = 0;
var ids = /* @__PURE__ */ new Map();
/** A control with a label and a hint that screen readers read with it. */
function field(label, control, hint) {
	const name = String(control.props.name ?? label);
	let id = ids.get(name);
	if (!id) ids.set(name, id = `field-${++fields}`);
	const described = hint ? { "aria-describedby": `${id}-hint` } : null;
	return h("div", {
		class: "field",
		key: name
	}, h("label", { for: id }, label), h(control.tag, {
		id,
		...described,
		...control.props
	}, ...control.children), hint ? h("p", {
		class: "hint",
		id: `${id}-hint`
	}, hint) : null);
}
var options = (values, chosen) => values.map(([value, text]) => h("option", {
	key: value,
	value,
	selected: value === chosen
}, text));
/** A filter of a list. It calls onchoose with the chosen value. */
function choose(label, value, values, onchoose, props) {
	return h("label", {
		class: "choose",
		key: `choose-${label}`
	}, h("span", null, label), h("select", {
		...props,
		value,
		onchange: (event) => onchoose(event.target.value)
	}, options(values, value)));
}
/** Buttons of which one is selected. */
function segments(label, value, values, onchoose) {
	return h("div", {
		class: "segments",
		role: "group",
		"aria-label": label
	}, values.map(([id, text]) => h("button", {
		type: "button",
		key: id,
		"aria-pressed": String(id === value),
		onclick: () => onchoose(id)
	}, text)));
}
/** Returns the values of a form's fields. Empty fields are omitted. */
function values(form) {
	const held = {};
	for (const [name, value] of new FormData(form)) if (typeof value === "string" && value.trim() !== "") held[name] = value.trim();
	return held;
}
/** Marks the field that the server reported as invalid, and moves the focus to it. */
function markField(form, name) {
	for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
	if (!name) return;
	const control = name.replace(/\[\d+\]/g, "").split(".").reverse().map((part) => form.elements.namedItem(part)).find((found) => found instanceof HTMLElement);
	if (control instanceof HTMLElement) {
		control.setAttribute("aria-invalid", "true");
		control.focus();
	}
}
/** Returns a new idempotency key. crypto.randomUUID is not available over plain HTTP from another machine. */
var freshKey = () => `page-${Array.from(crypto.getRandomValues(/* @__PURE__ */ new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
// src/ui/overlay.ts
var open = null;
var busy$1 = false;
var fault = "";
var shown = null;
var serial = 0;
function openDialog(dialog) {
	[open, busy$1, fault] = [
		dialog,
		false,
		""
	];
	serial++;
	refresh();
}
function closeDialog() {
	shown?.close();
	[open, shown] = [null, null];
	refresh();
}
/** Returns the text to show for the error of an action. */
function faultText(error) {
	if (error instanceof ServerAway) return "No response, so the outcome is unknown. It is safe to try again.";
	return messageOf(error);
}
function dialog() {
	if (!open) return null;
	const { title, body, label, danger, run } = open;
	const text = label();
	const submit = async (event) => {
		event.preventDefault();
		if (busy$1) return;
		const form = event.currentTarget, mine = open;
		[busy$1, fault] = [true, ""];
		refresh();
		try {
			await run(values(form), form);
			if (open === mine) closeDialog();
		} catch (error) {
			fault = faultText(error);
			markField(form, error instanceof Refused ? error.field : null);
		}
		busy$1 = false;
		refresh();
	};
	return h("dialog", {
		key: serial,
		class: "dialog",
		"aria-labelledby": "dialog-title",
		ref: (node) => {
			shown = node;
			shown.showModal();
		},
		onclose: () => {
			open = null;
			refresh();
		}
	}, h("form", { onsubmit: submit }, h("h2", { id: "dialog-title" }, title), h("div", { class: "dialog-body" }, body()), h("p", {
		class: "error",
		role: "alert"
	}, fault), h("div", { class: "actions" }, h("button", {
		type: "submit",
		class: danger ? "danger" : "",
		disabled: busy$1 || text === null
	}, busy$1 ? "Please wait…" : text ?? "…"), button("Cancel", closeDialog))));
}
var notes = [];
var lastNote = 0;
var noteTime = 7e3;
function note(text, bad = false) {
	const id = ++lastNote;
	notes = [...notes.slice(-2), {
		id,
		text,
		bad
	}];
	setTimeout(() => {
		notes = notes.filter((other) => other.id !== id);
		refresh();
	}, noteTime);
	refresh();
}
/** Performs an action and shows a note with the outcome. */
async function attempt(done, fn) {
	try {
		await fn();
		note(done);
	} catch (error) {
		note(faultText(error), true);
	}
}
var operations = /* @__PURE__ */ new Map();
/** Shows an operation in every view until it is finished and the user has closed it. */
function watch(verb, progress, ended) {
	const running = {
		verb,
		progress,
		ended,
		stop: () => {}
	};
	operations.set(progress.id, running);
	refresh();
	if (progress.state !== "RUNNING") return ended();
	running.stop = poll(400, async () => {
		const { operation } = await ask(OperationProgress, { id: progress.id });
		if (operation) running.progress = operation;
		if (!operation || operation.state !== "RUNNING") {
			running.stop();
			ended();
		}
		refresh();
	});
}
var operationCards = () => [...operations].map(([id, { verb, progress, stop }]) => {
	const { state: now, selected, done, refusedCount, refused } = progress;
	const over = now !== "RUNNING";
	return h("section", {
		key: id,
		class: "operation",
		"aria-label": verb
	}, h("div", { class: "heading" }, h("strong", null, verb), over ? button("Close", () => {
		stop();
		operations.delete(id);
		refresh();
	}, { class: "plain small" }) : null), h("progress", {
		max: Math.max(selected, 1),
		value: String(done + refusedCount),
		"aria-label": `${verb}: progress`
	}), h("p", null, `${over ? "Done: " : ""}${count(done)} of ${count(selected)}${refusedCount > 0 ? `, ${count(refusedCount)} rejected` : ""}`), refused.length > 0 ? h("details", null, h("summary", null, "Rejected messages"), h("ul", null, refused.map((r) => h("li", { key: r.messageId }, h("a", { href: `#/messages/${r.messageId}` }, shortId(r.messageId)), ` ${r.message}`)))) : null);
});
var overlay = () => [
	dialog(),
	h("div", {
		key: "operations",
		class: "operations"
	}, state.viewer ? operationCards() : null),
	h("div", {
		key: "notes",
		class: "notes",
		role: "status"
	}, notes.map(({ id, text, bad }) => h("p", {
		key: id,
		class: "note",
		"data-tone": bad ? "bad" : "good"
	}, text)))
];
// src/lib/recognize.ts
var statuses = [
	"QUEUED",
	"SENDING",
	"RETRYING",
	"AMBIGUOUS",
	"SENT",
	"DELIVERED",
	"READ",
	"FAILED",
	"DEAD_LETTERED",
	"CANCELLED",
	"EXPIRED",
	"DISCARDED"
];
var types = [
	"TEXT",
	"TEMPLATE",
	"IMAGE",
	"VIDEO",
	"AUDIO",
	"DOCUMENT",
	"STICKER",
	"LOCATION",
	"CONTACTS",
	"REACTION",
	"INTERACTIVE"
];
var priorities = [
	"OTP",
	"TRANSACTIONAL",
	"BULK"
];
var uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
var userId = /^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$/;
/** Reports whether the text is a WhatsApp user ID, which people who hide their number have. */
var isUserId = (text) => userId.test(text.trim());
var phone = /^\+?[\d\s()./-]+$/;
function isPhone(text) {
	const digits = text.replace(/\D/g, "").length;
	return phone.test(text) && digits >= 7 && digits <= 15 && (text.trim().startsWith("+") || digits >= 10);
}
var enumName = (text) => text.trim().toUpperCase().replaceAll(/[\s-]+/g, "_");
var spellings = { CANCELED: "CANCELLED" };
var statusNamed = (text) => {
	const name = spellings[enumName(text)] ?? enumName(text);
	return statuses.find((s) => s === name || s.replace("_", "") === name);
};
var listed = (names) => names.map((name) => name.toLowerCase().replaceAll("_", " ")).join(", ");
var unquoted = (text) => text.replace(/^"(.*)"$/, "$1");
/**
* Recognizes a message ID, a phone number, a user ID, a wamid, name=value, a status, "overdue", or word:value for each filter, in any combination.
* Anything else is an idempotency key.
*/
function recognize(typed) {
	const text = typed.trim();
	const found = {};
	if (text === "") return found;
	if (isPhone(text)) return { to: text };
	const whole = statusNamed(text);
	if (whole) return { status: [whole] };
	const unknown = [];
	for (const [part] of text.matchAll(/(?:[^\s"]+|"[^"]*")+/g)) if (!take(found, part)) unknown.push(unquoted(part));
	if (unknown.length > 0) found.key = unknown.join(" ");
	return found;
}
function take(found, part) {
	const named = /^(id|to|user|phone|number|key|wamid|status|label|sender|type|priority|template|category|code):(.+)$/i.exec(part);
	if (named) {
		const value = unquoted(named[2]);
		switch (named[1].toLowerCase()) {
			case "id":
				found.id = value;
				return true;
			case "to":
			case "phone":
			case "number":
				found.to = value;
				return true;
			case "user":
				found.user = value;
				return true;
			case "key":
				found.key = value;
				return true;
			case "wamid":
				found.wamid = value;
				return true;
			case "sender":
				found.sender = value;
				return true;
			case "template":
				found.template = value;
				return true;
			case "category":
				found.category = value;
				return true;
			case "type":
				if (types.some((t) => t === enumName(value))) found.type = enumName(value);
				else found.invalid = `There is no type “${value}”; types are ${listed(types)}.`;
				return true;
			case "priority":
				if (priorities.some((p) => p === enumName(value))) found.priority = enumName(value);
				else found.invalid = `There is no priority “${value}”; priorities are ${listed(priorities)}.`;
				return true;
			case "code":
				if (/^\d+$/.test(value)) found.code = Number(value);
				else found.invalid = `“${value}” is not an error code; use a number such as 131026.`;
				return true;
			case "label":
				if (!takeLabel(found, value)) found.invalid = `“${value}” is not a label; use label:name=value.`;
				return true;
			case "status":
				for (const name of value.split(",")) {
					const status = statusNamed(name);
					if (status) found.status = [...found.status ?? [], status];
					else found.invalid = `There is no status “${name}”; statuses are ${listed(statuses)}.`;
				}
				return true;
		}
	}
	if (/^overdue$/i.test(part)) found.overdue = true;
	else if (uuid.test(part)) found.id = part.toLowerCase();
	else if (/^wamid\./i.test(part)) found.wamid = part;
	else if (isPhone(part)) found.to = part;
	else if (userId.test(part)) found.user = part;
	else if (statusNamed(part)) found.status = [...found.status ?? [], statusNamed(part)];
	else return takeLabel(found, part);
	return true;
}
function takeLabel(found, text) {
	const at = text.indexOf("=");
	if (at <= 0) return false;
	found.labels = [...found.labels ?? [], {
		name: unquoted(text.slice(0, at)),
		value: unquoted(text.slice(at + 1))
	}];
	return true;
}
/** Describes the filters, for the line below the box. */
function describe$1(filters) {
	const parts = [];
	if (filters.id) parts.push(`message ID ${filters.id}`);
	if (filters.to) parts.push(`phone number ${filters.to}`);
	if (filters.user) parts.push(`user ID ${filters.user}`);
	if (filters.wamid) parts.push("WhatsApp ID");
	if (filters.key) parts.push(`idempotency key ${filters.key}`);
	for (const { name, value } of filters.labels ?? []) parts.push(`label ${name} = ${value}`);
	if (filters.status) parts.push(`status ${filters.status.map((s) => s.toLowerCase().replace("_", " ")).join(" or ")}`);
	if (filters.sender) parts.push(`sender ${filters.sender}`);
	if (filters.type) parts.push(`type ${filters.type.toLowerCase()}`);
	if (filters.priority) parts.push(`priority ${filters.priority.toLowerCase()}`);
	if (filters.template) parts.push(`template ${filters.template}`);
	if (filters.category) parts.push(`failure ${filters.category}`);
	if (filters.code !== void 0) parts.push(`code ${filters.code}`);
	if (filters.overdue) parts.push("delivery overdue");
	return parts;
}
/** Converts filters to the query of a link. fromQuery converts it back. */
function toQuery(filters) {
	const query = new URLSearchParams();
	for (const name of [
		"to",
		"user",
		"key",
		"wamid",
		"sender",
		"type",
		"priority",
		"template",
		"category"
	]) {
		const value = filters[name];
		if (value) query.set(name, value);
	}
	if (filters.code !== void 0) query.set("code", String(filters.code));
	if (filters.overdue) query.set("overdue", "1");
	for (const status of filters.status ?? []) query.append("status", status);
	for (const { name, value } of filters.labels ?? []) query.append("label", `${name}=${value}`);
	return query;
}
function fromQuery(query) {
	const filters = {};
	for (const name of [
		"to",
		"user",
		"key",
		"wamid",
		"sender",
		"template",
		"category"
	]) {
		const value = query.get(name);
		if (value) filters[name] = value;
	}
	const type = query.get("type"), priority = query.get("priority"), code = query.get("code");
	if (types.some((t) => t === type)) filters.type = type;
	if (priorities.some((p) => p === priority)) filters.priority = priority;
	if (code && /^\d+$/.test(code)) filters.code = Number(code);
	if (query.get("overdue") === "1") filters.overdue = true;
	const known = query.getAll("status").filter((status) => statuses.some((s) => s === status));
	if (known.length > 0) filters.status = known;
	for (const label of query.getAll("label")) takeLabel(filters, label);
	return filters;
}
// src/ui/search_box.ts
var typed = "";
var focused = false;
var focusSearch = () => {
	const box = document.getElementById("search");
	box.focus();
	box.select();
};
function searchBox() {
	const { invalid, ...filters } = recognize(typed);
	const found = describe$1(filters);
	return h("form", {
		class: "search",
		role: "search",
		onsubmit: (event) => {
			event.preventDefault();
			const box = document.getElementById("search");
			const filters = recognize(box.value);
			if (filters.invalid || describe$1(filters).length === 0) return;
			go(filters.id ? link(["messages", filters.id]) : link(["messages"], toQuery(filters)));
			typed = box.value = "";
			refresh();
		}
	}, h("label", {
		class: "unseen",
		for: "search"
	}, "Search messages"), h("input", {
		id: "search",
		type: "search",
		name: "q",
		placeholder: "Message ID, number, key, wamid, label=value, status",
		autocomplete: "off",
		spellcheck: "false",
		"aria-describedby": "search-hint",
		oninput: (event) => {
			typed = event.target.value;
			refresh();
		},
		onfocus: () => {
			focused = true;
			refresh();
		},
		onblur: () => {
			focused = false;
			refresh();
		},
		onkeydown: (event) => {
			if (event.key === "Escape") event.target.blur();
		}
	}), h("kbd", { "aria-hidden": "true" }, "/"), h("p", {
		id: "search-hint",
		class: focused ? "search-hint" : "unseen",
		role: "status"
	}, invalid ? h("strong", null, invalid) : found.length > 0 ? [
		"Press Enter to search for ",
		h("strong", null, found.join(", ")),
		"."
	] : "Combine terms: failed campaign=spring. Or name the fields: sender:demo code:131026 template:hello key:order-7."));
}
// src/ui/theme.ts
var kept = "theme";
function theme() {
	const value = read$1();
	return value === "light" || value === "dark" ? value : "system";
}
function setTheme(next) {
	try {
		if (next === "system") localStorage.removeItem(kept);
		else localStorage.setItem(kept, next);
	} catch {}
	apply(next);
}
function read$1() {
	try {
		return localStorage.getItem(kept);
	} catch {
		return null;
	}
}
function apply(next) {
	if (next === "system") delete document.documentElement.dataset.theme;
	else document.documentElement.dataset.theme = next;
}
apply(theme());
// src/views/sign_in.ts
var signInCard = () => h("section", {
	id: "sign-in",
	class: "card narrow",
	"aria-labelledby": "sign-in-title"
}, h("h2", { id: "sign-in-title" }, "API key"), quiet("The web UI requires the READ scope. PERSONAL adds phone numbers and content, AUDIT the ledger and the event log, SEND the form ", "for messages, and OPERATE changes to senders, alerts, and dead letters. The key is kept in this tab until you close it. The ADMIN ", "key is in the file admin.key in the server's data directory."), session.wantsLink ? quiet("This is the demo. To sign in, open the link that it printed in the terminal.") : null, h("form", {
	id: "sign-in-form",
	onsubmit: (event) => {
		event.preventDefault();
		const field = event.currentTarget.elements.namedItem("key");
		const key = field.value.trim();
		field.value = "";
		signIn(key);
	}
}, h("div", { class: "field" }, h("label", { for: "key" }, "Key"), h("input", {
	id: "key",
	name: "key",
	type: "password",
	autocomplete: "off",
	spellcheck: "false",
	required: true,
	ref: (node) => node.focus()
})), h("p", {
	id: "sign-in-error",
	class: "error",
	role: "alert"
}, session.fault), h("div", { class: "actions" }, h("button", {
	type: "submit",
	disabled: session.opening
}, session.opening ? "Opening…" : "Open"), state.demo ? button("Use the demo's key", useDemoKey) : null)));
// src/lib/scale.ts
/** Returns about `wanted` round values from 0 to at least top. */
function valueTicks(top, wanted) {
	if (!(top > 0)) return [0, 1];
	const rough = top / wanted;
	const power = 10 ** Math.floor(Math.log10(rough));
	const step = power * ([
		1,
		2,
		2.5,
		5,
		10
	].find((factor) => factor * power >= rough * (1 - 1e-9)) ?? 10);
	return Array.from({ length: Math.ceil(top / step - 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}
var timeSteps = [
	5,
	10,
	15,
	30,
	60,
	120,
	300,
	600,
	900,
	1800,
	3600,
	7200,
	10800,
	21600,
	43200,
	86400,
	172800,
	604800
];
/** Returns at most `wanted` round times in (from, to), in milliseconds. offset is that of the time zone in minutes, as in Date. */
function timeTicks(from, to, wanted, offset) {
	const shift = offset * 6e4;
	const step = 1e3 * (timeSteps.find((s) => (to - from) / (s * 1e3) <= wanted) ?? timeSteps.at(-1));
	const ticks = [];
	for (let t = Math.ceil((from - shift) / step) * step + shift; t <= to; t += step) ticks.push(t);
	return ticks;
}
/** Returns an SVG path through the points. The line is broken where y is null. A single point is a short stroke, so that it is visible. */
function linePath(points) {
	let path = "", drawing = false;
	points.forEach(({ x, y }, i) => {
		if (y === null) {
			drawing = false;
			return;
		}
		const at = `${round(x)} ${round(y)}`;
		if (drawing) path += `L${at}`;
		else path += points[i + 1]?.y == null ? `M${at}h1.5` : `M${at}`;
		drawing = true;
	});
	return path;
}
var round = (n) => Math.round(n * 10) / 10;
/** The available windows, each with a step that results in 60 to 170 points. Steps below a minute are available only for 3 h. */
var windows = [
	{
		id: "5m",
		name: "5 min",
		seconds: 300,
		step: 5
	},
	{
		id: "15m",
		name: "15 min",
		seconds: 900,
		step: 10
	},
	{
		id: "1h",
		name: "1 h",
		seconds: 3600,
		step: 30
	},
	{
		id: "6h",
		name: "6 h",
		seconds: 21600,
		step: 180
	},
	{
		id: "24h",
		name: "24 h",
		seconds: 86400,
		step: 600
	},
	{
		id: "7d",
		name: "7 d",
		seconds: 604800,
		step: 3600
	}
];
/** Returns the bounds of a series with steps at round times: the start of its first step and the end of its last complete one. */
function stepBounds(now, window) {
	const step = window.step * 1e3;
	const to = Math.floor(now / step) * step;
	return {
		from: to - window.seconds * 1e3,
		to
	};
}
// src/ui/plot.ts
var height = 208;
var edge = {
	top: 10,
	right: 10,
	bottom: 24,
	left: 56
};
var Plot = class {
	title;
	width = 640;
	at = null;
	hidden = /* @__PURE__ */ new Set();
	asTable = false;
	constructor(title) {
		this.title = title;
	}
	/** The tools to the right of the heading: the current step, and the button for the table. */
	tools(series) {
		return [h("span", { class: "plot-time" }, series === null ? "" : this.at === null ? "latest" : this.stepName(series, Math.min(this.at, series.steps - 1))), h("button", {
			type: "button",
			class: "plain small",
			"aria-pressed": String(this.asTable),
			onclick: () => {
				this.asTable = !this.asTable;
				refresh();
			}
		}, "Table")];
	}
	render(series) {
		return h("figure", {
			class: "plot",
			"aria-label": this.title
		}, this.legend(series), this.asTable && series ? this.table(series) : this.drawing(series));
	}
	measure = (node) => {
		new ResizeObserver(([entry]) => {
			const width = Math.round(entry.contentRect.width);
			if (width > 0 && width !== this.width) {
				this.width = width;
				refresh();
			}
		}).observe(node);
	};
	legend(series) {
		const at = this.at === null ? null : Math.min(this.at, (series?.steps ?? 1) - 1);
		return h("div", { class: "legend" }, (series?.lines ?? []).map((line) => {
			const shown = !this.hidden.has(line.name);
			const value = line.values[at ?? line.values.length - 1] ?? null;
			return h("button", {
				type: "button",
				key: line.name,
				class: "legend-item",
				"aria-pressed": String(shown),
				title: shown ? `Hide ${line.name}` : `Show ${line.name}`,
				onclick: () => {
					if (shown) this.hidden.add(line.name);
					else this.hidden.delete(line.name);
					refresh();
				}
			}, h("svg", {
				class: "swatch",
				width: 18,
				height: 8,
				"aria-hidden": "true"
			}, h("path", {
				class: `line ${line.look}`,
				d: "M0 4h18"
			})), h("span", null, line.name), h("output", null, value === null ? "–" : series.write(value)));
		}));
	}
	stepName({ from, step }, i) {
		const now = serverNow(), digits = step < 6e4 ? "seconds" : "minutes";
		return `${clock(from + i * step, now, digits)} – ${clock(from + (i + 1) * step, now, digits).slice(-(digits === "seconds" ? 8 : 5))}`;
	}
	drawing(series) {
		const right = this.width - edge.right, bottom = height - edge.bottom;
		const parts = [];
		if (series) {
			const shown = series.lines.filter((line) => !this.hidden.has(line.name));
			const most = Math.max(...shown.flatMap((line) => line.values.map((value) => value ?? 0)), 0);
			const ticks = valueTicks(most > 0 ? most : 1, 4), top = ticks.at(-1);
			const to = series.from + series.steps * series.step;
			const x = (t) => edge.left + (t - series.from) / (to - series.from) * (right - edge.left);
			const y = (v) => bottom - v / top * (bottom - edge.top);
			for (const tick of ticks) parts.push(h("path", {
				key: `y${tick}`,
				class: tick === 0 ? "axis" : "grid",
				d: `M${edge.left} ${Math.round(y(tick)) + .5}H${right}`
			}), h("text", {
				key: `yt${tick}`,
				class: "tick",
				x: edge.left - 8,
				y: Math.round(y(tick)) + 4,
				"text-anchor": "end"
			}, series.write(tick)));
			for (const tick of timeTicks(series.from, to, Math.max(2, Math.floor((right - edge.left) / 90)), new Date(to).getTimezoneOffset())) {
				const at = Math.round(x(tick)) + .5;
				if (at > right - 12) continue;
				parts.push(h("path", {
					key: `x${tick}`,
					class: "axis",
					d: `M${at} ${bottom}v4`
				}), h("text", {
					key: `xt${tick}`,
					class: "tick",
					x: at,
					y: bottom + 17,
					"text-anchor": "middle"
				}, tickName(tick, to - series.from)));
			}
			if (series.bound && series.bound.at <= top) {
				const at = Math.round(y(series.bound.at)) + .5;
				parts.push(h("path", {
					key: "bound",
					class: "bound",
					d: `M${edge.left} ${at}H${right}`
				}), h("text", {
					key: "boundt",
					class: "bound-name",
					x: right,
					y: at - 5,
					"text-anchor": "end"
				}, series.bound.name));
			}
			for (const line of shown) {
				const points = line.values.map((value, i) => ({
					x: x(series.from + (i + .5) * series.step),
					y: value === null ? null : y(value)
				}));
				parts.push(h("path", {
					key: `l${line.name}`,
					class: `line ${line.look}`,
					d: linePath(points)
				}));
			}
			if (this.at !== null) {
				const i = Math.min(this.at, series.steps - 1), at = x(series.from + (i + .5) * series.step);
				parts.push(h("path", {
					key: "cross",
					class: "cross",
					d: `M${at.toFixed(1)} ${edge.top}V${bottom}`
				}));
				for (const line of shown) {
					const value = line.values[i];
					if (value !== null && value !== void 0) parts.push(h("circle", {
						key: `c${line.name}`,
						class: `dot ${line.look}`,
						cx: at.toFixed(1),
						cy: y(value).toFixed(1),
						r: 3.5
					}));
				}
			}
		}
		const move = (event) => {
			if (!series) return;
			const box = event.currentTarget.getBoundingClientRect();
			const i = Math.floor((event.clientX - box.left - edge.left) / (right - edge.left) * series.steps);
			this.read(Math.max(0, Math.min(series.steps - 1, i)));
		};
		return h("div", {
			class: "drawing",
			key: "drawing",
			tabindex: 0,
			role: "group",
			"aria-roledescription": "plot",
			ref: this.measure,
			"aria-label": `${this.title}. ${series?.unit ?? ""}. Use the arrow keys to read its steps.`,
			onpointermove: move,
			onpointerdown: move,
			onpointerleave: () => this.read(null),
			onblur: () => this.read(null),
			onkeydown: (event) => this.key(event, series)
		}, h("svg", {
			width: this.width,
			height,
			viewBox: `0 0 ${this.width} ${height}`,
			"aria-hidden": "true"
		}, parts), h("p", {
			class: "unseen",
			role: "status"
		}, series && this.at !== null ? this.spoken(series) : ""), series ? null : h("p", { class: "quiet centred" }, "Loading…"));
	}
	spoken(series) {
		const i = Math.min(this.at, series.steps - 1);
		return `${this.stepName(series, i)}: ${series.lines.map((line) => `${line.name} ${written$1(series, line, i)}`).join(", ")}`;
	}
	read(i) {
		if (this.at === i) return;
		this.at = i;
		refresh();
	}
	key(event, series) {
		if (!series) return;
		const last = series.steps - 1, at = this.at ?? last + (event.key === "ArrowLeft" ? 1 : 0);
		const next = {
			ArrowLeft: at - 1,
			ArrowRight: at + 1,
			Home: 0,
			End: last,
			PageUp: at - 10,
			PageDown: at + 10
		}[event.key];
		if (next !== void 0) {
			event.preventDefault();
			this.read(Math.max(0, Math.min(last, next)));
		} else if (event.key === "Escape") this.read(null);
	}
	table(series) {
		const rows = [];
		for (let i = series.steps - 1; i >= 0; i--) rows.push(h("tr", { key: series.from + i * series.step }, h("th", { scope: "row" }, this.stepName(series, i)), series.lines.map((line) => h("td", {
			class: "number",
			key: line.name
		}, written$1(series, line, i)))));
		return h("div", {
			class: "scroll",
			key: "table",
			tabindex: 0,
			role: "region",
			"aria-label": `${this.title}, as a table`
		}, h("table", null, h("caption", { class: "unseen" }, `${this.title}, ${series.unit}, newest first`), h("thead", null, h("tr", null, h("th", { scope: "col" }, "Step"), series.lines.map((line) => h("th", {
			scope: "col",
			class: "number",
			key: line.name
		}, line.name)))), h("tbody", null, rows)));
	}
};
function written$1(series, line, i) {
	const value = line.values[i];
	return value === null || value === void 0 ? "–" : series.write(value);
}
function tickName(at, length) {
	const date = new Date(at);
	if (length > 1728e5) return `${date.getMonth() + 1}/${date.getDate()} ${String(date.getHours()).padStart(2, "0")}:00`;
	return clock(at, at, length < 6e5 ? "seconds" : "minutes");
}
// src/views/alert_parts.ts
/** An alert in one line, for lists that link to it. */
var alertLine = (alert) => h("li", { key: alert.id }, chip(words(alert.severity), toneOf(alert.severity)), h("a", { href: "#/alerts" }, alert.summary), h("span", { class: "quiet" }, alert.state === "ACKNOWLEDGED" ? "acknowledged, " : "", "for ", ago(alert.raisedAt)));
// src/views/ledger_figures.ts
var columns$2 = [
	["accepted", "Accepted"],
	["open", "Open"],
	[
		"ambiguous",
		"Ambiguous",
		"warn"
	],
	["sent", "Sent"],
	["delivered", "Delivered"],
	["read", "Read"],
	[
		"failed",
		"Failed",
		"bad"
	],
	[
		"deadLettered",
		"Dead letters",
		"bad"
	],
	["cancelled", "Cancelled"],
	[
		"expired",
		"Expired",
		"warn"
	],
	["discarded", "Discarded"],
	[
		"sentTwice",
		"Sent twice",
		"warn"
	],
	[
		"overdue",
		"Overdue",
		"warn"
	]
];
var ledgerFigures = (books) => h("dl", { class: "figures ledger" }, columns$2.map(([column, name, tone]) => h("div", {
	key: column,
	"data-tone": books && tone && Number(books[column]) > 0 ? tone : null
}, h("dt", null, name), h("dd", null, books ? count(Number(books[column])) : "…"))));
var balanced = (books) => books === null ? chip("…", "wait", { id: "balanced" }) : chip(books.balanced ? "balanced" : "not balanced", books.balanced ? "good" : "bad", { id: "balanced" });
// src/views/queues.ts
var columns$1 = [
	{ name: "Sender" },
	{ name: "Lane" },
	{
		name: "Due",
		title: "Due and not yet accepted",
		class: "number"
	},
	{
		name: "Oldest due",
		class: "number"
	},
	{
		name: "Drain/min",
		title: "Messages that left the queue in the last minute",
		class: "number"
	},
	{
		name: "Empty in",
		title: "Time until the queue is empty at this drain rate",
		class: "number"
	},
	{
		name: "Scheduled",
		title: "Waiting for their sendAt",
		class: "number"
	}
];
/** Returns the time until a queue is empty at its drain rate: never, if messages are due but none leave. */
function emptyIn(sender) {
	const left = seconds(sender.emptyIn);
	if (left !== null) return sender.queueDepth === 0 ? "–" : left < 1 ? "< 1 s" : span(left);
	return sender.queueDepth > 0 ? "never" : "–";
}
function dueTone(age) {
	return age === null || age < 10 ? null : age < 60 ? "warn" : "bad";
}
function due(iso) {
	const age = seconds(iso);
	return age === null ? "–" : h("span", {
		class: "toned",
		"data-tone": dueTone(age)
	}, span(age < 1 ? age : Math.floor(age)));
}
function queuesTable(senders) {
	return table({ class: "stack queues" }, "Queues by sender and lane", columns$1, senders.flatMap((sender) => [h("tr", {
		key: sender.id,
		class: "total"
	}, h("th", { scope: "row" }, h("a", { href: `#/senders/${encodeURIComponent(sender.id)}` }, sender.name), sender.state === "ACTIVE" ? null : [" ", statusChip(sender.state)]), cell("Lane", null, "all"), cell("Due", { class: "number" }, count(sender.queueDepth)), cell("Oldest due", { class: "number" }, due(sender.oldestDueAge)), cell("Drain/min", { class: "number" }, figure(sender.drainPerMinute)), cell("Empty in", { class: "number" }, emptyIn(sender) === "never" ? h("span", {
		class: "toned",
		"data-tone": "bad"
	}, "never") : emptyIn(sender)), cell("Scheduled", { class: "number" }, count(sender.scheduled))), ...sender.lanes.map((lane) => h("tr", {
		key: `${sender.id} ${lane.priority}`,
		class: "lane"
	}, h("td", { class: "skip-cell" }), cell("Lane", null, sentence(laneName(lane.priority)), sender.pausedPriorities.includes(lane.priority) && sender.state !== "PAUSED" ? [" ", chip("paused", "warn")] : null), cell("Due", { class: "number" }, count(lane.depth)), cell("Oldest due", { class: "number" }, due(lane.oldestDueAge)), h("td", { class: "skip-cell" }), h("td", { class: "skip-cell" }), h("td", { class: "skip-cell" })))]));
}
// src/views/series.ts
var unsettledSteps = 2;
var LiveSeries = class {
	loaded = null;
	window;
	senderId;
	end;
	constructor(window, senderId) {
		this.window = window;
		this.senderId = senderId;
		this.end = poll(Math.min(window.step * 500, 15e3), () => this.load());
	}
	stop() {
		this.end();
	}
	async load() {
		const { from, to } = stepBounds(serverNow() - 1500, this.window);
		const step = this.window.step * 1e3;
		if (this.loaded && this.loaded.from > from + step) this.loaded = null;
		const before = this.loaded;
		if (before && before.from + before.points.length * step >= to) return;
		const known = before ? before.from + Math.max(0, before.points.length - unsettledSteps) * step : from;
		const begin = Math.max(from, known);
		const { metricSeries } = await ask(Series, {
			senderId: this.senderId,
			from: new Date(begin).toISOString(),
			to: new Date(to).toISOString(),
			step: duration(this.window.step)
		});
		const kept = before && known >= from ? before.points.slice(Math.max(0, (from - before.from) / step), (known - before.from) / step) : [];
		this.loaded = {
			from,
			step,
			points: [...kept, ...metricSeries.map((point) => point.metrics)]
		};
		refresh();
	}
};
// src/views/overview.ts
var nowSpan = 10;
function overview(route) {
	let window, senderId;
	let live = null, now = null, books = null, rules = [];
	let series = null;
	let ends = [];
	const throughput = new Plot("Throughput"), latency = new Plot("Delivery latency");
	function read(query) {
		window = windows.find(({ id }) => id === query.get("window")) ?? windows[1];
		senderId = figuresOf(query.get("sender"));
	}
	function begin() {
		end();
		[live, now, books] = [
			null,
			null,
			null
		];
		series = new LiveSeries(window, senderId);
		ends.push(follow(window.seconds, window.seconds > 3600 ? 5 : 2, (metrics) => {
			live = metrics;
		}), follow(nowSpan, 1, (metrics) => {
			now = metrics;
		}));
		if (!forbidden(Ledger)) ends.push(poll(2e3, async () => {
			books = (await ask(Ledger, { senderId })).ledger;
			sawServerTime(books.asOf);
			refresh();
		}));
		ends.push(poll(6e4, async () => {
			rules = (await ask(AlertRules, {})).alertRules;
			refresh();
		}));
	}
	function end() {
		series?.stop();
		for (const stop of ends) stop();
		[series, ends] = [null, []];
	}
	/** Follows the metrics while the tab is visible. */
	function follow(length, every, take) {
		let stop = null;
		const turn = () => {
			stop?.();
			stop = document.hidden ? null : connection.subscribe(LiveMetrics, {
				senderId,
				window: duration(length),
				every: duration(every)
			}, {
				refused: report,
				next: ({ metrics }) => {
					sawServerTime(metrics.at);
					take(metrics);
					refresh();
				}
			});
		};
		turn();
		document.addEventListener("visibilitychange", turn);
		return () => {
			document.removeEventListener("visibilitychange", turn);
			stop?.();
		};
	}
	read(route.query);
	begin();
	return {
		title: "Overview",
		stop: end,
		moved: (query) => {
			const before = [window.id, senderId].join();
			read(query);
			if ([window.id, senderId].join() !== before) begin();
		},
		render: () => {
			const shown = state.senders?.filter((sender) => !senderId || sender.id === senderId) ?? [];
			const open = openAlerts().filter((alert) => !senderId || !alert.sender || alert.sender.id === senderId);
			const through = throughputSeries(series?.loaded ?? null), late = latencySeries(series?.loaded ?? null, boundOf(rules, senderId));
			return h("div", { class: "board" }, h("div", {
				class: "filters wide",
				role: "group",
				"aria-label": "Filters"
			}, choose("Sender", senderId ?? "", figureChoices("all senders"), (value) => setQuery({ sender: value }), { id: "sender-filter" }), segments("Window", window.id, windows.map(({ id, name }) => [id, name]), (id) => setQuery({ window: id }))), tiles(now, live, window.name), card("Throughput", { id: "throughput" }, throughput.tools(through), throughput.render(through)), card("Delivery latency", { id: "latency" }, latency.tools(late), latency.render(late)), open.length > 0 ? card(["Open alerts ", chip(count(open.length), "bad")], {
				id: "open-alerts",
				class: "wide"
			}, h("a", { href: "#/alerts" }, "All alerts"), h("ul", { class: "alert-lines" }, open.slice(0, 4).map(alertLine))) : null, card("Errors by type", { id: "errors" }, h("span", { class: "quiet" }, `last ${window.name}`), errors(live)), card("Queues", { id: "queues" }, null, state.senders?.length === 0 ? quiet("No senders yet. ", h("a", { href: "#/senders" }, "Register one"), ".") : queuesTable(shown)), forbidden(Ledger) ? null : card(["Ledger ", balanced(books)], {
				id: "ledger",
				class: "wide"
			}, h("a", { href: "#/ledger" }, "Ledger and log"), ledgerFigures(books)));
		}
	};
}
function boundOf(rules, senderId) {
	const latency = rules.filter((rule) => rule.kind === "DELIVERY_LATENCY" && rule.enabled);
	return latency.find((rule) => rule.senderId === senderId) ?? latency.find((rule) => rule.senderId === null) ?? null;
}
function tile(key, name, value, note, tone = null) {
	return h("div", {
		key,
		class: "tile",
		"data-tone": tone,
		id: `tile-${key}`
	}, h("dt", null, name), h("dd", null, h("strong", null, value), h("span", { title: note }, note)));
}
function tiles(now, live, window) {
	const perSecond = now ? now.sent / nowSpan : null;
	const p95 = seconds(live?.p95DeliveryLatency);
	const due = seconds(now?.oldestDueAge);
	return h("dl", { class: "tiles wide" }, tile("rate", "Sent now", perSecond === null ? "…" : `${figure(perSecond)}/s`, live ? `${figure(live.sentPerMinute)}/min in ${window}` : "…"), tile("delivered", "Delivered", live ? percent(live.deliveryRate) : "…", live ? `${count(live.delivered)} of ${count(live.sent)} sent` : "…"), tile("errors", "Error rate", live ? percent(live.errorRate) : "…", live ? `${count(live.failed + live.deadLettered)} failed or dead` : "…", live?.errorRate && live.errorRate > .02 ? "bad" : null), tile("latency", "Delivery p95", p95 === null ? live ? "–" : "…" : span(p95), live ? `average ${span(seconds(live.averageDeliveryLatency))}` : "…"), tile("queue", "Queue", now ? count(now.queueDepth) : "…", now ? due === null ? "nothing due" : `oldest ${due < 1 ? span(due) : age(due)}` : "…", due !== null && due > 60 ? "bad" : due !== null && due > 10 ? "warn" : null), tile("retried", "Retried", live ? count(live.retried) : "…", live ? `${count(live.throttled)} throttled, ${count(live.ambiguous)} lost` : "…"), tile("dead", "Dead letters", state.deadLetters === null ? "…" : count(state.deadLetters), "await a decision", state.deadLetters ? "bad" : null), tile("behind", "Read model", state.behind === null ? "…" : state.behind < 1 ? "current" : span(state.behind), (state.behind ?? 0) < 1 ? "up to date" : "behind the event log", (state.behind ?? 0) > 5 ? "warn" : null));
}
function throughputSeries(loaded) {
	if (!loaded) return null;
	const { from, step, points } = loaded;
	const perMinute = Math.max(...points.map((point) => Math.max(point.queued, point.sent, point.delivered)), 0) / (step / 1e3) < .5;
	const rate = (pick) => points.map((point) => pick(point) / step * (perMinute ? 6e4 : 1e3));
	return {
		from,
		step,
		steps: points.length,
		unit: perMinute ? "messages per minute" : "messages per second",
		write: (value) => `${figure(value)}${perMinute ? "/min" : "/s"}`,
		lines: [
			{
				name: "queued",
				look: "s-queued",
				values: rate((m) => m.queued)
			},
			{
				name: "sent",
				look: "s-sent",
				values: rate((m) => m.sent)
			},
			{
				name: "delivered",
				look: "s-delivered",
				values: rate((m) => m.delivered)
			},
			{
				name: "failed",
				look: "s-failed",
				values: rate((m) => m.failed)
			},
			{
				name: "dead",
				look: "s-dead",
				values: rate((m) => m.deadLettered)
			}
		]
	};
}
function latencySeries(loaded, rule) {
	if (!loaded) return null;
	const { from, step, points } = loaded;
	const line = (name, look, pick) => ({
		name,
		look,
		values: points.map((point) => seconds(pick(point)))
	});
	return {
		from,
		step,
		steps: points.length,
		unit: "time from the call to the delivery",
		write: (value) => value === 0 ? "0 s" : span(value),
		bound: rule ? {
			at: rule.threshold,
			name: `alert on ${words(rule.statistic)}`
		} : null,
		lines: [
			line("p50", "s-p50", (m) => m.p50DeliveryLatency),
			line("p95", "s-p95", (m) => m.p95DeliveryLatency),
			line("p99", "s-p99", (m) => m.p99DeliveryLatency),
			line("average", "s-average", (m) => m.averageDeliveryLatency)
		]
	};
}
var errorColumns = [
	{ name: "Class" },
	{ name: "Category" },
	{
		name: "Code",
		class: "number"
	},
	{
		name: "Count",
		class: "number"
	},
	{
		name: "Rate",
		title: "Fraction of all calls and statuses",
		class: "number"
	}
];
function errors(live) {
	if (!live) return quiet("Loading…");
	if (live.errorsByType.length === 0) return quiet("No failed calls or statuses.");
	const most = live.errorsByType[0].count;
	return table({ class: "errors" }, "Failed calls and statuses by type", errorColumns, live.errorsByType.slice(0, 12).map((error) => {
		const search = new URLSearchParams({ category: error.category });
		if (error.code !== null) search.set("code", String(error.code));
		return h("tr", { key: `${error.class} ${error.category} ${error.code}` }, h("td", null, chip(words(error.class), toneOf(error.class))), h("td", null, h("a", {
			href: `#/messages?${search}`,
			title: "Messages whose last failure is of this type"
		}, words(error.category))), h("td", { class: "number" }, error.code ?? "–"), cell("Count", { class: "number" }, h("span", { class: "bar-cell" }, h("span", {
			class: "bar-fill",
			"aria-hidden": "true",
			style: { width: `${Math.max(2, error.count / most * 100)}%` }
		}), count(error.count))), h("td", { class: "number" }, percent(error.rate)));
	}));
}
// src/views/actions.ts
/** Counts the selected messages with a dry run on the server, and asks for confirmation. */
function bulk({ title, verb, says, button, danger, reason, none, count: dryRun, run }, what, ended) {
	let selected = null, fault = "";
	dryRun().then((progress) => {
		selected = progress.selected;
	}, (error) => {
		fault = error.message;
	}).finally(refresh);
	openDialog({
		title,
		danger,
		label: () => selected === null || selected === 0 ? null : button(selected),
		body: () => [
			h("p", { id: "dry-run" }, fault ? h("span", { class: "error" }, fault) : selected === null ? "Counting…" : selected === 0 ? none : says(selected)),
			quiet(what),
			reason ? field("Reason", h("input", {
				name: "reason",
				required: true,
				maxlength: 500,
				autocomplete: "off",
				placeholder: "Recorded in the history"
			})) : null
		],
		run: async (values) => {
			watch(verb, await run(values.reason ?? ""), ended);
		}
	});
}
var noDeadLetter = "No dead letters match the selection.";
function requeueDeadLetters(input, what, ended) {
	const send = (dryRun) => ask(Requeue, {
		input,
		dryRun
	}).then((data) => data.requeueDeadLetters);
	bulk({
		title: "Requeue dead letters",
		verb: "Requeueing",
		danger: false,
		reason: false,
		none: noDeadLetter,
		says: (n) => `${plural(n, "message")} will be sent again, each with a new retry budget.`,
		button: (n) => `Requeue ${count(n)}`,
		count: () => send(true),
		run: () => send(false)
	}, what, ended);
}
function discardDeadLetters(input, what, ended) {
	const send = (dryRun, reason) => ask(Discard, {
		input,
		reason,
		dryRun
	}).then((data) => data.discardDeadLetters);
	bulk({
		title: "Discard dead letters",
		verb: "Discarding",
		danger: true,
		reason: true,
		none: noDeadLetter,
		says: (n) => `${plural(n, "message")} will be permanently discarded. Their history remains.`,
		button: (n) => `Discard ${count(n)}`,
		count: () => send(true, "count"),
		run: (reason) => send(false, reason)
	}, what, ended);
}
/** Cancels all waiting messages that match a filter. */
function cancelMessages(filter, what, ended) {
	const send = (dryRun, reason) => ask(CancelMany, {
		input: { filter },
		reason,
		dryRun
	}).then((data) => data.cancelMessages);
	bulk({
		title: "Cancel messages",
		verb: "Cancelling",
		danger: true,
		reason: true,
		none: "No waiting messages match the filter.",
		says: (n) => `${plural(n, "waiting message")} will be cancelled.`,
		button: (n) => `Cancel ${count(n)}`,
		count: () => send(true, "count"),
		run: (reason) => send(false, reason)
	}, what ? `All messages with ${what}.` : "All messages.", ended);
}
function cancelMessage(id, ended) {
	openDialog({
		title: "Cancel message",
		danger: true,
		label: () => "Cancel message",
		body: () => [h("p", null, "The message will not be sent. After a call to WhatsApp has started, it can no longer be cancelled."), field("Reason", h("input", {
			name: "reason",
			maxlength: 500,
			autocomplete: "off"
		}), "Optional. Recorded in the message's history.")],
		run: async (values) => {
			await ask(Cancel, {
				id,
				reason: values.reason ?? null
			});
			note("Message cancelled.");
			ended();
		}
	});
}
// src/views/messages.ts
var pageSize$3 = 50;
var rowLimit = 40;
var rowsPerSecond = 3;
var troubledPerSecond = 2;
var busy = 400;
var busyEvery = 2e3;
var listEvery = 4e3;
var countEvery = 1e4;
var busyRounds = 15;
var troubled = [
	"RETRYING",
	"AMBIGUOUS",
	"FAILED",
	"DEAD_LETTERED",
	"EXPIRED"
];
function messages(route) {
	let filters, feed = null, page = null;
	function begin(query) {
		end();
		filters = fromQuery(query);
		if (Object.keys(filters).every((name) => name === "sender" || name === "status") && !query.has("page")) feed = new Feed(filters);
		else page = new Pages(filters);
	}
	function end() {
		feed?.stop();
		page?.stop();
		[feed, page] = [null, null];
	}
	begin(route.query);
	return {
		title: "Messages",
		stop: end,
		moved: begin,
		render: () => h("div", { class: "board" }, filterBar(filters, feed !== null), feed ? feed.render() : page.render())
	};
}
function messageFilter(filters) {
	return {
		senderId: filters.sender ?? null,
		status: filters.status ?? null,
		to: filters.to ?? null,
		toUserId: filters.user ?? null,
		idempotencyKey: filters.key ?? null,
		whatsappId: filters.wamid ?? null,
		labels: filters.labels ?? null,
		type: filters.type ?? null,
		priority: filters.priority ?? null,
		template: filters.template ?? null,
		errorCategory: filters.category ?? null,
		errorCode: filters.code ?? null,
		overdue: filters.overdue ?? null
	};
}
function filterBar(filters, live) {
	const change = (next) => go(link(["messages"], withPage(toQuery(next), !live)));
	const status = filters.status?.length === troubled.length && troubled.every((s) => filters.status.includes(s)) ? "trouble" : filters.overdue ? "overdue" : filters.status?.[0] ?? "";
	const rest = { ...filters };
	if (filters.overdue) delete rest.overdue;
	for (const name of [
		"status",
		"sender",
		"type",
		"priority"
	]) delete rest[name];
	const parts = describe$1(rest);
	const set = (name, value) => {
		const next = { ...filters };
		if (value) next[name] = value;
		else delete next[name];
		change(next);
	};
	return h("div", {
		class: "filters wide",
		role: "group",
		"aria-label": "Filters"
	}, choose("Status", status, [
		["", "all"],
		["trouble", "in trouble"],
		["overdue", "overdue"],
		...statuses.map((s) => [s, words(s)])
	], (value) => {
		const next = { ...filters };
		delete next.overdue;
		if (value === "overdue") next.overdue = true;
		if (value === "trouble") next.status = [...troubled];
		else if (value && value !== "overdue") next.status = [value];
		else delete next.status;
		change(next);
	}, { id: "status-filter" }), choose("Sender", filters.sender ?? "", senderChoices("all"), (value) => set("sender", value)), choose("Type", filters.type ?? "", [["", "all"], ...types.map((t) => [t, words(t)])], (value) => set("type", value)), choose("Lane", filters.priority ?? "", [["", "all"], ...priorities.map((p) => [p, laneName(p)])], (value) => set("priority", value)), parts.length > 0 ? h("p", { class: "searched" }, "Filtered by ", h("strong", null, parts.join(", "))) : null, Object.keys(filters).length > 0 ? h("a", {
		class: "clear",
		href: "#/messages"
	}, "Clear all") : null);
}
function withPage(query, listed) {
	if (listed && [...query.keys()].every((name) => name === "sender" || name === "status")) query.set("page", "1");
	return query;
}
var columns = [
	{ name: "ID" },
	{ name: "To" },
	{
		name: "Sender",
		class: "extra"
	},
	{
		name: "Type",
		class: "extra"
	},
	{
		name: "Lane",
		class: "extra"
	},
	{ name: "Status" },
	{
		name: "Why",
		class: "extra"
	},
	{
		name: "Att.",
		title: "Attempts",
		class: "number"
	},
	{
		name: "Age",
		class: "number"
	}
];
var messageTable = (rows) => table({
	class: "messages",
	id: "messages"
}, "Messages, newest first", columns, rows.map((message) => h("tr", { key: message.id }, h("td", null, h("a", {
	class: "mono",
	href: link(["messages", message.id]),
	title: message.id,
	"aria-label": `Message ${message.id}`
}, shortId(message.id))), h("td", { class: "mono" }, message.to ?? message.toUserId ?? "erased"), h("td", { class: "extra" }, message.sender.id), h("td", { class: "extra" }, words(message.type)), h("td", { class: "extra" }, laneName(message.priority)), cell("Status", null, statusChip(message.status)), h("td", { class: "extra quiet" }, message.overdueSince ? chip("overdue", "warn") : message.failure ? `${words(message.failure.category)}${message.failure.code === null ? "" : ` ${message.failure.code}`}` : ""), h("td", { class: "number" }, message.attempts), h("td", { class: "number" }, age(since(message.queuedAt) / 1e3)))));
/** The newest messages, updated live. */
var Feed = class {
	rows = /* @__PURE__ */ new Map();
	note = "Loading…";
	holding = false;
	stopped = false;
	unfollow = () => {};
	timer;
	passedBy = -Infinity;
	second = {
		at: 0,
		seen: 0,
		plain: 0,
		troubled: 0
	};
	filters;
	untick = everySecond();
	constructor(filters) {
		this.filters = filters;
		document.addEventListener("visibilitychange", this.turn);
		this.start();
	}
	stop() {
		this.stopped = true;
		this.untick();
		clearTimeout(this.timer);
		this.unfollow();
		document.removeEventListener("visibilitychange", this.turn);
	}
	turn = () => {
		if (document.hidden) this.unfollow();
		else if (!this.holding) this.start();
	};
	/** Loads the position of the lists, then the newest messages, and follows the event log from that position, so that no change is missed. */
	async start(asking = 0) {
		clearTimeout(this.timer);
		this.unfollow();
		this.unfollow = () => {};
		try {
			const { readModel: { position } } = await ask(Position, {});
			const { messages: { edges } } = await ask(Messages, {
				filter: messageFilter(this.filters),
				first: rowLimit
			});
			if (this.stopped || this.holding) return;
			this.rows = new Map(edges.toReversed().map(({ node }) => [node.id, node]));
			this.note = "";
			refresh();
			if (asking > 0) {
				this.timer = setTimeout(() => void this.start(asking - 1), busyEvery);
				return;
			}
			this.unfollow = connection.subscribe(MessageUpdates, {
				senderId: this.filters.sender ?? null,
				after: position
			}, {
				cursor: (data) => data.messageUpdates.cursor,
				gone: () => void this.start(),
				next: ({ messageUpdates: { at, message } }) => {
					sawServerTime(at);
					this.take(message);
				}
			});
		} catch (error) {
			if (this.stopped) return;
			report(error);
			this.note = "Could not load the messages. Retrying.";
			this.timer = setTimeout(() => void this.start(), 2e3);
		}
	}
	take(message) {
		const now = Math.floor(Date.now() / 1e3);
		if (this.second.at !== now) this.second = {
			at: now,
			seen: 0,
			plain: 0,
			troubled: 0
		};
		if (++this.second.seen > busy) {
			this.start(busyRounds);
			return;
		}
		const { status } = this.filters;
		const fits = !status || status.includes(message.status);
		if (this.rows.has(message.id)) this.rows.set(message.id, message);
		else if (fits && this.sampled(message)) {
			this.rows.set(message.id, message);
			if (this.rows.size > rowLimit) this.rows.delete(this.rows.keys().next().value);
		} else if (fits && message.status === "QUEUED") {
			this.passedBy = Date.now();
			return;
		} else return;
		refresh();
	}
	sampled(message) {
		if (this.filters.status) return this.second.plain++ < 6;
		return troubled.includes(message.status) ? this.second.troubled++ < troubledPerSecond : this.second.plain++ < rowsPerSecond;
	}
	hold() {
		this.holding = !this.holding;
		clearTimeout(this.timer);
		if (this.holding) this.unfollow();
		else this.start();
		refresh();
	}
	render() {
		const rows = [...this.rows.values()].reverse();
		const sample = Date.now() - this.passedBy < 5e3;
		return card(["Messages ", this.holding ? chip("paused", "warn") : chip("live", "good")], {
			id: "live-messages",
			class: "wide"
		}, [button(this.holding ? "Resume" : "Pause", () => this.hold(), {
			id: "hold",
			"aria-pressed": String(this.holding)
		}), h("a", {
			class: "plain button",
			href: link(["messages"], withPage(toQuery(this.filters), true))
		}, "List all")], messageTable(rows), quiet(this.note || (this.holding ? "Paused." : rows.length === 0 ? this.filters.status ? "No messages with this status." : "No messages yet." : sample ? "A sample of a few new messages per second, so that you can follow them. The overview counts all messages." : "\xA0")));
	}
};
/** The results of a search, page by page. The current page is polled, so that it shows the progress of its messages. */
var Pages = class {
	rows = null;
	counts = null;
	cursors = [null];
	next = null;
	fault = "";
	filters;
	round = 0;
	ends = [];
	abort = new AbortController();
	constructor(filters) {
		this.filters = filters;
		this.reload();
	}
	reload() {
		for (const end of this.ends) end();
		this.ends = [poll(listEvery, () => this.load()), poll(countEvery, () => this.count())];
	}
	stop() {
		for (const end of this.ends) end();
		this.abort.abort();
	}
	async count() {
		this.counts = (await ask(MessageCounts, { filter: messageFilter(this.filters) }, this.abort.signal)).messageCounts;
		refresh();
	}
	async load() {
		const mine = ++this.round;
		try {
			const { messages: { edges, pageInfo } } = await ask(Messages, {
				filter: messageFilter(this.filters),
				first: pageSize$3,
				after: this.cursors.at(-1) ?? null
			}, this.abort.signal);
			if (mine !== this.round) return;
			this.rows = edges.map(({ node }) => node);
			this.next = pageInfo.hasNextPage ? pageInfo.endCursor : null;
			this.fault = "";
		} catch (error) {
			if (this.abort.signal.aborted || mine !== this.round) return;
			if (error instanceof ServerAway) report(error);
			else this.fault = messageOf(error);
		}
		refresh();
	}
	render() {
		const total = this.counts?.reduce((sum, { count: n }) => sum + n, 0);
		const newer = () => {
			this.cursors.pop();
			this.load();
		};
		const older = () => {
			this.cursors.push(this.next);
			this.load();
		};
		const summary = this.counts === null ? "…" : this.counts.map(({ status, count: n }) => h("a", {
			key: status,
			class: "count-link",
			href: link(["messages"], withPage(toQuery({
				...this.filters,
				status: [status]
			}), true))
		}, statusChip(status), ` ${count(n)}`));
		const waiting = this.counts?.some(({ status }) => status === "QUEUED" || status === "RETRYING") && !forbidden(CancelMany);
		return card(["Messages ", total === void 0 ? null : h("span", {
			class: "quiet",
			id: "found"
		}, plural(total, "message"))], {
			id: "found-messages",
			class: "wide"
		}, [waiting ? button("Cancel waiting messages…", () => cancelMessages(messageFilter(this.filters), describe$1(this.filters).join(", "), () => this.reload()), { id: "cancel-many" }) : null, h("a", {
			class: "plain button",
			href: link(["messages"])
		}, "Live")], h("div", { class: "counts" }, summary), this.fault ? h("p", {
			class: "error",
			role: "alert"
		}, this.fault) : null, this.rows === null ? quiet(this.fault ? "" : "Loading…") : this.rows.length === 0 ? quiet("No messages found.") : messageTable(this.rows), h("div", { class: "pager" }, button("Newer", newer, { disabled: this.cursors.length <= 1 }), h("span", { class: "quiet" }, `Page ${this.cursors.length}`), button("Older", older, {
			disabled: this.next === null,
			id: "older"
		}), h("span", { class: "quiet" }, "Updates automatically.")));
	}
};
// src/views/message.ts
function message(route) {
	const id = route.path[1];
	let shown, fault = "", stop = () => {}, stopped = false;
	let again;
	const untick = everySecond();
	async function load() {
		clearTimeout(again);
		again = void 0;
		try {
			const { message: found } = await ask(OneMessage, {
				id,
				audit: may("AUDIT")
			});
			if (stopped) return;
			const first = shown === void 0;
			[shown, fault] = [found, ""];
			if (first && found) follow(found.cursor);
		} catch (error) {
			if (stopped) return;
			fault = messageOf(error);
			if (shown === void 0) again = setTimeout(load, 3e3);
			if (!error.code) report(error);
		}
		refresh();
	}
	/** Reloads the message when it changes. Changes in quick succession cause one reload. */
	function follow(after) {
		stop = connection.subscribe(OneMessageUpdates, {
			id,
			after
		}, {
			cursor: (data) => data.messageUpdates.cursor,
			gone: () => void load(),
			next: ({ messageUpdates: { at } }) => {
				sawServerTime(at);
				again ??= setTimeout(load, 150);
			}
		});
	}
	load();
	return {
		title: "Message",
		stop: () => {
			stopped = true;
			clearTimeout(again);
			untick();
			stop();
		},
		render: () => {
			if (!shown) return h("section", { class: "card narrow" }, h("h2", null, "Message"), h("p", { class: "mono" }, id), h("p", {
				role: "status",
				class: fault ? "error" : ""
			}, fault || (shown === null ? "There is no message with this ID." : "Loading…")), shown === null ? quiet("It may be an idempotency key: ", h("a", { href: `#/messages?key=${encodeURIComponent(id)}` }, "search for it"), ".") : null);
			return page(shown, () => void load());
		}
	};
}
function page(m, changed) {
	return h("div", {
		class: "board",
		id: "message"
	}, h("div", { class: "page-head wide" }, h("h2", null, "Message ", mono(m.id)), statusChip(m.status), h("div", { class: "tools" }, actions$1(m, changed))), m.failure && ![
		"SENT",
		"DELIVERED",
		"READ"
	].includes(m.status) ? failureCard(m) : null, card("Facts", { id: "facts" }, null, facts([
		["To", recipient(m)],
		["Sender", h("a", { href: `#/senders/${encodeURIComponent(m.sender.id)}` }, m.sender.name)],
		["Type", `${words(m.type)}, ${laneName(m.priority)} lane`],
		["Attempts", `${count(m.attempts)}, in ${plural(m.calls, "call")}`],
		["Reason", m.statusReason],
		["Sent twice", m.sentTwice ? chip("yes, after a lost response", "warn") : null],
		["Held by WhatsApp", m.heldForQuality ? chip("yes, while it assesses the template's quality", "warn") : null],
		["Queued", time(m.queuedAt)],
		["Send at", m.sendAt && time(m.sendAt)],
		["Expires", m.expiresAt && time(m.expiresAt)],
		["Next attempt", m.retryAt && [time(m.retryAt), ` (in ${span(Math.max(0, Math.ceil((Date.parse(m.retryAt) - serverNow()) / 1e3)))})`]],
		["Sent", m.sentAt && time(m.sentAt)],
		["Overdue since", m.overdueSince && [
			chip("overdue", "warn"),
			" ",
			time(m.overdueSince)
		]],
		["Delivered", m.deliveredAt && time(m.deliveredAt, "seconds")],
		["Read", m.readAt && time(m.readAt, "seconds")],
		["If a response is lost", m.onAmbiguous === "RESEND" ? "send again" : "make it a dead letter"],
		["Idempotency key", m.idempotencyKey && mono(m.idempotencyKey)],
		["WhatsApp ID", m.whatsappId && mono(m.whatsappId)],
		["Reply to", m.replyTo && mono(m.replyTo)],
		["Labels", m.labels.length > 0 ? m.labels.map(({ name, value }) => !may("PERSONAL") ? h("span", {
			key: name,
			class: "label"
		}, `${name} = ${value}`) : h("a", {
			key: name,
			class: "label",
			href: `#/messages?label=${encodeURIComponent(`${name}=${value}`)}`
		}, `${name} = ${value}`)) : null],
		["Erased", m.erasedAt && time(m.erasedAt)]
	])), card("Content", { id: "content" }, null, m.content !== null ? h("pre", {
		tabindex: 0,
		"aria-label": "Content"
	}, JSON.stringify(m.content, null, 2)) : quiet(m.erasedAt ? "Erased." : may("PERSONAL") ? "None." : "The content requires a key with the scope PERSONAL.")), card("Timeline", {
		id: "timeline",
		class: "wide"
	}, m.history ? null : quiet("Calls only. The recorded events require a key with the scope AUDIT."), timeline(m)), card("Attempts", {
		id: "attempts",
		class: "wide"
	}, null, attempts(m)));
}
/** The recipient, as a link to their messages. A masked one is no link, because a search would find nothing. */
function recipient(m) {
	const shown = m.to ?? m.toUserId;
	if (shown === null) return "erased";
	return may("PERSONAL") ? h("a", {
		class: "mono",
		href: `#/messages?${m.to === null ? "user" : "to"}=${encodeURIComponent(shown)}`
	}, shown) : mono(shown);
}
function actions$1(m, changed) {
	const shown = [], reasons = /* @__PURE__ */ new Set();
	const offer = (operation, made) => {
		const reason = forbidden(operation, "Changing the message");
		if (reason) reasons.add(reason);
		else shown.push(made);
	};
	if (m.status === "QUEUED" || m.status === "RETRYING") offer(Cancel, button("Cancel…", () => cancelMessage(m.id, changed), { id: "cancel" }));
	if (m.status === "DEAD_LETTERED") {
		offer(Requeue, button("Requeue…", () => requeueDeadLetters({ ids: [m.id] }, `Message ${m.id}`, changed), { id: "requeue" }));
		offer(Discard, button("Discard…", () => discardDeadLetters({ ids: [m.id] }, `Message ${m.id}`, changed), { id: "discard" }));
	}
	return [...shown, [...reasons].map((reason) => quiet(reason))];
}
function failureCard(m) {
	const f = m.failure;
	return card(["Failure ", chip(words(f.class), "bad")], {
		id: "failure",
		class: "wide"
	}, null, h("p", null, h("strong", null, f.message)), h("p", { class: "advice" }, f.advice), f.details ? quiet(f.details) : null, facts([
		["Category", h("a", { href: `#/messages?category=${encodeURIComponent(f.category)}` }, words(f.category))],
		["Code", f.code === null ? null : String(f.code)],
		["HTTP status", f.httpStatus === null ? null : String(f.httpStatus)],
		["Meta's trace ID", f.fbtraceId && mono(f.fbtraceId)],
		["At", time(f.at)]
	]));
}
/** Describes a failure in one line. */
function explain(f) {
	const source = [
		f.code === null ? null : `code ${f.code}`,
		f.httpStatus === null ? null : `HTTP ${f.httpStatus}`,
		words(f.category),
		words(f.class)
	];
	return `${f.message} (${source.filter(Boolean).join(", ")})${f.details ? ` ${f.details}` : ""}`;
}
var eventTones = {
	Queued: "wait",
	SendAttempted: "move",
	Sent: "move",
	Confirmed: "move",
	Delivered: "good",
	Read: "good",
	Failed: "bad",
	DeadLettered: "bad",
	OutcomeUnknown: "warn",
	RetryScheduled: "warn",
	Deferred: "warn",
	Requeued: "move",
	Discarded: "wait",
	Cancelled: "wait",
	Expired: "warn",
	DeliveryOverdue: "warn"
};
var spaced = (name) => sentence(name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase());
function byEvents(events) {
	return events.map((event, i) => {
		const before = events[i - 1];
		const passed = before ? Date.parse(event.recordedAt) - Date.parse(before.recordedAt) : null;
		const by = event.by.kind === "PLATFORM" ? event.by.id : event.by.kind === "WEBHOOK" ? "webhook" : `${words(event.by.kind)} ${event.by.name ?? event.by.id}`;
		return {
			key: event.id,
			at: event.recordedAt,
			tone: eventTones[event.type] ?? "wait",
			data: event.data,
			text: [h("strong", null, spaced(event.type)), h("span", { class: "quiet" }, ` by ${by}`, event.by.onBehalfOf ? ` for ${event.by.onBehalfOf}` : "", passed === null ? "" : `, ${span(passed / 1e3)} later`, event.occurredAt ? [", at WhatsApp ", time(event.occurredAt, "seconds")] : null)],
			detail: gist(event)
		};
	});
}
/** Returns the most important data of an event in one line. */
function gist({ data }) {
	if (typeof data !== "object" || data === null) return "";
	const record = data, failure = record.failure;
	const parts = [];
	if (typeof record.call === "number") parts.push(`call ${record.call}`);
	if (typeof record.attempt === "number") parts.push(`attempt ${record.attempt}`);
	if (typeof record.reason === "string") parts.push(record.reason);
	if (failure && typeof failure.message === "string") parts.push(failure.message);
	return parts.join(", ");
}
var outcomes = {
	UNDER_WAY: ["in flight", "move"],
	ACCEPTED: ["accepted", "good"],
	FAILED: ["failed", "bad"],
	DEFERRED: ["deferred", "warn"],
	UNKNOWN: ["response lost", "warn"]
};
function byCalls(m) {
	const entries = [{
		key: "queued",
		at: m.queuedAt,
		tone: "wait",
		text: h("strong", null, "Queued")
	}];
	const add = (at, tone, text, detail) => {
		if (at) entries.push({
			key: `${text} ${at}`,
			at,
			tone,
			text: h("strong", null, text),
			detail
		});
	};
	for (const attempt of m.attemptLog) {
		const [outcome, tone] = outcomes[attempt.outcome];
		add(attempt.startedAt, tone, `Call ${attempt.call}: ${outcome}`, attempt.failure ? explain(attempt.failure) : "");
	}
	add(m.deliveredAt, "good", "Delivered");
	add(m.readAt, "good", "Read");
	if (m.status === "FAILED" || m.status === "DEAD_LETTERED") add(m.failure?.at ?? null, "bad", m.status === "FAILED" ? "Failed permanently" : "Dead letter", m.failure?.advice);
	return entries.sort((a, b) => Math.floor(Date.parse(a.at) / 1e3) - Math.floor(Date.parse(b.at) / 1e3));
}
function timeline(m) {
	const entries = m.history ? byEvents(m.history.edges.map(({ node }) => node)) : byCalls(m);
	if (m.status === "RETRYING" && m.retryAt) entries.push({
		key: "next",
		at: m.retryAt,
		tone: "warn",
		text: "Next attempt"
	});
	if (m.status === "QUEUED" && m.sendAt) entries.push({
		key: "next",
		at: m.sendAt,
		tone: "wait",
		text: "Scheduled to be sent"
	});
	return [h("ol", {
		class: "timeline",
		"aria-label": "Timeline"
	}, entries.map(({ key, at, tone, text, detail, data }) => h("li", {
		key,
		"data-tone": tone
	}, time(at), h("div", null, h("p", null, text, detail ? h("span", { class: "quiet" }, detail) : null), data !== void 0 && data !== null ? h("details", null, h("summary", { class: "quiet" }, "Recorded data"), h("pre", { tabindex: 0 }, JSON.stringify(data, null, 2))) : null)))), m.history?.pageInfo.hasNextPage ? quiet("These are the first 200 events. ", h("a", { href: `#/ledger?message=${m.id}` }, "Show all in the event log"), ".") : null];
}
var attemptColumns = [
	{
		name: "Call",
		class: "number"
	},
	{ name: "Began" },
	{
		name: "Took",
		class: "number"
	},
	{ name: "Outcome" },
	{ name: "Failure" },
	{
		name: "Settled by",
		class: "extra"
	}
];
function attempts(m) {
	if (m.attemptLog.length === 0) return quiet("No calls yet.");
	return table({ class: "attempts" }, "Calls to WhatsApp", attemptColumns, m.attemptLog.map((attempt) => {
		const [outcome, tone] = outcomes[attempt.outcome];
		return h("tr", { key: attempt.call }, h("td", { class: "number" }, attempt.call), h("td", null, time(attempt.startedAt)), h("td", { class: "number" }, attempt.endedAt ? span((Date.parse(attempt.endedAt) - Date.parse(attempt.startedAt)) / 1e3) : "–"), h("td", null, chip(outcome, tone)), h("td", { class: "wrap" }, attempt.failure ? explain(attempt.failure) : ""), h("td", { class: "extra" }, attempt.settledBy ? words(attempt.settledBy) : ""));
	}));
}
// src/views/dead_letters.ts
var pageSize$2 = 50;
var every = 3e3;
/** Converts the texts of the filters to a filter, or says which of them has no meaning. */
function understand({ sender, category, code, label }) {
	const [name, ...value] = label.split("=");
	const filter = {
		...sender ? { senderId: sender } : {},
		...category ? { category } : {},
		...code ? { code: Number(code) } : {},
		...label ? { label: {
			name: name.trim(),
			value: value.join("=").trim()
		} } : {}
	};
	return {
		filter,
		invalid: code && !/^\d+$/.test(code) ? `“${code}” is not an error code. Enter a number such as 131000.` : label && (!filter.label.name || value.length === 0) ? `“${label}” is not a label. Enter name=value.` : ""
	};
}
/** Describes a filter, for the count and for what a decision is about. */
var describe = ({ senderId, category, code, label }) => [
	senderId && `sender ${senderId}`,
	category && words(category),
	code !== void 0 && `code ${code}`,
	label && `label ${label.name}=${label.value}`
].filter(Boolean).join(", ");
function deadLetters(route) {
	let sender = "", category = "", code = "", label = "";
	let page = null, cursors = [null], fault = "";
	let all = false;
	const ticked = /* @__PURE__ */ new Set();
	let stop = () => {};
	let round = 0;
	function read(query) {
		[sender, category, code, label] = [
			"sender",
			"category",
			"code",
			"label"
		].map((name) => query.get(name) ?? "");
		[page, cursors, all] = [
			null,
			[null],
			false
		];
		ticked.clear();
		stop();
		stop = poll(every, load);
	}
	async function load() {
		const mine = ++round;
		const { filter, invalid } = understand({
			sender,
			category,
			code,
			label
		});
		if (invalid) {
			[page, fault] = [null, invalid];
			refresh();
			return;
		}
		try {
			const answer = await ask(DeadLetters, {
				filter,
				first: pageSize$2,
				after: cursors.at(-1) ?? null
			});
			if (mine !== round) return;
			page = answer.deadLetters;
			fault = "";
			refresh();
		} catch (error) {
			if (mine === round) fault = messageOf(error);
			throw error;
		}
	}
	const turn = (to) => {
		cursors = to;
		load().catch(() => refresh());
	};
	const changed = () => {
		ticked.clear();
		all = false;
		load().catch(() => {});
		pulse().catch(() => {});
	};
	read(route.query);
	return {
		title: "Dead letters",
		stop: () => stop(),
		moved: read,
		render
	};
	function render() {
		const { filter, invalid } = understand({
			sender,
			category,
			code,
			label
		});
		const described = describe(filter);
		return h("div", { class: "board" }, h("div", {
			class: "filters wide",
			role: "group",
			"aria-label": "Filters"
		}, choose("Sender", sender, senderChoices("all"), (value) => setQuery({ sender: value })), input("Code", code, "131000", "numeric", (value) => setQuery({ code: value })), input("Label", label, "name=value", "text", (value) => setQuery({ label: value })), described || invalid ? h("a", {
			class: "clear",
			href: "#/dead-letters"
		}, "Clear all") : null), card(["Dead letters ", page ? h("span", {
			class: "quiet",
			id: "dead-count"
		}, described ? `${count(page.totalCount)} with ${described}` : count(page.totalCount)) : null], {
			id: "dead-letters",
			class: "wide"
		}, null, categories(), fault ? h("p", {
			class: "error",
			role: "alert"
		}, fault) : null, invalid ? null : page === null ? quiet("Loading…") : page.edges.length === 0 ? empty(described) : [
			selection(page, filter),
			rows(page),
			pager(page)
		]));
	}
	function input(name, value, placeholder, mode, onchange) {
		return h("label", {
			class: "choose",
			key: name
		}, h("span", null, name), h("input", {
			value,
			placeholder,
			inputmode: mode,
			size: 12,
			autocomplete: "off",
			onchange: (event) => onchange(held(event))
		}));
	}
	function empty(described) {
		return h("div", { class: "nothing" }, described ? quiet(`No dead letters with ${described}.`) : [h("p", null, "No dead letters await a decision."), quiet("A message becomes a dead letter when its attempts are used up, or when a response was lost and the message must not be sent twice.")]);
	}
	function categories() {
		const found = page?.byCategory ?? [];
		if (found.length === 0 && !category) return null;
		return h("div", {
			class: "counts",
			role: "group",
			"aria-label": "By category"
		}, category ? button("All categories", () => setQuery({ category: null }), { class: "plain small" }) : null, found.map(({ category: name, count: n }) => h("button", {
			type: "button",
			key: name,
			class: "count-link",
			"aria-pressed": String(category === name),
			onclick: () => setQuery({ category: category === name ? null : name })
		}, words(name), h("strong", null, count(n)))));
	}
	function selection({ totalCount, edges }, filter) {
		const chosen = all ? totalCount : ticked.size, described = describe(filter);
		const input = all ? { filter } : { ids: [...ticked] };
		const what = all ? described ? `All dead letters with ${described}.` : "All dead letters." : "The selected dead letters.";
		const reason = forbidden(Requeue, "Requeueing") ?? forbidden(Discard, "Discarding");
		const shown = edges.map(({ node }) => node.message.id);
		return h("div", { class: "selection" }, reason ? quiet(reason) : [
			button("Requeue…", () => requeueDeadLetters(input, what, changed), {
				class: "",
				disabled: chosen === 0,
				id: "requeue"
			}),
			button("Discard…", () => discardDeadLetters(input, what, changed), {
				disabled: chosen === 0,
				id: "discard"
			}),
			h("span", { role: "status" }, chosen === 0 ? "None selected." : all ? `All ${count(chosen)} that match the filter are selected.` : `${count(chosen)} selected.`),
			all || totalCount <= shown.length && ticked.size === totalCount ? null : button(`Select all ${count(totalCount)}${described ? " that match the filter" : ""}`, () => {
				all = true;
				ticked.clear();
				refresh();
			}, {
				class: "plain small",
				id: "select-all"
			}),
			chosen > 0 ? button("Select none", () => {
				all = false;
				ticked.clear();
				refresh();
			}, { class: "plain small" }) : null
		]);
	}
	function rows({ edges }) {
		const ids = edges.map(({ node }) => node.message.id);
		const some = !all && ids.some((id) => ticked.has(id)), every = all || ids.every((id) => ticked.has(id));
		const allowed = !forbidden(Requeue);
		const tick = (id, on) => {
			if (all) {
				all = false;
				for (const other of ids) ticked.add(other);
			}
			if (on) ticked.add(id);
			else ticked.delete(id);
			refresh();
		};
		return h("table", { class: "stack dead" }, h("caption", { class: "unseen" }, "Dead letters, newest first"), h("thead", null, h("tr", null, allowed ? h("th", {
			scope: "col",
			class: "tick"
		}, h("input", {
			type: "checkbox",
			"aria-label": "Select this page",
			checked: every,
			indeterminate: some && !every,
			onchange: (event) => {
				all = false;
				for (const id of ids) if (event.target.checked) ticked.add(id);
				else ticked.delete(id);
				refresh();
			}
		})) : null, [
			"Message",
			"To",
			"Sender",
			"Failure and advice"
		].map((name) => h("th", {
			scope: "col",
			key: name
		}, name)), h("th", {
			scope: "col",
			class: "number"
		}, "Attempts"), h("th", {
			scope: "col",
			class: "number"
		}, "Dead for"))), h("tbody", null, edges.map(({ node: { message, failure, at, attempts } }) => h("tr", { key: message.id }, allowed ? h("td", { class: "tick" }, h("input", {
			type: "checkbox",
			"aria-label": `Select ${message.id}`,
			checked: all || ticked.has(message.id),
			onchange: (event) => tick(message.id, event.target.checked)
		})) : null, cell("Message", null, h("a", {
			class: "mono",
			href: link(["messages", message.id]),
			title: message.id,
			"aria-label": `Message ${message.id}`
		}, shortId(message.id))), cell("To", { class: "mono" }, message.to ?? message.toUserId ?? "erased"), cell("Sender", null, message.sender.id), h("td", { class: "wrap" }, h("p", null, chip(words(failure.category), "bad"), " ", failure.message, failure.code === null ? null : h("span", { class: "quiet" }, ` code ${failure.code}`)), h("p", { class: "quiet" }, failure.advice)), cell("Attempts", { class: "number" }, attempts), cell("Dead for", { class: "number" }, ago(at))))));
	}
	function pager(current) {
		return h("div", { class: "pager" }, button("Newer", () => turn(cursors.slice(0, -1)), { disabled: cursors.length <= 1 }), h("span", { class: "quiet" }, `Page ${cursors.length} of ${Math.max(1, Math.ceil(current.totalCount / pageSize$2))}`), button("Older", () => turn([...cursors, current.pageInfo.endCursor]), { disabled: !current.pageInfo.hasNextPage }), h("span", { class: "quiet" }, plural(current.edges.length, "row")));
	}
}
// src/views/alerts.ts
var pageSize$1 = 25;
/** The unit of each kind's threshold. */
var units = {
	ERROR_RATE: "share",
	DISK_SPACE: "share",
	DELIVERY_LATENCY: "seconds",
	QUEUE_STALLED: "seconds",
	WEBHOOK_SILENCE: "seconds",
	READ_MODEL_STALE: "seconds",
	QUEUE_GROWTH: "perMinute",
	WEBHOOK_REJECTED: "number",
	SENDER_HELD: "none",
	BREAKER_OPEN: "none",
	LEDGER_UNBALANCED: "none",
	OUTGOING_WEBHOOK_DISABLED: "none",
	LOG_SHORTENED: "none"
};
var unitNames = {
	share: "percent",
	seconds: "seconds",
	perMinute: "messages per minute",
	number: "number",
	none: ""
};
function written(kind, value) {
	switch (units[kind]) {
		case "share": return percent(value);
		case "seconds": return span(value);
		case "perMinute": return `${figure(value)}/min`;
		case "number": return figure(value);
		default: return "–";
	}
}
function alerts(_) {
	let resolved = null, rules = null, after = null, more = false;
	const untick = everySecond();
	async function history(behind) {
		const { alerts: { edges, pageInfo } } = await ask(Alerts, {
			filter: { state: ["RESOLVED"] },
			first: pageSize$1,
			after: behind
		});
		resolved = [...behind && resolved ? resolved : [], ...edges.map(({ node }) => node)];
		[more, after] = [pageInfo.hasNextPage, pageInfo.endCursor];
		refresh();
	}
	async function loadRules() {
		rules = (await ask(AlertRules, {})).alertRules;
		refresh();
	}
	/** Shows the rule that a mutation returned, because the list may be slightly behind. */
	function put(rule) {
		const at = rules?.findIndex(({ id }) => id === rule.id) ?? -1;
		rules = at < 0 ? [...rules ?? [], rule] : rules.with(at, rule);
		refresh();
	}
	const unheard = onAlert(() => {
		if ((resolved?.length ?? 0) <= pageSize$1) setTimeout(() => void history(null).catch(report), 500);
	});
	history(null).catch(report);
	const stopRules = poll(3e4, loadRules);
	return {
		title: "Alerts",
		stop: () => {
			untick();
			unheard();
			stopRules();
		},
		render: () => {
			const open = openAlerts();
			return h("div", { class: "board" }, card(["Open ", chip(count(open.length), open.length === 0 ? "good" : "bad")], {
				id: "open-alerts",
				class: "wide"
			}, null, open.length === 0 ? h("div", { class: "nothing" }, h("p", null, "No open alerts.")) : open.map(alertCard)), card("Rules", {
				id: "rules",
				class: "wide"
			}, forbidden(SetRule) ? quiet(forbidden(SetRule, "Changing rules")) : button("Add rule…", () => editRule(null, put), { id: "add-rule" }), rules === null ? quiet("Loading…") : ruleTable(rules, put)), card("Resolved", {
				id: "resolved",
				class: "wide"
			}, null, resolved === null ? quiet("Loading…") : resolved.length === 0 ? quiet("No resolved alerts yet.") : resolvedTable(resolved), more ? h("div", { class: "pager" }, button("Older", () => void history(after).catch(report))) : null));
		}
	};
}
function alertCard(alert) {
	const reason = forbidden(Acknowledge, "Acknowledging");
	return h("article", {
		key: alert.id,
		class: "alert",
		"data-tone": toneOf(alert.severity),
		"aria-label": alert.summary
	}, h("div", { class: "heading" }, h("h3", null, statusChip(alert.severity), " ", sentence(words(alert.kind)), alert.sender ? [" · ", h("a", { href: `#/senders/${encodeURIComponent(alert.sender.id)}` }, alert.sender.name)] : null), h("div", { class: "tools" }, h("span", { class: "quiet" }, "raised ", time(alert.raisedAt, "seconds"), ", ", ago(alert.raisedAt), " ago"), alert.state === "RAISED" ? reason ? quiet(reason) : button("Acknowledge…", () => acknowledge(alert), { class: "acknowledge" }) : chip("acknowledged", "warn"))), h("p", { class: "summary" }, alert.summary), alert.explanation.length > 0 ? h("ul", { class: "explanation" }, alert.explanation.map((line, i) => h("li", { key: i }, line))) : null, alert.acknowledgedAt ? quiet("Acknowledged ", time(alert.acknowledgedAt, "seconds"), alert.acknowledgedBy ? ` by ${alert.acknowledgedBy.name ?? alert.acknowledgedBy.id}` : "", alert.note ? [": ", h("q", null, alert.note)] : ".") : null);
}
function acknowledge(alert) {
	openDialog({
		title: "Acknowledge alert",
		label: () => "Acknowledge",
		body: () => [
			h("p", null, alert.summary),
			quiet("Others see that someone is handling it. The alert stays open until its cause is gone."),
			field("Note", h("input", {
				name: "note",
				maxlength: 500,
				autocomplete: "off"
			}), "Optional. Shown to others.")
		],
		run: async (values) => {
			const { acknowledgeAlert } = await ask(Acknowledge, {
				id: alert.id,
				note: values.note ?? null
			});
			const known = state.alerts.get(alert.id);
			if (known && acknowledgeAlert.state !== "RESOLVED") state.alerts.set(alert.id, {
				...known,
				alert: acknowledgeAlert
			});
			note("Alert acknowledged.");
		}
	});
}
var resolvedColumns = [
	{ name: "Severity" },
	{ name: "Summary" },
	{
		name: "Raised",
		class: "extra"
	},
	{
		name: "Lasted",
		class: "number"
	},
	{
		name: "Acknowledged",
		class: "extra"
	}
];
var resolvedTable = (resolved) => table({ class: "alerts-over" }, "Resolved alerts", resolvedColumns, resolved.map((alert) => h("tr", { key: alert.id }, h("td", null, statusChip(alert.severity)), h("td", { class: "wrap" }, alert.summary), h("td", { class: "extra" }, time(alert.raisedAt, "seconds")), h("td", { class: "number" }, alert.resolvedAt ? span(Math.floor((Date.parse(alert.resolvedAt) - Date.parse(alert.raisedAt)) / 1e3)) : "–"), h("td", { class: "extra wrap" }, alert.acknowledgedAt ? `by ${alert.acknowledgedBy?.name ?? alert.acknowledgedBy?.id ?? "someone"}${alert.note ? `: ${alert.note}` : ""}` : "no"))));
var ruleColumns = [
	{ name: "Rule" },
	{
		name: "Threshold",
		class: "number"
	},
	{
		name: "Window",
		title: "Window for measurements",
		class: "number"
	},
	{
		name: "For",
		title: "How long the condition must hold",
		class: "number"
	},
	{
		name: "Volume",
		title: "Minimum number of messages",
		class: "number"
	},
	{ name: "Severity" },
	{ name: "On" },
	{ name: "Change" }
];
function ruleTable(rules, changed) {
	const fixed = forbidden(SetRule) !== null;
	return table({ class: "stack rules" }, "Alert rules", ruleColumns, rules.map((rule) => h("tr", {
		key: rule.id,
		id: `rule-${rule.id}`,
		class: rule.enabled ? "" : "off"
	}, h("th", { scope: "row" }, sentence(words(rule.kind)), rule.kind === "DELIVERY_LATENCY" ? h("span", { class: "quiet" }, ` ${words(rule.statistic)}`) : null, rule.senderId ? h("span", { class: "quiet" }, ` for ${rule.senderId}`) : null), cell("Threshold", { class: "number" }, written(rule.kind, rule.threshold)), cell("Window", { class: "number" }, length(rule.window)), cell("For", { class: "number" }, length(rule.for)), cell("Volume", { class: "number" }, rule.minimumVolume === 0 ? "–" : count(rule.minimumVolume)), cell("Severity", null, statusChip(rule.severity)), cell("On", null, h("input", {
		type: "checkbox",
		class: "switch",
		role: "switch",
		checked: rule.enabled,
		disabled: fixed,
		"aria-label": `${sentence(words(rule.kind))}: on`,
		onchange: (event) => {
			const box = event.target;
			ask(SetRule, { input: {
				id: rule.id,
				kind: rule.kind,
				senderId: rule.senderId,
				enabled: box.checked
			} }).then((data) => changed(data.setAlertRule), (error) => {
				box.checked = !box.checked;
				note(error.message, true);
			});
		}
	})), h("td", null, fixed ? null : button("Edit…", () => editRule(rule, changed), { class: "plain small edit" })))));
}
var length = (iso) => {
	const s = seconds(iso);
	return s ? span(s) : "–";
};
function editRule(rule, changed) {
	let kind = rule?.kind ?? "ERROR_RATE";
	const kinds = Object.keys(units).map((name) => [name, sentence(words(name))]);
	openDialog({
		title: rule ? `Rule: ${words(rule.kind)}` : "Add rule",
		label: () => "Save",
		body: () => {
			const unit = units[kind];
			return [
				rule ? null : field("Kind", h("select", {
					name: "kind",
					value: kind,
					onchange: (event) => {
						kind = held(event);
						refresh();
					}
				}, options(kinds, kind))),
				field("Sender", h("select", { name: "senderId" }, options(senderChoices("all together, and each one"), rule?.senderId ?? ""))),
				h("div", { class: "row" }, unit === "none" ? null : field(`Threshold, ${unitNames[unit]}`, h("input", {
					name: "threshold",
					type: "number",
					step: "any",
					min: 0,
					required: true,
					value: rule ? String(unit === "share" ? Number((rule.threshold * 100).toFixed(6)) : rule.threshold) : ""
				})), kind === "DELIVERY_LATENCY" ? field("Statistic", h("select", { name: "statistic" }, options([
					["AVERAGE", "average"],
					["P50", "p50"],
					["P95", "p95"]
				], rule?.statistic))) : null, field("Severity", h("select", { name: "severity" }, options([["WARNING", "warning"], ["CRITICAL", "critical"]], rule?.severity ?? "CRITICAL")))),
				h("div", { class: "row" }, rule && !seconds(rule.window) ? null : field("Window", h("input", {
					name: "window",
					value: rule ? spanInput(seconds(rule.window) ?? 0) : "",
					placeholder: "5 min",
					autocomplete: "off"
				}), "10 s to 3 h"), field("For", h("input", {
					name: "for",
					value: rule ? spanInput(seconds(rule.for) ?? 0) : "",
					placeholder: "1 min",
					autocomplete: "off"
				}), "how long the condition must hold"), field("Volume", h("input", {
					name: "minimumVolume",
					type: "number",
					min: 0,
					step: 1,
					value: rule ? String(rule.minimumVolume) : ""
				}), "minimum number of messages"))
			];
		},
		run: async (values) => {
			const unit = units[kind];
			const input = {
				...rule ? { id: rule.id } : {},
				kind,
				senderId: values.senderId ?? null,
				severity: values.severity ?? null
			};
			if (values.threshold !== void 0 && unit !== "none") input.threshold = Number(values.threshold) / (unit === "share" ? 100 : 1);
			if (values.statistic) input.statistic = values.statistic;
			if (values.minimumVolume !== void 0) input.minimumVolume = Number(values.minimumVolume);
			for (const name of ["window", "for"]) {
				const text = values[name];
				if (text === void 0) continue;
				const s = parseSpan(text);
				if (s === null) throw new Error(`“${text}” is not a duration; use a format like 30 s, 5 min, or 1 h.`);
				input[name] = duration(s);
			}
			changed((await ask(SetRule, { input })).setAlertRule);
			note("Rule saved.");
		}
	});
}
// src/views/senders.ts
function senders(route) {
	const only = route.path[1];
	return {
		title: "Senders",
		stop: everySecond(),
		render: () => {
			const shown = (state.senders ?? []).filter((sender) => !only || sender.id === only);
			const reason = forbidden(RegisterSender, "Changing senders");
			return h("div", { class: "board" }, h("div", { class: "page-head wide" }, h("h2", null, only ? `Sender ${only}` : "Senders"), h("div", { class: "tools" }, only ? h("a", { href: "#/senders" }, "All senders") : null, reason ? quiet(reason) : button("Register sender…", register, {
				class: "",
				id: "register"
			}))), state.senders === null ? quiet("Loading…") : shown.length === 0 ? card("No sender", {
				class: "wide",
				id: "none"
			}, null, quiet(only ? "There is no sender with this ID, or the key has no access to it." : "Register the phone number to send messages from.")) : shown.map(senderCard));
		}
	};
}
function senderCard(sender) {
	const { id, hold } = sender;
	const paused = sender.state !== "PAUSED" && sender.pausedPriorities.length > 0;
	return card([
		sender.name,
		" ",
		h("span", { class: "quiet mono" }, id),
		" ",
		sender.breaker && sender.state === "ACTIVE" ? chip("WhatsApp doesn't respond", "bad") : statusChip(sender.state)
	], {
		key: id,
		id: `sender-${id}`,
		class: "wide sender"
	}, actions(sender), hold ? h("div", {
		class: "callout",
		"data-tone": "bad"
	}, h("p", null, h("strong", null, hold.message), hold.code === null ? null : ` Code ${hold.code}.`, ` Held since `, time(hold.since, "seconds"), "."), h("p", null, hold.advice), quiet(hold.nextProbeAt ? [
		"Next check with WhatsApp: ",
		soon(hold.nextProbeAt),
		"."
	] : "No process sends for this sender, so none checks with WhatsApp whether the problem is fixed.")) : null, sender.breaker ? h("div", {
		class: "callout outage",
		"data-tone": "bad"
	}, h("p", null, h("strong", null, `WhatsApp has not responded to ${count(sender.breaker.failures)} calls in a row.`), ` Last failure: ${sender.breaker.lastFailure}. Messages wait since `, time(sender.breaker.since, "seconds"), "."), quiet([
		"Next call to find out whether WhatsApp responds: ",
		soon(sender.breaker.nextProbeAt),
		"."
	])) : null, !hold && sender.stateReason ? h("div", {
		class: "callout",
		"data-tone": toneOf(sender.state)
	}, h("p", null, sender.stateReason)) : null, paused ? h("div", {
		class: "callout",
		"data-tone": "warn"
	}, h("p", null, `Paused: ${sender.pausedPriorities.map(laneName).join(", ")}.`)) : null, sender.throttledUntil && Date.parse(sender.throttledUntil) > serverNow() ? h("div", {
		class: "callout",
		"data-tone": "warn"
	}, h("p", null, "Throttled by WhatsApp until ", time(sender.throttledUntil, "seconds"), ".")) : null, h("dl", { class: "figures" }, figureOf("Rate", `${count(sender.messagesPerSecond)}/s`), figureOf("Effective rate", `${figure(sender.effectiveRate)}/s`, sender.effectiveRate < sender.messagesPerSecond / 2 ? "warn" : null), figureOf("Queue", count(sender.queueDepth)), figureOf("Oldest due", span(floor(seconds(sender.oldestDueAge)))), figureOf("Drain/min", figure(sender.drainPerMinute)), figureOf("Empty in", emptyIn(sender), emptyIn(sender) === "never" ? "bad" : null), figureOf("Scheduled", count(sender.scheduled))), h("ul", {
		class: "lanes",
		"aria-label": "Lanes"
	}, sender.lanes.map(({ priority, depth, oldestDueAge }) => h("li", { key: priority }, h("strong", null, sentence(laneName(priority))), h("span", null, `${count(depth)} due`), oldestDueAge ? h("span", { class: "quiet" }, `oldest ${span(floor(seconds(oldestDueAge)))}`) : null, sender.state === "PAUSED" || sender.pausedPriorities.includes(priority) ? chip("paused", "warn") : null))), facts([
		["Number", sender.displayPhoneNumber],
		["Phone number ID", mono(sender.phoneNumberId)],
		["Business account", sender.businessAccountId && mono(sender.businessAccountId)]
	]), h("p", { class: "quiet" }, h("a", { href: `#/?sender=${encodeURIComponent(id)}` }, "Plots"), " · ", h("a", { href: `#/messages?sender=${encodeURIComponent(id)}` }, "Messages"), " · ", h("a", { href: `#/dead-letters?sender=${encodeURIComponent(id)}` }, "Dead letters")));
}
var floor = (s) => s === null || s < 1 ? s : Math.floor(s);
function figureOf(name, value, tone = null) {
	return h("div", {
		key: name,
		"data-tone": tone
	}, h("dt", null, name), h("dd", null, value));
}
function soon(at) {
	const left = Math.ceil((Date.parse(at) - serverNow()) / 1e3);
	return left <= 0 ? "now" : [
		`in ${span(left)} (`,
		time(at, "seconds"),
		")"
	];
}
function actions(sender) {
	if (forbidden(Pause)) return null;
	const stopped = sender.state === "PAUSED" || sender.pausedPriorities.length > 0;
	const resume = (done) => void attempt(done, async () => putSender((await ask(Resume, { id: sender.id })).resumeSender));
	return [
		sender.hold ? button("Check now", () => resume("Checking with WhatsApp now."), { class: "probe" }) : null,
		stopped ? button("Resume", () => resume(`${sender.name} resumed.`), { class: "resume" }) : null,
		sender.state === "PAUSED" ? null : button("Pause…", () => pause(sender), { class: "plain pause" }),
		button("Rate…", () => setRate(sender), { class: "plain rate" }),
		button("Token…", () => setToken(sender), { class: "plain token" }),
		button("Edit…", () => edit(sender), { class: "plain edit" })
	];
}
function pause(sender) {
	openDialog({
		title: `Pause ${sender.name}`,
		label: () => "Pause",
		body: () => [
			h("p", null, "Messages are still accepted and wait. Calls in flight are completed."),
			h("fieldset", null, h("legend", null, "Lanes"), priorities.map((priority) => h("label", {
				class: "check",
				key: priority
			}, h("input", {
				type: "checkbox",
				name: `lane-${priority}`,
				value: priority,
				checked: true
			}), sentence(laneName(priority))))),
			field("Reason", h("input", {
				name: "reason",
				required: true,
				maxlength: 500,
				autocomplete: "off"
			}), "Shown to operators.")
		],
		run: async (values) => {
			const chosen = priorities.filter((priority) => values[`lane-${priority}`]);
			if (chosen.length === 0) throw new Error("Choose at least one lane.");
			const { pauseSender } = await ask(Pause, {
				id: sender.id,
				reason: values.reason,
				priorities: chosen.length === priorities.length ? null : chosen
			});
			putSender(pauseSender);
			note(`${sender.name} paused.`);
		}
	});
}
function setRate(sender) {
	openDialog({
		title: `Rate of ${sender.name}`,
		label: () => "Set rate",
		body: () => field("Calls per second", h("input", {
			name: "messagesPerSecond",
			type: "number",
			min: 1,
			max: 1e3,
			step: 1,
			required: true,
			value: String(sender.messagesPerSecond)
		}), "The maximum in any second. WhatsApp initially allows 80."),
		run: async (values) => {
			putSender((await ask(SetRate, {
				id: sender.id,
				messagesPerSecond: Number(values.messagesPerSecond)
			})).setSenderRate);
			note(`${sender.name} makes at most ${values.messagesPerSecond} calls per second.`);
		}
	});
}
var tokenField = (required) => field("Access token", h("input", {
	name: "accessToken",
	type: "password",
	autocomplete: "off",
	spellcheck: "false",
	required
}), "Stored encrypted and never shown again.");
function setToken(sender) {
	openDialog({
		title: `Access token of ${sender.name}`,
		label: () => "Replace token",
		body: () => [h("p", null, "Replaces the current token", sender.hold ? " and checks with WhatsApp immediately whether the problem is fixed." : "."), tokenField(true)],
		run: async ({ accessToken }) => {
			putSender((await ask(UpdateSender, { input: {
				id: sender.id,
				accessToken
			} })).updateSender);
			note(`${sender.name} has a new token.`);
		}
	});
}
function edit(sender) {
	openDialog({
		title: `Edit ${sender.name}`,
		label: () => "Save",
		body: () => [
			field("Name", h("input", {
				name: "name",
				required: true,
				maxlength: 128,
				value: sender.name,
				autocomplete: "off"
			})),
			field("Number", h("input", {
				name: "displayPhoneNumber",
				value: sender.displayPhoneNumber ?? "",
				autocomplete: "off"
			}), "In a readable format."),
			field("Business account", h("input", {
				name: "businessAccountId",
				value: sender.businessAccountId ?? "",
				inputmode: "numeric",
				autocomplete: "off"
			}), "Meta's WhatsApp Business Account ID.")
		],
		run: async (values) => {
			putSender((await ask(UpdateSender, { input: {
				id: sender.id,
				...values
			} })).updateSender);
			note("Saved.");
		}
	});
}
function register() {
	openDialog({
		title: "Register sender",
		label: () => "Register",
		body: () => [
			h("div", { class: "row" }, field("ID", h("input", {
				name: "id",
				required: true,
				maxlength: 64,
				pattern: "[A-Za-z0-9_\\-]+",
				autocomplete: "off",
				spellcheck: "false"
			}), "Letters, digits, -, and _. It cannot be changed."), field("Name", h("input", {
				name: "name",
				required: true,
				maxlength: 128,
				autocomplete: "off"
			}))),
			h("div", { class: "row" }, field("Phone number ID", h("input", {
				name: "phoneNumberId",
				required: true,
				inputmode: "numeric",
				autocomplete: "off"
			}), "Meta's phone_number_id."), field("Business account", h("input", {
				name: "businessAccountId",
				inputmode: "numeric",
				autocomplete: "off"
			}), "WhatsApp Business Account ID.")),
			h("div", { class: "row" }, field("Number", h("input", {
				name: "displayPhoneNumber",
				autocomplete: "off"
			}), "In a readable format."), field("Calls per second", h("input", {
				name: "messagesPerSecond",
				type: "number",
				min: 1,
				max: 1e3,
				step: 1,
				value: "80",
				required: true
			}))),
			tokenField(false),
			quiet("If empty, the server's default token is used.")
		],
		run: async ({ messagesPerSecond, id, name, phoneNumberId, ...rest }) => {
			putSender((await ask(RegisterSender, { input: {
				id,
				name,
				phoneNumberId,
				messagesPerSecond: Number(messagesPerSecond),
				...rest
			} })).registerSender);
			note(`${name} registered.`);
		}
	});
}
// src/views/ledger.ts
var pageSize = 50;
function ledger(route) {
	let sender = "", at = "", type = "", stream = "", message = "";
	let books = null, events = null, end = null, more = false, searching = false, fault = "", logFault = "";
	let stop = () => {};
	function read(query) {
		[sender, at, type, stream, message] = [
			"sender",
			"at",
			"type",
			"stream",
			"message"
		].map((name) => query.get(name) ?? "");
		[books, events, end, more, fault, logFault] = [
			null,
			null,
			null,
			false,
			"",
			""
		];
		stop();
		if (forbidden(Ledger)) return;
		const asOf = at && !Number.isNaN(Date.parse(at)) ? new Date(at).toISOString() : null;
		if (asOf) load(asOf);
		else stop = poll(2e3, () => load(null));
		log(null);
	}
	async function load(asOf) {
		try {
			books = (await ask(Ledger, {
				senderId: figuresOf(sender),
				asOf
			})).ledger;
			if (!asOf) sawServerTime(books.asOf);
			fault = "";
		} catch (error) {
			fault = messageOf(error);
			if (!asOf) throw error;
		}
		refresh();
	}
	async function log(after) {
		searching = true;
		refresh();
		const filter = {
			...type ? { types: type.split(/[\s,]+/) } : {},
			...stream ? { streamPrefix: stream } : {},
			...sender ? { senderId: sender } : {},
			...message ? { correlationId: message } : {},
			...at && !Number.isNaN(Date.parse(at)) ? { to: new Date(at).toISOString() } : {}
		};
		try {
			const { events: { edges, pageInfo } } = await ask(Log, {
				filter,
				first: pageSize,
				after
			});
			events = [...after && events ? events : [], ...edges.map(({ node }) => node)].slice(-1e3);
			[more, end, logFault] = [
				pageInfo.hasNextPage,
				pageInfo.endCursor,
				""
			];
		} catch (error) {
			logFault = messageOf(error);
			report(error);
		}
		searching = false;
		refresh();
	}
	read(route.query);
	return {
		title: "Ledger and log",
		stop: () => stop(),
		moved: read,
		render
	};
	function render() {
		const reason = forbidden(Ledger);
		if (reason) return h("section", { class: "card narrow" }, h("h2", null, "Ledger and log"), quiet(reason));
		return h("div", { class: "board" }, h("div", {
			class: "filters wide",
			role: "group",
			"aria-label": "Filters"
		}, choose("Sender", figuresOf(sender) ?? "", figureChoices("all"), (value) => setQuery({ sender: value })), h("label", {
			class: "choose",
			key: "at"
		}, h("span", null, "As of"), h("input", {
			type: "datetime-local",
			step: 1,
			value: at,
			id: "as-of",
			onchange: (event) => setQuery({ at: held(event) })
		})), at ? button("Now", () => setQuery({ at: null }), { class: "plain small" }) : null), card(["Ledger ", balanced(books)], {
			id: "ledger",
			class: "wide"
		}, quiet(books ? ["Complete up to ", time(books.asOf, "seconds")] : ""), fault ? h("p", {
			class: "error",
			role: "alert"
		}, fault) : null, ledgerFigures(books), quiet("Every accepted message is in exactly one column. ", state.behind === null ? "" : state.behind === 0 ? "The lists are up to date." : `The lists are ${span(state.behind)} behind the event log.`)), card("Log", {
			id: "log",
			class: "wide"
		}, button("Reload", () => void log(null)), h("div", { class: "filters" }, input("Type", type, "Queued, Sent", (value) => setQuery({ type: value })), input("Stream begins with", stream, "sender-", (value) => setQuery({ stream: value })), input("Message", message, "ID", (value) => setQuery({ message: value })), type || stream || message ? h("a", {
			class: "clear",
			href: "#/ledger"
		}, "Clear all") : null), logFault ? h("p", {
			class: "error",
			role: "alert"
		}, logFault) : null, events === null ? quiet(searching ? "Searching the event log…" : "") : events.length === 0 && !more ? quiet("No events found.") : eventTable(events), h("div", { class: "pager" }, button(searching ? "Searching…" : "Older", () => void log(end), {
			disabled: !more || searching,
			id: "older-events"
		}), quiet(events ? plural(events.length, "event") : ""))));
	}
	function input(name, value, placeholder, onchange) {
		return h("label", {
			class: "choose",
			key: name
		}, h("span", null, name), h("input", {
			value,
			placeholder,
			size: 16,
			autocomplete: "off",
			spellcheck: "false",
			onchange: (event) => onchange(held(event))
		}));
	}
}
function eventTable(events) {
	return h("table", { class: "stack log" }, h("caption", { class: "unseen" }, "Recorded events, newest first"), h("thead", null, h("tr", null, [
		"Recorded",
		"Event",
		"Stream",
		"By",
		"Data"
	].map((name) => h("th", {
		scope: "col",
		key: name
	}, name)))), h("tbody", null, events.map((event) => h("tr", { key: event.id }, cell("Recorded", null, time(event.recordedAt)), cell("Event", null, h("strong", null, event.type)), cell("Stream", { class: "mono wrap" }, event.correlationId ? h("a", { href: `#/messages/${event.correlationId}` }, `${event.stream}`) : event.stream, h("span", { class: "quiet" }, ` ${event.revision}`)), cell("By", null, event.by.name ?? event.by.id), h("td", { class: "wrap" }, h("details", null, h("summary", null, "Data"), facts([
		["ID", mono(event.id)],
		["Happened", event.occurredAt && time(event.occurredAt)],
		["For", event.by.onBehalfOf]
	]), h("pre", { tabindex: 0 }, JSON.stringify(event.data, null, 2))))))));
}
// src/views/queue.ts
/** The maximum number of times that an input is queued while Waypost is overloaded. */
var maxTries = 5;
/** The maximum length of a text in characters, by WhatsApp. A browser that enforced it would cut a longer text silently. */
var maxText = 4096;
/** An input with an unknown outcome, and its key, so that pressing the button again sends nothing twice. */
var pending = null;
function queue(route) {
	let kind = "text", busy = false, stopped = false, fault = "", accepted = [];
	const to = route.query.get("to") ?? "", chosen = route.query.get("sender") ?? "";
	/** Queues an input. While Waypost is overloaded, it waits for the time that Waypost asks for and tries again. */
	async function send(input) {
		for (let tries = 1;; tries++) try {
			const { queueMessage } = await ask(Queue, { input });
			accepted = [{
				id: queueMessage.message.id,
				replayed: queueMessage.replayed
			}, ...accepted].slice(0, 10);
			fault = "";
			return;
		} catch (error) {
			const wait = error instanceof Refused ? error.retryAfter : null;
			if (!wait || tries === maxTries || stopped) throw error;
			fault = `Waypost is overloaded. Trying again in ${wait} s.`;
			refresh();
			await new Promise((resolve) => setTimeout(resolve, wait * 1e3));
			if (stopped) throw error;
		}
	}
	async function submit(event) {
		event.preventDefault();
		if (busy) return;
		const form = event.currentTarget;
		[busy, fault] = [true, ""];
		markField(form, null);
		refresh();
		try {
			const input = read(values(form), kind);
			const content = JSON.stringify(input);
			if (pending?.content !== content) pending = {
				content,
				key: freshKey()
			};
			await send({
				...input,
				idempotencyKey: input.idempotencyKey ?? pending.key
			});
			pending = null;
			form.elements.namedItem("body")?.select();
		} catch (error) {
			fault = error instanceof ServerAway ? "No response. Press Queue again: the message will not be sent twice." : messageOf(error);
			markField(form, error instanceof Refused ? inputOf(error.field) : error instanceof WrongField ? error.field : null);
		}
		busy = false;
		refresh();
	}
	return {
		title: "Queue a message",
		stop: () => {
			stopped = true;
		},
		render: () => {
			const reason = forbidden(Queue);
			if (reason) return h("section", { class: "card narrow" }, h("h2", null, "Queue a message"), quiet(reason));
			return h("div", { class: "board" }, card("Queue a message", { id: "queue-card" }, segments("Content", kind, [
				["text", "Text"],
				["template", "Template"],
				["other", "Other"]
			], (id) => {
				kind = id;
				refresh();
			}), h("form", {
				id: "queue",
				onsubmit: submit
			}, h("div", { class: "row" }, field("Sender", h("select", {
				name: "senderId",
				required: true
			}, options((state.senders ?? []).map(({ id, name }) => [id, `${name} (${id})`]), chosen))), field("Number or user ID", h("input", {
				name: "to",
				autocomplete: "off",
				placeholder: "+1 415 555 0101",
				required: true,
				value: to
			}))), content(kind), h("div", { class: "row" }, field("Lane", h("select", { name: "priority" }, options([
				["OTP", "OTP"],
				["TRANSACTIONAL", "transactional"],
				["BULK", "bulk"]
			], "TRANSACTIONAL"))), field("If a response is lost", h("select", { name: "onAmbiguous" }, options([["RESEND", "send again"], ["DEAD_LETTER", "dead letter"]], "RESEND")))), h("details", null, h("summary", null, "Schedule, labels, and key"), h("div", { class: "row" }, field("Not before", h("input", {
				name: "sendAt",
				type: "datetime-local",
				step: 1
			})), field("Not after", h("input", {
				name: "expiresAt",
				type: "datetime-local",
				step: 1
			}))), field("Overdue after", h("input", {
				name: "deliverWithin",
				type: "number",
				min: 1,
				max: 2592e3,
				step: 1
			}), "Seconds from WhatsApp's acceptance. If the message is not delivered by then, its delivery is reported as overdue."), field("Labels", h("input", {
				name: "labels",
				autocomplete: "off",
				placeholder: "campaign=spring, order=1042"
			})), field("Idempotency key", h("input", {
				name: "idempotencyKey",
				maxlength: 128,
				autocomplete: "off",
				spellcheck: "false"
			}), "Repeating the same key and content returns the same message. Don't include personal data. If empty, a key is generated.")), h("p", {
				class: "error",
				role: "alert"
			}, fault), h("div", { class: "actions" }, h("button", {
				type: "submit",
				disabled: busy || !state.senders
			}, busy ? "Queueing…" : "Queue")))), card("Accepted", { id: "accepted" }, null, h("div", {
				id: "queue-note",
				role: "status"
			}, accepted.length === 0 ? null : h("ul", { class: "accepted" }, accepted.map(({ id, replayed }) => h("li", { key: `${id}${replayed}` }, replayed ? "Already queued: " : "Message queued: ", h("a", {
				class: "mono",
				href: `#/messages/${id}`,
				title: id
			}, shortId(id)), ".")))), accepted.length === 0 ? quiet("Queued messages are durably recorded. Follow them here.") : null));
		}
	};
}
function content(kind) {
	switch (kind) {
		case "text": return field("Text", h("textarea", {
			name: "body",
			rows: 4,
			required: true
		}));
		case "template": return [h("div", {
			class: "row",
			key: "template"
		}, field("Template", h("input", {
			name: "name",
			required: true,
			autocomplete: "off",
			spellcheck: "false",
			placeholder: "hello_world"
		})), field("Language", h("input", {
			name: "language",
			required: true,
			autocomplete: "off",
			spellcheck: "false",
			placeholder: "en_US"
		}))), field("Body variables", h("textarea", {
			name: "variables",
			rows: 3
		}), "One per line, in order.")];
		default: return field("Content as JSON", h("textarea", {
			name: "json",
			rows: 6,
			required: true,
			spellcheck: "false",
			class: "mono",
			placeholder: "{ \"image\": { \"link\": \"https://…\", \"caption\": \"…\" } }"
		}), "A MessageContentInput: image, video, audio, document, sticker, location, contacts, reaction, or interactive.");
	}
}
var WrongField = class extends Error {
	field;
	constructor(name, text) {
		super(text);
		this.field = name;
	}
};
/** Returns the name of the form's input for a field of the request: both kinds of recipients are in one. */
var inputOf = (name) => name === "toUserId" ? "to" : name;
function read(held, kind) {
	const labels = (held.labels ?? "").split(",").map((label) => label.trim()).filter(Boolean).map((label) => {
		const at = label.indexOf("=");
		if (at <= 0) throw new WrongField("labels", `“${label}” is not a label; use name=value.`);
		return {
			name: label.slice(0, at).trim(),
			value: label.slice(at + 1).trim()
		};
	});
	return {
		senderId: held.senderId ?? "",
		...isUserId(held.to ?? "") ? { toUserId: held.to } : { to: held.to ?? "" },
		content: contentOf(held, kind),
		priority: held.priority,
		onAmbiguous: held.onAmbiguous,
		...held.sendAt ? { sendAt: new Date(held.sendAt).toISOString() } : {},
		...held.expiresAt ? { expiresAt: new Date(held.expiresAt).toISOString() } : {},
		...held.deliverWithin ? { deliverWithin: `PT${held.deliverWithin}S` } : {},
		...labels.length > 0 ? { labels } : {},
		...held.idempotencyKey ? { idempotencyKey: held.idempotencyKey } : {}
	};
}
function contentOf(held, kind) {
	if (kind === "text") {
		const body = held.body ?? "", length = [...body].length;
		if (length > maxText) throw new WrongField("body", `The text has ${count(length)} characters; WhatsApp accepts ${count(maxText)}.`);
		return { text: { body } };
	}
	if (kind === "template") {
		const lines = (held.variables ?? "").trimEnd().split("\n").map((line) => line.trim());
		const blank = lines.indexOf("");
		if (blank >= 0 && lines.length > 1) throw new WrongField("variables", `Variable {{${blank + 1}}} is blank; WhatsApp needs a value for each.`);
		const parameters = lines.filter(Boolean).map((text) => ({
			type: "text",
			text
		}));
		return { template: {
			name: held.name ?? "",
			language: held.language ?? "",
			...parameters.length > 0 ? { components: [{
				type: "BODY",
				parameters
			}] } : {}
		} };
	}
	try {
		return JSON.parse(held.json ?? "");
	} catch (error) {
		throw new WrongField("json", `Invalid JSON: ${error.message}`);
	}
}
// src/views/break_it.ts
var share = {
	steps: [
		0,
		.01,
		.02,
		.05,
		.1,
		.2,
		.3,
		.5,
		.75,
		1
	],
	from: Number,
	to: (step) => step,
	text: (step) => step === 0 ? "none" : `${Math.round(step * 100)}%`,
	broken: (step) => step > 0
};
/** Returns the milliseconds of a duration in Go's notation, such as 1m30s or 50ms. */
function milliseconds(text) {
	const units = {
		ns: 1e-6,
		us: .001,
		"µs": .001,
		ms: 1,
		s: 1e3,
		m: 6e4,
		h: 36e5
	};
	return [...String(text).matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g)].reduce((sum, [, n, unit]) => sum + Number(n) * units[unit], 0);
}
var delay = (steps, usual) => ({
	steps,
	from: milliseconds,
	to: (ms) => `${ms}ms`,
	text: (ms) => span(ms / 1e3),
	broken: (ms) => ms > usual
});
var faults = [
	{
		id: "drop",
		name: "Drop responses",
		note: "accepted, then the connection is cut",
		setting: "drop_response_rate",
		...share
	},
	{
		id: "errors",
		name: "Temporary errors",
		note: "code 131000: retried, then dead letters",
		setting: "error_rate",
		with: { error_codes: [131e3] },
		...share
	},
	{
		id: "server-errors",
		name: "Empty 502",
		note: "unknown whether the message was accepted",
		setting: "empty_5xx_rate",
		...share
	},
	{
		id: "refuse",
		name: "Permanent errors",
		note: "code 131026, undeliverable: never retried",
		setting: "fail_after_accept_rate",
		...share
	},
	{
		id: "throttle",
		name: "Throttle",
		note: "code 130429 above this rate",
		setting: "rate",
		steps: [
			1e3,
			500,
			200,
			80,
			40,
			20,
			10,
			5,
			2,
			1
		],
		from: (value) => Number(value) === 0 ? 1e3 : Number(value),
		to: (rate) => rate,
		text: (rate) => `above ${rate}/s`,
		broken: (rate) => rate < 80
	},
	{
		id: "slow",
		name: "Slow down calls",
		note: "time until a response",
		setting: "latency",
		...delay([
			0,
			50,
			120,
			250,
			500,
			1e3,
			2e3,
			5e3,
			1e4,
			2e4
		], 250)
	},
	{
		id: "late",
		name: "Late webhooks",
		note: "time between statuses: delivery latency",
		setting: "webhook_delay",
		...delay([
			0,
			50,
			300,
			900,
			2e3,
			5e3,
			1e4,
			2e4
		], 900)
	},
	{
		id: "silent",
		name: "Lose webhooks",
		note: "statuses that are never sent",
		setting: "webhook_drop_rate",
		...share
	}
];
var repaired = {
	...Object.fromEntries(faults.map(({ setting }) => [setting, null])),
	error_codes: null,
	hang_numbers: null,
	fail_numbers: null
};
async function control(request = {}) {
	let response;
	try {
		response = await fetch("demo/control", {
			...request,
			headers: {
				...request.headers,
				authorization: `Bearer ${state.demo.secret}`
			},
			signal: AbortSignal.timeout(1e4)
		});
	} catch (cause) {
		throw new Error("Cannot reach the simulator's settings.", { cause });
	}
	if (!response.ok) throw new Error((await response.text()).trim().slice(0, 300) || `The simulator responded with status ${response.status}.`);
	return response;
}
function breakIt(_) {
	let settings = null, said = "", bad = false;
	let changes = Promise.resolve();
	const dragged = /* @__PURE__ */ new Map();
	const load = async () => {
		settings = await (await control()).json();
		refresh();
	};
	function change(next, done) {
		changes = changes.then(async () => {
			try {
				await control({
					method: "PUT",
					headers: { "content-type": "application/json" },
					body: JSON.stringify(next)
				});
				await load();
				[said, bad] = [done, false];
			} catch (error) {
				[said, bad] = [messageOf(error), true];
			}
			dragged.clear();
			refresh();
		});
	}
	return {
		title: "Break it",
		stop: state.demo ? poll(5e3, load) : () => {},
		render
	};
	function render() {
		if (!state.demo) return h("section", { class: "card narrow" }, h("h2", null, "Break it"), quiet("Only the demo (waypost demo) has a simulated WhatsApp that you can break."));
		const hanging = listed("hang_numbers"), held = Object.keys(settings?.fail_numbers ?? {});
		const broken = settings === null ? 0 : faults.filter((fault) => fault.broken(fault.from(settings[fault.setting] ?? 0))).length + Number(hanging.length > 0) + Number(held.length > 0);
		return h("div", { class: "board" }, card(["Break it ", chip(broken === 0 ? "nothing broken" : `${broken} ${broken === 1 ? "thing" : "things"} broken`, broken === 0 ? "good" : "bad", { id: "broken" })], {
			id: "break",
			class: "wide"
		}, button("Fix everything", () => change(repaired, "Everything is fixed."), {
			id: "mend",
			class: ""
		}), quiet("These change the simulated WhatsApp at ", h("code", null, state.demo.simulator), ", not Waypost. Watch the ", h("a", { href: "#/" }, "overview"), ", the ", h("a", { href: "#/messages" }, "messages"), ", and the ", h("a", { href: "#/ledger" }, "ledger"), " while you change them."), h("form", {
			id: "faults",
			class: "faults",
			onsubmit: (event) => event.preventDefault()
		}, faults.map(slider), numbers("Hang a number", "its calls get no response", "hang", hanging, (ids) => change({ hang_numbers: ids }, "Changed.")), numbers("Expire a token", "code 190: Waypost holds the sender", "expire", held, (ids) => change({ fail_numbers: Object.fromEntries(ids.map((id) => [id, 190])) }, "Changed.")), h("p", {
			id: "faults-note",
			role: "status",
			class: bad ? "error" : "quiet"
		}, said))));
	}
	function listed(name) {
		const value = settings?.[name];
		return Array.isArray(value) ? value.map(String) : [];
	}
	function slider(fault) {
		const { id, name, note, setting, steps, text } = fault;
		const value = fault.from(settings?.[setting] ?? 0);
		const nearest = steps.reduce((best, step, i) => Math.abs(step - value) < Math.abs(steps[best] - value) ? i : best, 0);
		const at = dragged.get(id) ?? nearest, shown = dragged.has(id) ? steps[at] : value;
		const index = (event) => Number(held(event));
		return h("div", {
			class: "fault",
			key: id
		}, h("label", { for: id }, h("span", null, name, h("span", { class: "quiet" }, ` ${note}`)), h("output", {
			id: `${id}-value`,
			for: id,
			"data-tone": fault.broken(shown) ? "bad" : null
		}, settings ? text(shown) : "…")), h("input", {
			id,
			type: "range",
			name: setting,
			min: 0,
			max: steps.length - 1,
			step: 1,
			value: String(at),
			"aria-valuetext": text(shown),
			disabled: settings === null,
			oninput: (event) => {
				dragged.set(id, index(event));
				refresh();
			},
			onchange: (event) => change({
				...fault.with,
				[setting]: fault.to(steps[index(event)])
			}, `${name}: ${text(steps[index(event)])}.`)
		}));
	}
	function numbers(name, note, id, chosen, changed) {
		return h("fieldset", {
			id,
			key: id
		}, h("legend", null, name, h("span", { class: "quiet" }, ` ${note}`)), (state.senders ?? []).map((sender) => h("label", {
			class: "check",
			key: sender.id
		}, h("input", {
			type: "checkbox",
			checked: chosen.includes(sender.phoneNumberId),
			onchange: (event) => changed(event.target.checked ? [...chosen, sender.phoneNumberId] : chosen.filter((other) => other !== sender.phoneNumberId))
		}), `${sender.name} (${sender.phoneNumberId})`)));
	}
}
// src/main.ts
var views = {
	"": overview,
	messages,
	"dead-letters": deadLetters,
	alerts,
	senders,
	ledger,
	queue,
	break: breakIt
};
var view = null;
var shownFor = "";
var menuOpen = false;
function follow() {
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
	view = name === "messages" && id ? message(route) : known ? views[name](route) : nowhere(name);
	if (shownFor) {
		scrollTo(0, 0);
		document.getElementById("main")?.focus({ preventScroll: true });
	}
	shownFor = place;
	menuOpen = false;
}
var nowhere = (name) => ({
	title: "Not found",
	stop: () => {},
	render: () => h("section", { class: "card narrow" }, h("h2", null, `There is no page “${name}”`), h("a", { href: "#/" }, "Go to the overview"))
});
function status() {
	const [text, tone] = state.away ? ["Server unavailable", "bad"] : !state.viewer ? [session.opening ? "Connecting…" : "No key", "wait"] : state.live === "live" ? ["Live", "good"] : state.live === "lost" ? ["Reconnecting…", "warn"] : ["Connecting…", "wait"];
	return chip(text, tone, {
		id: "connection",
		role: "status"
	});
}
function entries() {
	const open = openAlerts();
	const held = (state.senders ?? []).filter((sender) => sender.state !== "ACTIVE").length;
	return [
		{
			name: "",
			text: "Overview"
		},
		{
			name: "messages",
			text: "Messages"
		},
		{
			name: "dead-letters",
			text: "Dead letters",
			count: badge(state.deadLetters),
			tone: "bad"
		},
		{
			name: "alerts",
			text: "Alerts",
			count: badge(open.length),
			tone: open.some((alert) => alert.severity === "CRITICAL") ? "bad" : "warn"
		},
		{
			name: "senders",
			text: "Senders",
			count: badge(held),
			tone: "warn",
			title: `${held} not sending`
		},
		!forbidden(Ledger) && {
			name: "ledger",
			text: "Ledger and log"
		},
		!forbidden(Queue) && {
			name: "queue",
			text: "Queue a message"
		},
		state.demo !== null && {
			name: "break",
			text: "Break it"
		}
	].filter((entry) => entry !== false);
}
function menu() {
	const [here = ""] = currentRoute().path;
	return h("nav", {
		id: "menu",
		class: "menu",
		"aria-label": "Views",
		"data-open": String(menuOpen)
	}, h("ul", null, entries().map(({ name, text, count, tone, title }) => h("li", { key: name }, h("a", {
		href: link(name ? [name] : []),
		"aria-current": name === here ? "page" : null,
		onclick: () => {
			menuOpen = false;
			refresh();
		}
	}, text, count ? h("span", {
		class: "badge",
		"data-tone": tone ?? null,
		title: title ?? null
	}, count) : null)))), h("div", { class: "menu-end" }, h("label", { class: "choose" }, h("span", null, "Theme"), h("select", {
		id: "theme",
		value: theme(),
		onchange: (event) => setTheme(held(event))
	}, [
		"system",
		"light",
		"dark"
	].map((name) => h("option", {
		key: name,
		value: name
	}, name)))), h("a", { href: "playground" }, "GraphiQL"), h("p", {
		class: "quiet",
		id: "who"
	}, "Key ", h("strong", null, state.viewer.name), state.viewer.scopes.includes("ADMIN") ? null : `: ${state.viewer.scopes.join(", ")}`, state.viewer.senderIds ? `; senders ${state.viewer.senderIds.join(", ")}` : null), h("button", {
		type: "button",
		id: "forget",
		class: "plain small",
		onclick: () => signOut()
	}, "Change key")));
}
function trouble() {
	const behind = state.behind ?? 0;
	const text = state.away && state.viewer ? "The server does not respond. The data shown is from before. It updates automatically when the server is back." : state.trouble ?? (behind >= 5 ? `Lists and counts are ${span(behind)} behind the event log. A message's own page is current.` : "");
	return h("div", {
		key: "trouble",
		role: "alert"
	}, text ? h("p", {
		id: "trouble",
		class: "trouble",
		"data-tone": state.away || state.trouble ? "bad" : "warn"
	}, text) : null);
}
function frame() {
	const main = h("main", {
		key: "main",
		id: "main",
		tabindex: -1,
		class: state.away ? "away" : ""
	}, view ? [h("h1", { class: "unseen" }, view.title), view.render()] : session.asksForKey ? [h("h1", { class: "unseen" }, "Waypost"), signInCard()] : h("p", { class: "quiet centred" }, session.fault || "Connecting…"));
	return [
		h("a", {
			key: "skip",
			class: "skip",
			href: "#main",
			onclick: (event) => {
				event.preventDefault();
				document.getElementById("main")?.focus();
			}
		}, "Skip to content"),
		h("header", {
			key: "bar",
			class: "bar"
		}, h("a", {
			class: "brand",
			href: "#/"
		}, h("img", {
			src: "icon.svg",
			alt: "",
			width: 24,
			height: 24
		}), "Waypost"), state.viewer ? searchBox() : null, status(), state.viewer ? h("button", {
			type: "button",
			class: "plain menu-button",
			"aria-expanded": String(menuOpen),
			"aria-controls": "menu",
			onclick: () => {
				menuOpen = !menuOpen;
				refresh();
			}
		}, "Menu") : null),
		h("div", {
			key: "body",
			class: state.viewer ? "body" : "body bare"
		}, state.viewer ? menu() : null, h("div", { class: "content" }, trouble(), main)),
		overlay()
	];
}
var root = document.getElementById("app");
var drawn = h("div", null);
onRefresh(() => {
	if (state.viewer === null !== (view === null)) follow();
	const next = h("div", null, frame());
	patchChildren(root, drawn.children, next.children);
	drawn = next;
	const open = openAlerts().length;
	document.title = `${open > 0 ? `(${open}) ` : ""}${view ? `${view.title} · ` : ""}Waypost`;
});
onSignOut(signOut);
onAnnounce((text) => note(text, text.startsWith("Alert")));
addEventListener("hashchange", () => {
	if (takeLink()) return void start();
	follow();
	refresh();
});
addEventListener("online", () => connection.hurry());
addEventListener("keydown", (event) => {
	const typing = event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable], dialog");
	if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey && state.viewer) {
		event.preventDefault();
		focusSearch();
	} else if (event.key === "Escape" && menuOpen) {
		menuOpen = false;
		refresh();
	}
});
addEventListener("pagehide", (event) => {
	if (event.persisted) return;
	end();
	connection.close();
});
refresh();
start();
