// Parses the text in the search box. Pure functions.
import { momentOf } from "./format.ts";

export interface Filters {
  id?: string;
  /** The end of an ID, as lists show it. */
  end?: string;
  to?: string;
  user?: string;
  key?: string;
  wamid?: string;
  status?: string[];
  labels?: { name: string; value: string }[];
  sender?: string;
  type?: string;
  priority?: string;
  template?: string;
  category?: string;
  code?: number;
  overdue?: boolean;
  /** Queued at this time or later, and before, in ISO 8601. */
  from?: string;
  until?: string;
  /** What is wrong with a part that names a filter. Such filters find nothing. */
  invalid?: string;
}

export const statuses = [
  "QUEUED", "SENDING", "RETRYING", "AMBIGUOUS", "SENT", "DELIVERED", "READ", "FAILED", "DEAD_LETTERED", "CANCELLED", "EXPIRED", "DISCARDED", "SUPPRESSED",
] as const;
export const types = ["TEXT", "TEMPLATE", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT", "STICKER", "LOCATION", "CONTACTS", "REACTION",
  "INTERACTIVE"] as const;
export const priorities = ["OTP", "TRANSACTIONAL", "BULK"] as const;

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const userId = /^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$/;
/** Reports whether the text is a WhatsApp user ID, which people who hide their number have. */
export const isUserId = (text: string): boolean => userId.test(text.trim());

const phone = /^\+?[\d\s()./-]+$/;

function isPhone(text: string): boolean {
  const digits = text.replace(/\D/g, "").length;
  return phone.test(text) && digits >= 7 && digits <= 15 && (text.trim().startsWith("+") || digits >= 10);
}

const enumName = (text: string): string => text.trim().toUpperCase().replaceAll(/[\s-]+/g, "_");
const spellings: Record<string, string> = { CANCELED: "CANCELLED" };
const statusNamed = (text: string): string | undefined => {
  const name = spellings[enumName(text)] ?? enumName(text);
  return statuses.find(s => s === name || s.replace("_", "") === name);
};

const listed = (names: readonly string[]): string => names.map(name => name.toLowerCase().replaceAll("_", " ")).join(", ");

const unquoted = (text: string): string => text.replace(/^"(.*)"$/s, "$1");

/**
 * Recognizes a message ID, a phone number, a user ID, a wamid, name=value, a status, "overdue", or word:value for each filter, in any combination.
 * Anything else is an idempotency key.
 */
