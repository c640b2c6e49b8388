// Subscriptions over one WebSocket. After a lost connection, each resumes after its last cursor, so nothing is missed or
// repeated.
import { createClient } from "graphql-ws";
import { authorization, Refused, rejected, type WireError } from "./client.ts";
import type { Operation } from "./client.ts";

const pingEvery = 10_000; // ms
const silence = 20_000; // ms without a pong after which the connection is considered lost
const longestWait = 10_000; // ms between attempts to connect
const unauthorized = [4401, 4403]; // the close codes of the server for a key that is not valid, or no longer

export type LiveState = "connecting" | "live" | "lost";

export interface Options<Data> {
  next: (data: Data) => void;
  /** Returns the cursor of a message. The subscription resumes after it. */
  cursor?: (data: Data) => string;
  /** Called if the cursor belongs to another event log (after a restore), to start again. */
  gone?: () => void;
  /** Called if the server permanently rejects the subscription. */
  refused?: (error: Refused) => void;
}

class Connection {
  onState: (state: LiveState) => void = () => {};
  /** Called with the reason, or with an empty text if the key or the session is no longer valid. */
  onUnauthenticated: (reason: string) => void = () => {};

  private readonly open = new Set<() => void>(); // the ends of all subscriptions
  private hurried: () => void = () => {};
  private unanswered: ReturnType<typeof setTimeout> | undefined;

  private readonly client = createClient({
    url: () => {
      const url = new URL("graphql", location.href);
      url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
      url.hash = "";
      return url.href;
    },
    connectionParams: authorization,
    connectionAckWaitTimeout: silence,
    keepAlive: pingEvery,
    retryAttempts: Infinity,
    shouldRetry: () => true, // also if the connection was refused
    retryWait: failures => new Promise(resolve => {
      this.hurried = resolve;
      setTimeout(resolve, Math.min(longestWait, 500 * 2 ** Math.min(failures, 5)) * (0.75 + Math.random() / 2));
    }),
    on: {
      connected: () => this.onState("live"),
      ping: received => {
        if (!received) this.unanswered = setTimeout(() => this.client.terminate(), silence);
      },
      pong: received => {
        if (received) clearTimeout(this.unanswered);
      },
      closed: event => {
        clearTimeout(this.unanswered);
        if (unauthorized.includes((event as CloseEvent).code)) this.onUnauthenticated("");
        else if (this.open.size > 0) this.onState("lost");
      },
    },
  });

  /** Subscribes. Returns a function that ends the subscription. */
  subscribe<Data, Variables>(operation: Operation<Data, Variables>, variables: Variables, options: Options<Data>): () => void {
    // The client sends the payload again when it has reconnected, so its cursor is always the last one.
    const payload = { query: String(operation), variables: { ...variables } as Record<string, unknown> };
    let ended = false, cancel: () => void = () => {}, again: ReturnType<typeof setTimeout> | undefined;
    const end = (): void => {
      ended = true;
      clearTimeout(again);
      this.open.delete(end);
      cancel();
    };
    const begin = (): void => {
      cancel = this.client.subscribe<Data>(payload, {
        next: ({ data, errors }) => {
          if (ended) return;
          if (errors?.length) return failed(errors as unknown as WireError[]);
          const cursor = options.cursor?.(data!);
          if (cursor) payload.variables.after = cursor;
          options.next(data!);
        },
        error: failed,
        // The server ends a subscription that it cannot continue, for example if the reader is too slow.
        complete: () => retry(1000),
      });
    };
    const retry = (wait: number): void => {
      clearTimeout(again);
      if (!ended) again = setTimeout(begin, wait);
    };
    const failed = (cause: unknown): void => {
      if (ended) return;
      const error = Array.isArray(cause) ? new Refused(cause[0] as WireError) : null;
      if (error?.code === "CURSOR_GONE") {
        end();
        options.gone?.();
      } else if (error?.code === "UNAUTHENTICATED") {
        this.onUnauthenticated(error.message);
      } else if (rejected(error)) {
        end();
        options.refused?.(error);
      } else {
        cancel();
        retry(2000);
      }
    };
    this.open.add(end);
    begin();
    return end;
  }

  /** Ends all subscriptions and disconnects. */
  close(): void {
    for (const end of [...this.open]) end();
  }

  /** Connects immediately instead of at the next retry. */
  hurry(): void {
    this.hurried();
  }
}

export const connection = new Connection();
