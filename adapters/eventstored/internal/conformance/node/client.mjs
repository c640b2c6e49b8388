// Runs the official Node client against the server in the connection string. The Node client uses parts of the protocol
// that the Go client does not, for example batch appends and IDs as text. The exit code is 0 if everything works.
import assert from "node:assert/strict";
import { test } from "node:test";
import { randomUUID } from "node:crypto";
import {
  ANY, BACKWARDS, END, EventStoreDBClient, FORWARDS, NO_STREAM, START, StreamNotFoundError, WrongExpectedVersionError,
  eventTypeFilter, jsonEvent, persistentSubscriptionToStreamSettingsFromDefaults, streamNameFilter,
} from "@eventstore/db-client";

const patience = { timeout: 30_000 };
const client = EventStoreDBClient.connectionString(process.env.EVENTSTORE_URL);
const events = (n, type = "Happened") =>
  Array.from({ length: n }, (_, i) => jsonEvent({ type, data: { i }, metadata: { from: "node" } }));
const fresh = () => `node-${randomUUID()}`;
const collect = async (read) => {
  const all = [];
  for await (const resolved of read) all.push(resolved.event);
  return all;
};
// next returns the next n events of a subscription and ends it.
const next = async (subscription, n) => {
  const all = [];
  for await (const resolved of subscription) {
    all.push(resolved.event);
    if (all.length === n) break;
  }
  await subscription.unsubscribe();
  return all;
};

test("appends and reads", patience, async () => {
  const stream = fresh();
  const written = events(5);
  const result = await client.appendToStream(stream, written, { expectedRevision: NO_STREAM });
  assert.equal(result.success, true);
  assert.equal(result.nextExpectedRevision, 4n);
  const read = await collect(client.readStream(stream, { direction: FORWARDS, fromRevision: START }));
  assert.deepEqual(read.map((e) => e.id), written.map((e) => e.id));
  assert.deepEqual(read.map((e) => e.data.i), [0, 1, 2, 3, 4]);
  assert.equal(read[0].metadata.from, "node");
  const back = await collect(client.readStream(stream, { direction: BACKWARDS, fromRevision: END, maxCount: 2 }));
  assert.deepEqual(back.map((e) => e.revision), [4n, 3n]);
  const [newest] = await collect(client.readAll({ direction: BACKWARDS, fromPosition: END, maxCount: 1 }));
  assert.equal(newest.event?.id ?? newest.id, written[4].id);
});

test("repeats an append and is refused a wrong one", patience, async () => {
  const stream = fresh();
  const written = events(2);
  const first = await client.appendToStream(stream, written, { expectedRevision: NO_STREAM });
  const again = await client.appendToStream(stream, written, { expectedRevision: NO_STREAM });
  assert.equal(again.nextExpectedRevision, first.nextExpectedRevision);
  await assert.rejects(client.appendToStream(stream, events(1), { expectedRevision: NO_STREAM }), (err) => {
    assert.ok(err instanceof WrongExpectedVersionError);
    assert.equal(err.actualVersion, 1n);
    return true;
  });
});

test("appends large batches", patience, async () => {
  const stream = fresh();
  const many = Array.from({ length: 300 }, (_, i) => jsonEvent({ type: "Large", data: { i, text: "x".repeat(2000) } }));
  await client.appendToStream(stream, many, { expectedRevision: ANY });
  const read = await collect(client.readStream(stream, { maxCount: 1000 }));
  assert.equal(read.length, 300);
  assert.equal(read[299].data.i, 299);
});

test("misses a stream and deletes one", patience, async () => {
  const stream = fresh();
  await assert.rejects(collect(client.readStream(stream)), StreamNotFoundError);
  await client.appendToStream(stream, events(1));
  await client.deleteStream(stream);
  await assert.rejects(collect(client.readStream(stream)), StreamNotFoundError);
  await client.appendToStream(stream, events(1));
  const [revived] = await collect(client.readStream(stream));
  assert.equal(revived.revision, 1n);
});

test("keeps metadata", patience, async () => {
  const stream = fresh();
  await client.appendToStream(stream, events(5));
  await client.setStreamMetadata(stream, { maxCount: 2 });
  assert.equal((await client.getStreamMetadata(stream)).metadata.maxCount, 2);
  assert.equal((await collect(client.readStream(stream))).length, 2);
});

test("subscribes to a stream, from the past into the present", patience, async () => {
  const stream = fresh();
  await client.appendToStream(stream, events(3, "Past"));
  const subscription = client.subscribeToStream(stream, { fromRevision: START });
  const seen = next(subscription, 5);
  await client.appendToStream(stream, events(2, "Present"));
  assert.deepEqual((await seen).map((e) => e.type), ["Past", "Past", "Past", "Present", "Present"]);
});

test("subscribes to everything, filtered", patience, async () => {
  const stream = fresh();
  const type = `Only-${randomUUID()}`;
  const byStream = next(client.subscribeToAll({ fromPosition: START, filter: streamNameFilter({ prefixes: [stream] }) }), 4);
  const byType = next(client.subscribeToAll({ fromPosition: START, filter: eventTypeFilter({ regex: `^${type}$` }) }), 2);
  await client.appendToStream(stream, events(2));
  await client.appendToStream(stream, events(2, type));
  assert.deepEqual((await byStream).map((e) => e.revision), [0n, 1n, 2n, 3n]);
  assert.deepEqual((await byType).map((e) => e.revision), [2n, 3n]);
});

test("takes part in a group", patience, async () => {
  const stream = fresh();
  await client.createPersistentSubscriptionToStream(stream, "group", persistentSubscriptionToStreamSettingsFromDefaults({ startFrom: START }));
  await client.appendToStream(stream, events(3));
  const group = client.subscribeToPersistentSubscriptionToStream(stream, "group");
  const seen = [];
  for await (const resolved of group) {
    seen.push(resolved.event.revision);
    await group.ack(resolved);
    if (seen.length === 3) break;
  }
  await group.unsubscribe();
  assert.deepEqual(seen, [0n, 1n, 2n]);
  await client.deletePersistentSubscriptionToStream(stream, "group");
});

test.after(() => client.dispose());
