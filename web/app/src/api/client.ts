// GraphQL over HTTP, and an estimate of the server's clock.
import type { TypedDocumentString } from "./operations.ts";

/** An operation, with the types of its variables and its result. */
export type Operation<Data, Variables> = TypedDocumentString<Data, Variables>;

const requestTimeout = 15_000;

/** An error that the server returned, with its code. */
export class Refused extends Error {
  readonly code: string;
  readonly field: string | null;
  readonly messageId: string | null;
  /** After how many seconds to repeat the request, if Waypost is overloaded. */
  readonly retryAfter: number | null;

  constructor({ message, extensions = {} }: WireError) {
    super(message);
    this.code = extensions.code ?? "INTERNAL";
    this.field = extensions.field ?? null;
    this.messageId = extensions.messageId ?? null;
    this.retryAfter = extensions.retryAfter ?? null;
  }
}

/** Reports whether the server rejected a request permanently, so that repeating it is of no use. */
export const rejected = (error: unknown): error is Refused =>
  error instanceof Refused && ["FORBIDDEN", "INVALID_INPUT", "NOT_FOUND"].includes(error.code);

/** There was no response, so it is unknown whether a mutation was carried out. */
export class ServerAway extends Error {}

export interface WireError {
  message: string;
  extensions?: { code?: string; field?: string; messageId?: string; retryAfter?: number };
}

/** Returns the text to show for a thrown value. An error about a field names it. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const field = error instanceof Refused ? error.field?.split(".").at(-1)?.replace(/\[\d+\]/g, "") : null;
  if (!field || error.message.toLowerCase().includes(field.toLowerCase())) return error.message;
  return `${field.replace(/([A-Z])/g, " $1").replace(/^./, c => c.toUpperCase())}: ${error.message}`;
}

// Without a key, the browser's cookie identifies a person who signed in.
let key: string | null = null;

export const currentKey = (): string | null => key;
export function useKey(next: string | null): void {
  key = next;
}

/** The header or the connection parameter that identifies the caller. */
export const authorization = (): { authorization?: string } => (key === null ? {} : { authorization: `Bearer ${key}` });

export async function ask<Data,
  Variables>(operation: Operation<Data, Variables>, variables: Variables, signal?: AbortSignal): Promise<Data> {
  const timeout = AbortSignal.timeout(requestTimeout);
  let response: Response;
  let text: string;
  try {
    response = await fetch("graphql", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json", ...authorization() },
      body: JSON.stringify({ query: String(operation), variables }),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    sawServerTime(response.headers.get("date") ?? ""); // to the second; times in the results are more precise
    text = await response.text();
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new ServerAway("The server does not respond.", { cause });
  }
  const answer = parsed<Data>(text);
  const error = answer?.errors?.[0];
  if (error) throw new Refused(error);
  if (response.status === 401) throw new Refused({ message: "The key is not valid.", extensions: { code: "UNAUTHENTICATED" } });
  if (!response.ok || !answer?.data) throw new ServerAway(`The server responded with status ${response.status}.`);
  return answer.data;
}

function parsed<Data>(text: string): { data?: Data | null; errors?: WireError[] } | null {
  try {
    return JSON.parse(text) as { data?: Data | null; errors?: WireError[] };
  } catch {
    return null; // a response of a proxy, or one without a body
  }
}

// The browser's clock may be wrong, so ages and plots use the server's timestamps. A timestamp is never later than its
// arrival, so the greatest difference seen is the best estimate.
let offset: number | null = null;

export function sawServerTime(at: string): void {
  const seen = Date.parse(at) - Date.now();
  if (Number.isFinite(seen) && (offset === null || seen > offset)) offset = seen;
}

export const serverNow = (): number => Date.now() + (offset ?? 0);

/** Returns the milliseconds since a time of the server. */
export const since = (at: string): number => serverNow() - Date.parse(at);
