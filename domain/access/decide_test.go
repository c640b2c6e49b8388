package access_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

var (
	now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	all = access.Grant{Scopes: []access.Scope{access.ScopeAdmin}}
)

func grant(senders []string, scopes ...access.Scope) access.Grant {
	return access.Grant{Scopes: scopes, Senders: senders}
}

func fold(at time.Time, events ...domain.Event) access.Key {
	records := make([]access.Record, len(events))
	for i, e := range events {
		records[i] = access.Record{Event: e, At: at.Add(time.Duration(i) * time.Minute), By: domain.Platform("test")}
	}
	return access.Fold(records)
}

func TestCreate(t *testing.T) {
	t.Parallel()
	narrow := grant([]string{"a", "b"}, access.ScopeAdmin)
	for name, c := range map[string]struct {
		caller access.Grant
		in     access.Request
		code   domain.Code
		field  string
	}{
		"all":              {all, access.Request{Name: "n", Grant: grant(nil, access.Scopes()...)}, "", ""},
		"narrowed":         {narrow, access.Request{Name: "n", Grant: grant([]string{"b"}, access.ScopeSend)}, "", ""},
		"no name":          {all, access.Request{Grant: grant(nil, access.ScopeSend)}, domain.CodeInvalidInput, "name"},
		"name of two rows": {all, access.Request{Name: "a\nb", Grant: grant(nil, access.ScopeSend)}, domain.CodeInvalidInput, "name"},
		"no scope":         {all, access.Request{Name: "n"}, domain.CodeInvalidInput, "scopes"},
		"unknown scope":    {all, access.Request{Name: "n", Grant: grant(nil, "FLY")}, domain.CodeInvalidInput, "scopes"},
		"ended":            {all, access.Request{Name: "n", Grant: grant(nil, access.ScopeSend), ExpiresAt: now}, domain.CodeInvalidInput, "expiresAt"},
		"no sender":        {all, access.Request{Name: "n", Grant: grant([]string{}, access.ScopeSend)}, domain.CodeInvalidInput, "senderIds"},
		"sender without id": {
			all, access.Request{Name: "n", Grant: grant([]string{""}, access.ScopeSend)}, domain.CodeInvalidInput, "senderIds",
		},
		"scope that the caller lacks": {
			grant(nil, access.ScopeRead), access.Request{Name: "n", Grant: grant(nil, access.ScopeSend)}, domain.CodeForbidden, "scopes",
		},
		"sender out of reach": {narrow, access.Request{Name: "n", Grant: grant([]string{"b", "c"}, access.ScopeSend)}, domain.CodeForbidden, "senderIds"},
		"all senders by one of two": {
			narrow, access.Request{Name: "n", Grant: grant(nil, access.ScopeSend)}, domain.CodeForbidden, "senderIds",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.in.ID, c.in.Hash = "k", "h"
			events, err := access.Create(c.caller, c.in, now)
			if c.code == "" {
				k := fold(now, events...)
				if err != nil || !reflect.DeepEqual(k.Grant, c.in.Grant) || k.ID != "k" || k.CreatedAt != now || k.CheckActive(now) != nil {
					t.Errorf("made %+v, %v", k, err)
				}
				return
			}
			requireError(t, err, c.code, c.field)
		})
	}
}

func requireError(t *testing.T, err error, code domain.Code, field string) {
	t.Helper()
	e, ok := err.(*domain.Error) //nolint:errorlint // decisions answer it unwrapped
	if !ok || e.Code != code || e.Field != field {
		t.Errorf("got %v, want %s of %q", err, code, field)
	}
}