export function recognize(typed: string): Filters {
  const text = typed.trim();
  const found: Filters = {};
  if (text === "") return found;
  // A phone number and a status can contain spaces, so the whole text is tried first.
  if (isPhone(text)) return { to: text };
  const whole = statusNamed(text);
  if (whole) return { status: [whole] };
  const unknown: string[] = [];
  for (const [part] of text.matchAll(/(?:[^\s"]+|"[^"]*")+/g)) {
    if (!take(found, part)) unknown.push(unquoted(part));
  }
  if (unknown.length > 0) found.key = unknown.join(" ");
  return found;
}

function take(found: Filters, part: string): boolean {
  const named = /^(id|to|user|phone|number|key|wamid|status|label|sender|type|priority|template|category|code):(.*)$/is.exec(part);
  if (named) {
    const value = unquoted(named[2]!), name = named[1]!.toLowerCase();
    if (value === "") {
      found.invalid = `${name}: needs a value.`;
      return true;
    }
    switch (name) {
      case "to": case "phone": case "number": return only(found, "to", value);
      case "id": case "user": case "key": case "wamid": case "sender": case "template": case "category": return only(found, name, value);
      case "type":
        if (types.some(t => t === enumName(value))) return only(found, "type", enumName(value));
        found.invalid = `There is no type “${value}”; types are ${listed(types)}.`;
        return true;
      case "priority":
        if (priorities.some(p => p === enumName(value))) return only(found, "priority", enumName(value));
        found.invalid = `There is no priority “${value}”; priorities are ${listed(priorities)}.`;
        return true;
      case "code":
        if (/^\d+$/.test(value)) return only(found, "code", Number(value));
        found.invalid = `“${value}” is not an error code; use a number such as 131026.`;
        return true;
      case "label":
        if (!takeLabel(found, value)) found.invalid = `“${value}” is not a label; use label:name=value.`;
        return true;
      case "status":
        for (const name of value.split(",")) {
          const status = statusNamed(name);
          if (status) found.status = [...(found.status ?? []), status];
          else found.invalid = `There is no status “${name}”; statuses are ${listed(statuses)}.`;
        }
        return true;
    }
  }
  if (/^overdue$/i.test(part)) found.overdue = true;
  else if (/^…?[0-9a-f]{8}$/i.test(part) && (part.startsWith("…") || /[a-f]/i.test(part))) return only(found, "end", part.replace("…", "").toLowerCase());
  else if (uuid.test(part)) return only(found, "id", part.toLowerCase());
  else if (/^wamid\./i.test(part)) return only(found, "wamid", part);
  else if (isPhone(part)) return only(found, "to", part);
  else if (userId.test(part)) return only(found, "user", part);
  else if (statusNamed(part)) found.status = [...(found.status ?? []), statusNamed(part)!];
  else return takeLabel(found, part);
  return true;
}

/** Sets a filter that a message can match with one value only. A second value would silently replace the first. */
function only<K extends "id" | "end" | "to" | "user" | "key" | "wamid" | "sender" | "template" | "category" | "type" | "priority" | "code" | "from" | "until">(
  found: Filters, name: K, value: NonNullable<Filters[K]>): true {
  if (found[name] !== undefined && found[name] !== value) found.invalid = `“${found[name]}” and “${value}” exclude each other; search for one of them.`;
  found[name] = value;
  return true;
}

function takeLabel(found: Filters, text: string, read = unquoted): boolean {
  const at = text.indexOf("=");
  if (at <= 0) return false;
  found.labels = [...(found.labels ?? []), { name: read(text.slice(0, at)), value: read(text.slice(at + 1)) }];
  return true;
}

/** Describes the filters, for the line below the box. */
export function describe(filters: Filters): string[] {
  const parts: string[] = [];
  if (filters.id) parts.push(`message ID ${filters.id}`);
  if (filters.end) parts.push(`message ID …${filters.end}`);
  if (filters.to) parts.push(`phone number ${filters.to}`);
  if (filters.user) parts.push(`user ID ${filters.user}`);
  if (filters.wamid) parts.push("WhatsApp ID");
  if (filters.key) parts.push(`idempotency key ${filters.key}`);
  for (const { name, value } of filters.labels ?? []) parts.push(`label ${name} = ${value}`);
  if (filters.status) parts.push(`status ${filters.status.map(s => s.toLowerCase().replace("_", " ")).join(" or ")}`);
  if (filters.sender) parts.push(`sender ${filters.sender}`);
  if (filters.type) parts.push(`type ${filters.type.toLowerCase()}`);
  if (filters.priority) parts.push(`priority ${filters.priority.toLowerCase()}`);
  if (filters.template) parts.push(`template ${filters.template}`);
  if (filters.category) parts.push(`failure ${filters.category}`);
  if (filters.code !== undefined) parts.push(`code ${filters.code}`);
  if (filters.overdue) parts.push("delivery overdue");
  if (filters.from) parts.push(`queued from ${filters.from}`);
  if (filters.until) parts.push(`queued before ${filters.until}`);
  return parts;
}

/** Converts filters to the query of a link. fromQuery converts it back. */
export function toQuery(filters: Filters): URLSearchParams {
  const query = new URLSearchParams();
  for (const name of ["to", "user", "key", "wamid", "sender", "type", "priority", "template", "category", "from", "until"] as const) {
    const value = filters[name];
    if (value) query.set(name, value);
  }
  if (filters.code !== undefined) query.set("code", String(filters.code));
  if (filters.overdue) query.set("overdue", "1");
  for (const status of filters.status ?? []) query.append("status", status);
  for (const { name, value } of filters.labels ?? []) query.append("label", `${name}=${value}`);
  return query;
}

/** The parameters of a link to messages. The page is not a filter. */
const parameters = ["to", "user", "key", "wamid", "sender", "template", "category", "type", "priority", "code", "status", "label", "overdue", "from", "until", "page", "after"];

/** Reads the filters of a link. If a part is invalid, so are the filters: without it, they would match more. */
export function fromQuery(query: URLSearchParams): Filters {
  const filters: Filters = {};
  for (const [name, value] of query) {
    if (value === "" || name === "page" || name === "after") continue;
    if (!parameters.includes(name)) filters.invalid = `The address has an unknown filter, “${name}”.`;
    else if (name === "from" || name === "until") {
      only(filters, name, value);
      if (momentOf(value) === null) filters.invalid = `“${value}” is not a time.`;
    } else if (name === "overdue") {
      filters.overdue = true;
      if (value !== "1") filters.invalid = `“${value}” is not a value of overdue; use 1.`;
    } else if (name === "to" || name === "user" || name === "key" || name === "wamid" || name === "sender" || name === "template" || name === "category") {
      only(filters, name, value); // unchanged: a key can contain quotes
    } else if (name === "label") {
      if (!takeLabel(filters, value, text => text)) filters.invalid = `“${value}” is not a label; use label:name=value.`;
    } else if (!take(filters, `${name}:${value}`)) {
      filters.invalid = `“${value}” is not a value of ${name}.`;
    }
  }
  return filters;
}
