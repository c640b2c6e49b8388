package command_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

// keysPatience bounds every wait of the tests.
const keysPatience = time.Minute

func newKeyID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// keyLog is a real log that knows keys.
func keyLog(t *testing.T) *eventstore.Log {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), keysPatience)
	defer cancel()
	store, err := eventstored.Open(ctx, eventstored.Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	codec, err := event.NewCodec(event.Types(), access.Types())
	if err != nil {
		t.Fatal(err)
	}
	log, err := eventstore.Open(ctx, eventstore.Options{URL: store.URL(), Codec: codec})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), keysPatience)
		defer cancel()
		if err := errors.Join(log.Close(ctx), store.Close(ctx)); err != nil {
			t.Error(err)
		}
	})
	return log
}

// process is the repository of one process, that follows the log. Its timers are
// the test's: a value on flush records the use of keys.
type process struct {
	*command.Keys
	flush chan time.Time
}

func startProcess(t *testing.T, log event.Log, clock command.Clock) process {
	t.Helper()
	p := process{command.NewKeys(log, clock, newKeyID, rand.Reader, slog.New(slog.DiscardHandler)), make(chan time.Time)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, func(time.Duration) <-chan time.Time { return p.flush }) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("run ended: %v", err)
		}
	})
	return p
}

var (
	admin = access.Grant{Scopes: []access.Scope{access.ScopeAdmin}}
	cause = command.Cause{By: domain.Platform("test")}
)

func (p process) mustCreate(t *testing.T, name string) (access.Key, string) {
	t.Helper()
	k, secret, err := p.Create(t.Context(), admin, access.Request{Name: name, Grant: admin}, cause)
	if err != nil {
		t.Fatal(err)
	}
	return k, secret
}

// until waits for what other processes and timers bring about.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(keysPatience); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// What one process revokes counts in no other, also when they use the key all the
// time while it is revoked.
func TestKeyRevokedElsewhereCountsNoMore(t *testing.T) {
	t.Parallel()
	log := keyLog(t)
	here, there := startProcess(t, log, time.Now), startProcess(t, log, time.Now)
	k, secret := here.mustCreate(t, "shop")
	token, tokenSecret, err := here.CreateToken(t.Context(), access.Issuer{Grant: admin, Key: k.ID},
		access.Request{Name: "token", Grant: admin}, time.Hour, cause)
	if err != nil {
		t.Fatal(err)
	}
	var users sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		users.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := there.Authenticate(t.Context(), secret); err != nil && domain.CodeOf(err) != domain.CodeUnauthenticated {
					t.Error(err)
					return
				}
			}
		})
	}
	if _, err := here.Revoke(t.Context(), admin, k.ID, cause); err != nil {
		t.Fatal(err)
	}
	// Where it was revoked it counts no more at once.
	if _, err := here.Authenticate(t.Context(), secret); domain.CodeOf(err) != domain.CodeUnauthenticated {
		t.Errorf("right after it was revoked: %v", err)
	}
	until(t, "the other process takes note", func() bool { return there.Standing(t.Context(), k.ID) != nil })
	close(stop)
	users.Wait()
	for _, s := range []string{secret, tokenSecret} {
		if _, err := there.Authenticate(t.Context(), s); domain.CodeOf(err) != domain.CodeUnauthenticated {
			t.Errorf("in the other process: %v", err)
		}
	}
	if err := there.Standing(t.Context(), token.ID); domain.CodeOf(err) != domain.CodeUnauthenticated {
		t.Errorf("the token of a revoked key: %v", err)
	}
}

func TestKeysAreListedFromTheLog(t *testing.T) {
	t.Parallel()
	log := keyLog(t)
	p := startProcess(t, log, time.Now)
	// One that was listed and then not made, as by a crash in between.
	_, err := log.Append(t.Context(), event.KeysStream, event.Any(), event.New{ID: newKeyID(), Event: access.KeyListed{Key: uuid.NewString()}})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, name := range []string{"a", "b", "c"} {
		k, _ := p.mustCreate(t, name)
		want = append(want, k.ID)
	}
	keys, err := p.List(t.Context())
	if err != nil || len(keys) != len(want) {
		t.Fatalf("listed %v, %v", keys, err)
	}
	for i, k := range keys {
		if k.ID != want[i] || k.CreatedBy != cause.By {
			t.Errorf("key %d is %+v, want %s", i, k, want[i])
		}
	}
}

func TestUseOfAKeyIsRecorded(t *testing.T) {
	t.Parallel()
	p := startProcess(t, keyLog(t), time.Now)
	k, secret := p.mustCreate(t, "shop")
	for range 3 {
		if _, err := p.Authenticate(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		p.flush <- time.Now()
	}
	until(t, "the use is recorded", func() bool {
		keys, err := p.List(t.Context())
		return err == nil && !keys[0].LastUsedAt.IsZero() && keys[0].ID == k.ID
	})
}

func TestSecretsOfNoKey(t *testing.T) {
	t.Parallel()
	p := startProcess(t, keyLog(t), time.Now)
	k, secret := p.mustCreate(t, "shop")
	id := uuid.MustParse(k.ID)
	for name, guess := range map[string]string{
		"another secret of the key": access.NewSecret(id, [access.SecretBytes]byte{1}),
		"of a key that is not":      access.NewSecret(uuid.New(), [access.SecretBytes]byte{1}),
		"no secret":                 "hunter2",
		"part of it":                secret[:len(secret)-1],
	} {
		if _, err := p.Authenticate(t.Context(), guess); domain.CodeOf(err) != domain.CodeUnauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := p.Revoke(t.Context(), access.Grant{Scopes: admin.Scopes, Senders: []string{"a"}}, k.ID, cause); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("revoked out of reach: %v", err)
	}
}

// BenchmarkAuthenticate is what a key costs every request.
func BenchmarkAuthenticate(b *testing.B) {
	store, err := eventstored.Open(b.Context(), eventstored.Options{Dir: b.TempDir(), Addr: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	codec, err := event.NewCodec(event.Types(), access.Types())
	if err != nil {
		b.Fatal(err)
	}
	log, err := eventstore.Open(b.Context(), eventstore.Options{URL: store.URL(), Codec: codec})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = errors.Join(log.Close(context.Background()), store.Close(context.Background())) }()
	keys := command.NewKeys(log, time.Now, newKeyID, rand.Reader, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- keys.Run(ctx, time.After) }()
	defer func() { stop(); <-done }()
	_, secret, err := keys.Create(b.Context(), admin, access.Request{Name: "bench", Grant: admin}, cause)
	if err != nil {
		b.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // until the key streams are followed
	for b.Loop() {
		if _, err := keys.Authenticate(b.Context(), secret); err != nil {
			b.Fatal(err)
		}
	}
}