func TestTokenNeverOutlastsItsIssuer(t *testing.T) {
	t.Parallel()
	in := access.Request{ID: "t", Name: "token", Grant: grant(nil, access.ScopeRead)}
	issuer := access.Issuer{Grant: grant([]string{"a"}, access.ScopeSend, access.ScopeRead), Key: "k", ExpiresAt: now.Add(time.Minute)}
	events, err := access.CreateToken(issuer, in, time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	k := fold(now, events...)
	if !k.ExpiresAt.Equal(issuer.ExpiresAt) || !k.Token || k.Parent != "k" || !slices.Equal(k.Senders, issuer.Senders) {
		t.Errorf("made %+v", k)
	}
	if access.Use(k, now) != nil {
		t.Error("the use of a token is recorded")
	}
	in.Scopes = []access.Scope{access.ScopeAudit}
	_, err = access.CreateToken(issuer, in, time.Hour, now)
	requireError(t, err, domain.CodeForbidden, "scopes")
	for _, ttl := range []time.Duration{0, access.MaxTTL + 1} {
		_, err = access.CreateToken(issuer, in, ttl, now)
		requireError(t, err, domain.CodeInvalidInput, "ttl")
	}
	issuer.Token = true
	_, err = access.CreateToken(issuer, in, time.Hour, now)
	requireError(t, err, domain.CodeForbidden, "")
}

func TestRevokedAndEndedKeysCountNoMore(t *testing.T) {
	t.Parallel()
	made, err := access.Create(all, access.Request{ID: "k", Name: "n", Hash: "h", Grant: all, ExpiresAt: now.Add(time.Hour)}, now)
	if err != nil {
		t.Fatal(err)
	}
	k := fold(now, made...)
	requireError(t, k.CheckActive(k.ExpiresAt), domain.CodeUnauthenticated, "")
	requireError(t, access.Key{}.CheckActive(now), domain.CodeUnauthenticated, "")
	events, err := access.Revoke(k)
	if err != nil || len(events) != 1 {
		t.Fatalf("revoked by %v, %v", events, err)
	}
	revoked := fold(now, append(made, events...)...)
	requireError(t, revoked.CheckActive(now), domain.CodeUnauthenticated, "")
	if again, err := access.Revoke(revoked); again != nil || err != nil {
		t.Errorf("revoked twice by %v, %v", again, err)
	}
	_, err = access.Revoke(access.Key{})
	requireError(t, err, domain.CodeNotFound, "")
}

func TestUseIsRecordedOnceAnHour(t *testing.T) {
	t.Parallel()
	made, err := access.Create(all, access.Request{ID: "k", Name: "n", Grant: all}, now)
	if err != nil {
		t.Fatal(err)
	}
	k := fold(now, made...)
	used := access.Use(k, now)
	if len(used) != 1 {
		t.Fatalf("first use: %v", used)
	}
	k = k.Apply(access.Record{Event: used[0], At: now})
	if again := access.Use(k, now.Add(access.UseEvery-1)); again != nil || k.LastUsedAt != now {
		t.Errorf("used again within the hour: %v", again)
	}
	if again := access.Use(k, now.Add(access.UseEvery)); len(again) != 1 {
		t.Errorf("used an hour later: %v", again)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	secret := access.NewSecret(id, [access.SecretBytes]byte{1, 2, 3})
	if got, ok := access.ParseSecret(secret); !ok || got != id {
		t.Errorf("secret of %v, %t; want %v", got, ok, id)
	}
	k := access.Key{ID: id.String(), Hash: access.Hash(secret)}
	if !k.MatchesSecret(secret) || k.MatchesSecret(secret[:len(secret)-1]+"B") || (access.Key{}).MatchesSecret("") {
		t.Error("fits another secret, or not its own")
	}
	for _, none := range []string{"", "wpk_", secret[1:], secret + "A", secret[:len(secret)-1], "wpk_!" + secret[5:]} {
		if _, ok := access.ParseSecret(none); ok {
			t.Errorf("%q is accepted as a secret", none)
		}
	}
}

// However keys create keys, none grants more than it has.
func TestNobodyGivesMoreThanItHas(t *testing.T) {
	t.Parallel()
	senders := rapid.OneOf(rapid.Just([]string(nil)), rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 3, rapid.ID[string]))
	scopes := rapid.SliceOfNDistinct(rapid.SampledFrom(access.Scopes()), 1, -1, rapid.ID[access.Scope])
	rapid.Check(t, func(t *rapid.T) {
		caller := access.Grant{Scopes: scopes.Draw(t, "has"), Senders: senders.Draw(t, "reaches")}
		in := access.Request{ID: "k", Name: "n", Grant: access.Grant{Scopes: scopes.Draw(t, "gives"), Senders: senders.Draw(t, "for")}}
		for _, s := range access.Scopes() { // what is given, one by one, is had
			if !caller.Covers(in.Grant) {
				break
			}
			if in.Allows(s) && !caller.Allows(s) {
				t.Fatalf("%v covers %v, which allows %s", caller, in.Grant, s)
			}
		}
		_, err := access.Create(caller, in, now)
		if made := err == nil; made != caller.Covers(in.Grant) {
			t.Fatalf("made %t (%v), covered %t", made, err, caller.Covers(in.Grant))
		}
	})
}

func FuzzKeyOf(f *testing.F) {
	f.Add(access.NewSecret(uuid.New(), [access.SecretBytes]byte{}))
	f.Add("wpk_")
	f.Fuzz(func(t *testing.T, secret string) {
		id, ok := access.ParseSecret(secret)
		if !ok && id != uuid.Nil {
			t.Errorf("%q is no secret, and of key %v", secret, id)
		}
		if ok && len(secret) != len(access.SecretPrefix)+64 {
			t.Errorf("%q is accepted as a secret", secret)
		}
	})
}
