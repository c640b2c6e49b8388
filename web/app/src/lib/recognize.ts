// Parses the text in the search box. Pure functions.
import { visible } from "./format.ts";

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

const unquoted = (text: string): string => text.replace(/^"(.*)"$/, "$1");

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
  const named = /^(id|to|user|phone|number|key|wamid|status|label|sender|type|priority|template|category|code):(.+)$/i.exec(part);
  if (named) {
    const value = unquoted(named[2]!);
    switch (named[1]!.toLowerCase()) {
      case "id": found.id = value; return true;
      case "to": case "phone": case "number": found.to = value; return true;
      case "user": found.user = value; return true;
      case "key": found.key = value; return true;
      case "wamid": found.wamid = value; return true;
      case "sender": found.sender = value; return true;
      case "template": found.template = value; return true;
      case "category": found.category = value; return true;
      case "type":
        if (types.some(t => t === enumName(value))) found.type = enumName(value);
        else found.invalid = `There is no type “${value}”; types are ${listed(types)}.`;
        return true;
      case "priority":
        if (priorities.some(p => p === enumName(value))) found.priority = enumName(value);
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
          if (status) found.status = [...(found.status ?? []), status];
          else found.invalid = `There is no status “${name}”; statuses are ${listed(statuses)}.`;
        }
        return true;
    }
  }
  if (/^overdue$/i.test(part)) found.overdue = true;
  else if (/^…?[0-9a-f]{8}$/i.test(part) && (part.startsWith("…") || /[a-f]/i.test(part))) found.end = part.replace("…", "").toLowerCase();
  else if (uuid.test(part)) found.id = part.toLowerCase();
  else if (/^wamid\./i.test(part)) found.wamid = part;
  else if (isPhone(part)) found.to = part;
  else if (userId.test(part)) found.user = part;
  else if (statusNamed(part)) found.status = [...(found.status ?? []), statusNamed(part)!];
  else return takeLabel(found, part);
  return true;
}

function takeLabel(found: Filters, text: string): boolean {
  const at = text.indexOf("=");
  if (at <= 0) return false;
  found.labels = [...(found.labels ?? []), { name: unquoted(text.slice(0, at)), value: unquoted(text.slice(at + 1)) }];
  return true;
}

/** Describes the filters, for the line below the box. */
export const describe = (filters: Filters): string[] => parts(filters).map(visible);

function parts(filters: Filters): string[] {
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

export function fromQuery(query: URLSearchParams): Filters {
  const filters: Filters = {};
  for (const name of ["to", "user", "key", "wamid", "sender", "template", "category"] as const) {
    const value = query.get(name);
    if (value) filters[name] = value;
  }
  const type = query.get("type"), priority = query.get("priority"), code = query.get("code");
  for (const name of ["from", "until"] as const) {
    const value = query.get(name);
    if (value && !Number.isNaN(Date.parse(value))) filters[name] = value;
  }
  if (types.some(t => t === type)) filters.type = type!;
  if (priorities.some(p => p === priority)) filters.priority = priority!;
  if (code && /^\d+$/.test(code)) filters.code = Number(code);
  if (query.get("overdue") === "1") filters.overdue = true;
  const known = query.getAll("status").filter(status => statuses.some(s => s === status));
  if (known.length > 0) filters.status = known;
  for (const label of query.getAll("label")) takeLabel(filters, label);
  return filters;
}
