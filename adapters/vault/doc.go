// Package vault stores what must not be in the event log: the access tokens of senders,
// and the data keys that personal data is sealed under. It also derives the keys for the
// uses of the secret key.
//
// The secret key itself never encrypts anything. Each use has its own key, derived by
// HKDF-SHA256 under a label, so that a flaw in one use reveals nothing about another. For
// rotation, there can be several secret keys: the first one seals and fingerprints, all of
// them open and compare, and [DataKeys.Rewrap] rewraps data keys and tokens that an older
// key has wrapped.
//
// # Data keys
//
// Personal data in an event is sealed (AES-256-GCM, bound to the event's type and stream)
// under a data key of the person that it is about: the recipient of a message, the user who
// wrote one, or a person named in a change of an account. Rows of the read model contain it
// sealed under the same key, and keyed hashes for lookups. To forget a person is to destroy
// their keys: the log, the read models, the write-ahead logs of both, and every backup made
// later become unreadable immediately. Only the keys themselves must be removed from the
// files, which are a few small tables of the vault and the write-ahead log behind them: see
// [DataKeys.PurgeFiles]. An erasure is recorded as due for it until it has succeeded.
//
//   - A person is identified by a keyed hash of number or user ID, and only in
//     waypost_vault. WhatsApp may know a number under another ID (for example, in Mexico);
//     the acceptance that reports this ID links both.
//   - Data about several people is sealed under a key of its own, which is destroyed with
//     the first of them who is forgotten. Data about no individual person (a change of an
//     account that names no one, an operator's reason) is sealed under a key of the
//     installation: it is not stored in plain text, and no erasure on request concerns it.
//   - Data that outlives the retention (a person's choice about marketing, the label of a
//     paused campaign) is sealed under a key of its own each time.
//   - A person has one key per generation of up to 30 days, or of an eighth of the retention
//     and at most a day. A generation limits how much one key seals, and lets data expire by
//     destroying whole keys: at the latest one generation after the data has reached the
//     retention. A person can have more keys; they are destroyed together.
//   - A destroyed key leaves its ID, which is random, and the time. So erased data can be
//     distinguished from data whose key is missing. A missing key proves nothing: it may be
//     in a backup.
//
// # Accepting without Postgres
//
// Messages must be accepted and statuses recorded while Postgres is unavailable, and
// everything accepted must be readable after any crash. So no caller waits for a new key: it
// is derived from a seed that is stored in waypost_vault before the first key is derived
// from it, one seed per process. The keys themselves are stored a quarter of a second later,
// many at once, or when Postgres is back. Until then, and after a crash, they can be derived
// again from the seed. The seed of a process that ended is followed through the log, which
// contains, sealed, the owner of each key. A seed is deleted in the transaction that stores
// its last keys: from then on, each of them can be destroyed individually, and destroying a
// key waits for that. This requires no state on the nodes' disks, no unbounded stock of keys
// made in advance, and nothing in the log that would have to be removed.
//
// While Postgres is unavailable, personal data whose keys are not cached stays locked:
// statuses are still recorded, but sending waits.
package vault
