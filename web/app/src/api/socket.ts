// Subscriptions over one WebSocket, with graphql-transport-ws. After a lost connection, each resumes after its last cursor,
// so nothing is missed or repeated.
import { currentKey, Refused, type WireError } from "./client.ts";
import type { Operation } from "./operations.ts";

const silence = 30_000; // ms without a message after which the connection is considered lost

export type LiveState = "connecting" | "live" | "lost";

interface Entry {
  operation: Operation<unknown, unknown>;
  variables: Record<string, unknown>;
  options: Options<never>;
}

export interface Options<Data> {
  next: (data: Data) => void;
  /** Returns the cursor of a message. The subscription resumes after it. */
  cursor?: (data: Data) => string;
  /** Called if the cursor belongs to another event log (after a restore), to start again. */
  gone?: () => void;
  /** Called if the server permanently rejects the subscription. */
  refused?: (error: Refused) => void;
}

interface Frame { id?: string; type: string; payload?: unknown }

class Connection {
  onState: (state: LiveState) => void = () => {};
  onUnauthenticated: (reason: string) => void = () => {};

  private readonly entries = new Map<string, Entry>();
  private socket: WebSocket | null = null;
  private ready = false;
  private heard = 0;
  private failures = 0;
  private ids = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private watch: ReturnType<typeof setInterval> | undefined;

  /** Subscribes. Returns a function that ends the subscription. */
  subscribe<Data, Variables>(operation: Operation<Data, Variables>, variables: Variables, options: Options<Data>): () => void {
    const id = String(++this.ids);
    this.entries.set(id, {
      operation: operation as Operation<unknown, unknown>, variables: variables as Record<string, unknown>,
      options: options as unknown as Options<never>,
    });
    if (this.ready) this.begin(id);
    else if (!this.socket) this.open();
    return () => {
      if (this.entries.delete(id) && this.ready) this.send({ id, type: "complete" });
    };
  }

  /** Ends all subscriptions and disconnects. */
  close(): void {
    this.entries.clear();
    clearTimeout(this.retry);
    this.drop();
    this.failures = 0;
  }

  /** Connects immediately instead of at the next retry. */
  hurry(): void {
    if (this.socket || this.entries.size === 0) return;
    clearTimeout(this.retry);
    this.open();
  }

  private open(): void {
    this.retry = undefined;
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
    socket.onopen = () => this.send({ type: "connection_init", payload: { authorization: `Bearer ${currentKey()}` } });
    socket.onmessage = ({ data }) => {
      this.heard = Date.now();
      if (socket === this.socket) this.receive(JSON.parse(data as string) as Frame);
    };
    socket.onclose = ({ code }) => this.lost(socket, code);
  }

  private begin(id: string): void {
    const { operation, variables } = this.entries.get(id)!;
    this.send({ id, type: "subscribe", payload: { query: operation.text, operationName: operation.name, variables } });
  }

  private send(frame: Frame): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(frame));
  }

  private receive({ id, type, payload }: Frame): void {
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
        const entry = this.entries.get(id!);
        if (!entry) break; // it was ended in the meantime
        const { data, errors } = payload as { data: never; errors?: WireError[] };
        if (errors?.length) {
          this.failed(id!, entry, errors[0]!);
          break;
        }
        const cursor = entry.options.cursor?.(data);
        if (cursor) entry.variables = { ...entry.variables, after: cursor };
        entry.options.next(data);
        break;
      }
      case "error": {
        const entry = this.entries.get(id!);
        if (entry) this.failed(id!, entry, (payload as WireError[])[0]!);
        break;
      }
      case "complete":
        // The server ends a subscription that it cannot continue, for example if the reader is too slow: subscribe again.
        if (this.entries.has(id!)) setTimeout(() => this.ready && this.entries.has(id!) && this.begin(id!), 1000);
        break;
    }
  }

  private failed(id: string, entry: Entry, wire: WireError): void {
    const error = new Refused(wire);
    switch (error.code) {
      case "CURSOR_GONE":
        this.entries.delete(id);
        entry.options.gone?.();
        break;
      case "UNAUTHENTICATED":
        this.onUnauthenticated(error.message);
        break;
      case "FORBIDDEN": case "INVALID_INPUT": case "NOT_FOUND":
        this.entries.delete(id);
        entry.options.refused?.(error);
        break;
      default:
        setTimeout(() => this.ready && this.entries.has(id) && this.begin(id), 2000);
    }
  }

  private drop(): void {
    const socket = this.socket;
    this.socket = null;
    this.ready = false;
    clearInterval(this.watch);
    socket?.close(1000);
  }

  private lost(socket: WebSocket, reason: number | string): void {
    if (socket !== this.socket) return;
    this.drop();
    if (reason === 4401 || reason === 4403) {
      this.onUnauthenticated("The key is no longer valid.");
      return;
    }
    this.onState("lost");
    if (this.entries.size === 0) return;
    const wait = Math.min(10_000, 500 * 2 ** Math.min(this.failures++, 5)) * (0.75 + Math.random() / 2);
    this.retry = setTimeout(() => this.open(), wait);
  }
}

export const connection = new Connection();
