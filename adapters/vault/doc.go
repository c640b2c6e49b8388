// Package vault keeps what must not stand in the log: the secret key's uses and
// the access tokens of senders.
//
// The secret key never encrypts anything itself. Each use has a key of its own,
// derived from it by HKDF-SHA256 under a label, so that a fault in one use tells
// nothing about another. Several secret keys may be given, for rotation: the
// first seals and fingerprints, all of them open and compare.
package vault
