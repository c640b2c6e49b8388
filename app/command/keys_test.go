package command_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

// keysPatience bounds every wait of the tests.
const keysPatience = time.Minute

func newKeyID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// keyLog opens a real event log that can contain keys.
func keyLog(t *testing.T) *eventstore.Log {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), keysPatience)
	defer cancel()
	store, err := eventstored.Open(ctx, eventstored.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
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

// readCounter counts the reads of streams.
type readCounter struct {
	event.Log

	reads atomic.Int64
}

func (c *readCounter) Read(ctx context.Context, stream string, from event.Revision, limit int) ([]event.Recorded, error) {
	c.reads.Add(1)
	return c.Log.Read(ctx, stream, from, limit)
}

// process is the repository of one process that follows the log. The test triggers its
// timers: a value on flush records the use of keys.
type process struct {
	*command.Keys
	flush chan time.Time
}

func startProcess(t *testing.T, log event.Log, clock event.Clock) process {
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
	cause = event.Cause{By: domain.Platform("test")}
)

func (p process) mustCreate(t *testing.T, name string) (access.Key, string) {
	t.Helper()
	k, secret, err := p.Create(t.Context(), admin, access.Request{Name: name, Grant: admin}, cause)
	if err != nil {
		t.Fatal(err)
	}
	return k, secret
}

// until waits for an effect of other processes and timers.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	polltest.Until(t, what, happened)
}

// A key that one process revokes is rejected by all others, even if they use it all the
// time.
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
	// The process that revoked the key rejects it immediately.
	if _, err := here.Authenticate(t.Context(), secret); domain.CodeOf(err) != domain.CodeUnauthenticated {
		t.Errorf("right after it was revoked: %v", err)
	}
	until(t, "the other process takes note", func() bool { return there.CheckActive(t.Context(), k.ID) != nil })
	close(stop)
	users.Wait()
	for _, s := range []string{secret, tokenSecret} {
		if _, err := there.Authenticate(t.Context(), s); domain.CodeOf(err) != domain.CodeUnauthenticated {
			t.Errorf("in the other process: %v", err)
		}
	}
	if err := there.CheckActive(t.Context(), token.ID); domain.CodeOf(err) != domain.CodeUnauthenticated {
		t.Errorf("the token of a revoked key: %v", err)
	}
}

func TestKeysAreListedFromTheLog(t *testing.T) {
	t.Parallel()
	log := keyLog(t)
	p := startProcess(t, log, time.Now)
	// A key that was listed but not created, for example because of a crash in between.
	_, err := log.Append(t.Context(), event.KeysStream, event.Any(), event.Proposed{ID: newKeyID(), Event: access.KeyListed{Key: uuid.NewString()}})
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

// BenchmarkAuthenticate measures the cost of a key for every request.
func BenchmarkAuthenticate(b *testing.B) {
	store, err := eventstored.Open(b.Context(), eventstored.Options{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler)})
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
	counted := &readCounter{Log: log}
	keys := command.NewKeys(counted, time.Now, newKeyID, rand.Reader, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- keys.Run(ctx, time.After) }()
	defer func() { stop(); <-done }()
	_, secret, err := keys.Create(b.Context(), admin, access.Request{Name: "bench", Grant: admin}, cause)
	if err != nil {
		b.Fatal(err)
	}
	polltest.Until(b, "the key streams are followed, so that keys are not read", func() bool {
		before := counted.reads.Load()
		_, err := keys.Authenticate(b.Context(), secret)
		return err == nil && counted.reads.Load() == before
	})
	for b.Loop() {
		if _, err := keys.Authenticate(b.Context(), secret); err != nil {
			b.Fatal(err)
		}
	}
}

// A key's stream has an event for each hour of use, so after some years it has more than one page.
func TestAKeyWithALongHistoryCanBeRevoked(t *testing.T) {
	t.Parallel()
	log := keyLog(t)
	keys := command.NewKeys(log, time.Now, newKeyID, rand.Reader, slog.New(slog.DiscardHandler))
	key, secret, err := keys.Create(t.Context(), admin, access.Request{Name: "worker", Grant: admin}, cause)
	if err != nil {
		t.Fatal(err)
	}
	used := slices.Repeat([]domain.Event{access.KeyUsed{}}, 1000)
	for range 11 {
		proposed := event.Propose(newKeyID, cause.Meta(time.Now()), used...)
		if _, err := log.Append(t.Context(), event.KeyStream(uuid.MustParse(key.ID)), event.Any(), proposed...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := keys.Revoke(t.Context(), admin, key.ID, cause); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Authenticate(t.Context(), secret); domain.CodeOf(err) != domain.CodeUnauthenticated {
		t.Errorf("the revoked key: %v", err)
	}
}

// The number of access tokens of a key is limited. Expired tokens no longer count.
func TestAccessTokensOfAKeyAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	keys := command.NewKeys(keyLog(t), func() time.Time { return now }, newKeyID, rand.Reader, slog.New(slog.DiscardHandler))
	issue := func(issuer string) error {
		_, _, err := keys.CreateToken(t.Context(), access.Issuer{Grant: access.Grant{Scopes: []access.Scope{access.ScopeSend}}},
			access.Request{Name: "token", Grant: access.Grant{Scopes: []access.Scope{access.ScopeSend}}}, time.Hour,
			event.Cause{By: domain.Actor{Kind: domain.ActorKey, ID: issuer}})
		return err
	}
	const most = 5_000
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range most / 50 {
				if err := issue("a"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := issue("a"); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("one more: %v", err)
	}
	if err := issue("b"); err != nil {
		t.Errorf("another key: %v", err)
	}
	now = now.Add(time.Hour)
	if err := issue("a"); err != nil {
		t.Errorf("once they have ended: %v", err)
	}
}
