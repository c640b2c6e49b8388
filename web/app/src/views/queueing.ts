// Queues messages for the forms that write them.
import { ask, Refused } from "../api/client.ts";
import { Queue, type MessageContentInput, type QueueData, type QueueMessageInput } from "../api/operations.ts";
import { count } from "../lib/format.ts";
import { freshKey } from "../ui/parts.ts";

/** The maximum number of times that an input is queued while Waypost is overloaded. */
const maxTries = 5;

/** The maximum length of a text in characters, by WhatsApp. A browser that enforced it would cut a longer text silently. */
const maxText = 4096;

/** The keys of inputs with an unknown outcome, so that queueing one again sends nothing twice. */
const pending = new Map<string, string>();
const maxPending = 100;

/** An invalid field of a form. */
export class WrongField extends Error {
  readonly field: string;
  constructor(name: string, text: string) {
    super(text);
    this.field = name;
  }
}

/**
 * Queues an input. While Waypost is overloaded, it waits for the time that Waypost asks for and tries again, until stopped
 * returns true. waiting is called with the text to show until then.
 */
export async function queueOnce(input: QueueMessageInput, waiting: (text: string) => void, stopped: () => boolean): Promise<QueueData["queueMessage"]> {
  const content = JSON.stringify(input);
  const idempotencyKey = input.idempotencyKey ?? pending.get(content) ?? freshKey();
  pending.set(content, idempotencyKey);
  if (pending.size > maxPending) pending.delete(pending.keys().next().value!);
  for (let tries = 1; ; tries++) {
    try {
      const { queueMessage } = await ask(Queue, { input: { ...input, idempotencyKey } });
      pending.delete(content);
      return queueMessage;
    } catch (error) {
      const wait = error instanceof Refused ? error.retryAfter : null;
      if (!wait || tries === maxTries || stopped()) throw error;
      waiting(`Waypost is overloaded. Trying again in ${wait} s.`);
      await new Promise(resolve => setTimeout(resolve, wait * 1000));
      if (stopped()) throw error;
    }
  }
}

/** Returns the content of a text from the form's field body. */
export function textContent(body: string): MessageContentInput {
  const length = [...body].length;
  if (length > maxText) throw new WrongField("body", `The text has ${count(length)} characters; WhatsApp accepts ${count(maxText)}.`);
  return { text: { body } };
}
