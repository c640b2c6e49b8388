// Package vault keeps what must not stand in the log: the secret key's uses, the
// access tokens of senders, and the data keys under which personal data are sealed.
//
// The secret key never encrypts anything itself. Each use has a key of its own,
// derived from it by HKDF-SHA256 under a label, so that a fault in one use tells
// nothing about another. Several secret keys may be given, for rotation: the
// first seals and fingerprints, all of them open and compare, and what an older one
// has wrapped is wrapped anew ([DataKeys.Rewrap]).
//
// # Data keys
//
// What is personal in an event is sealed (AES-256-GCM, bound to the event's type and
// stream) under a data key of the person it is about: the recipient of a message,
// the user who wrote one, whom a change of an account names. Rows of the read model
// hold it sealed under the same key, and what they are looked up by as keyed hashes.
// To forget somebody is to destroy their keys: the log, the read models, the writes
// ahead of either and every backup that is taken later can be read no more, at once,
// and nothing has to be found and scrubbed.
//
//   - A person is known by a keyed hash of number or user id, and only in
//     waypost_vault. WhatsApp may know a number under another id (in Mexico, for one);
//     the acceptance that says so links both.
//   - Data about several people are sealed under a key of their own, which goes with
//     the first of them who is forgotten. Data about nobody in particular (a change of
//     an account that names no one, an operator's reason) are sealed under a key of
//     the installation: they are not in the clear, and no erasure is about them.
//   - A person has one key for a generation of up to 30 days, or an eighth of the
//     retention and a day at most. A generation bounds what one key seals, and lets
//     data age out by destroying whole keys: at the latest one generation after they
//     are as old as is kept. A person may have more keys; they go together.
//   - A destroyed key leaves its id, which is random, and the time. So what is erased
//     can be told from a key that is missing, of which nothing is concluded: it may be
//     in a backup.
//
// # Accepting without Postgres
//
// A message must be accepted, and a status recorded, while Postgres is away, and what
// was accepted must be readable after any crash. So a new key is never waited for: it
// is derived from a seed that stands in waypost_vault before the first key is made of
// it, one for each process. The keys themselves are stored a quarter of a second
// later, many at once, or when Postgres is back. Until then, and after a crash, the
// seed gives them again; the seed of a process that ended is followed through the log,
// which says, sealed, whose each key is. A seed is deleted in the transaction that
// stores its last keys: from then on each of them can be destroyed for itself, and
// destroying a key waits for that. It takes no state on the nodes' disks, no unbounded
// stock of keys made ahead, and nothing in the log that would have to be removed.
//
// Keys that are not at hand while Postgres is away leave personal data locked:
// statuses are recorded all the same, sending waits.
package vault
