package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/vault"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
)

const patience = time.Minute

const anna, ben = "+14155550101", "+447700900123"

// noted is an event about a person.
type noted struct {
	Personal struct {
		Text string `json:"text"`
	} `json:"personal"`
}

func (noted) EventType() string { return "Noted" }

func note(text string) noted {
	var n noted
	n.Personal.Text = text
	return n
}

// bench is a vault and the log whose personal data it seals.
type bench struct {
	tb    testing.TB
	ctx   context.Context
	pool  *pgxpool.Pool
	url   string
	clock func() time.Time
}

func setup(tb testing.TB) *bench {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	tb.Cleanup(cancel)
	server, err := eventstored.Open(ctx, eventstored.Options{Dir: tb.TempDir(), Logger: discard()})
	must(tb, err)
	closing(tb, server.Close)
	return &bench{tb: tb, ctx: ctx, pool: migrated(tb), url: server.URL(), clock: time.Now}
}

// stopClock makes the clock of the processes that start later move only when pass is called.
func (b *bench) stopClock() (pass func(time.Duration)) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	b.clock = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	return func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func closing(tb testing.TB, do func(context.Context) error) {
	tb.Helper()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(tb, do(ctx))
	})
}

// process is a process that uses the vault: its keys, and its view of the log.
type process struct {
	keys *vault.DataKeys
	log  *eventstore.Log
	stop func() // ends Run; nothing pending is stored after that
}

func (b *bench) process(secret string, retention time.Duration, alone bool) *process {
	b.tb.Helper()
	p := &process{keys: vault.NewDataKeys(vault.Options{
		Keys: parse(b.tb, secret), Retention: retention, Clock: func() time.Time { return b.clock() }, Logger: discard(),
	})}
	codec, err := event.NewCodec(event.Types(), []domain.Type{domain.TypeOf[noted]()})
	must(b.tb, err)
	p.log, err = eventstore.Open(b.ctx, eventstore.Options{URL: b.url, Codec: codec.WithVault(p.keys)})
	must(b.tb, err)
	closing(b.tb, p.log.Close)
	must(b.tb, p.keys.Start(b.ctx, b.pool, p.log, alone))
	return p
}

// run stores the keys that the process derives until the test ends, or until stop.
func (b *bench) run(p *process) *process {
	running, cancel := context.WithCancel(b.ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.keys.Run(running) })
	p.stop = func() { cancel(); wg.Wait() }
	b.tb.Cleanup(p.stop)
	return p
}

func (b *bench) append(p *process, stream, text string, s event.Subject) event.Appended {
	b.tb.Helper()
	done, err := p.log.Append(b.ctx, stream, event.Any(), event.Proposed{
		ID: uuid.Must(uuid.NewV7()), Event: note(text), Subject: s,
		Meta: event.Meta{RecordedAt: b.clock(), By: domain.Platform("test")},
	})
	must(b.tb, err)
	return done
}

// texts returns the readable content of a stream: the text of each event, or the state
// of its personal data.
func (b *bench) texts(p *process, stream string) []string {
	b.tb.Helper()
	events, err := p.log.Read(b.ctx, stream, 0, 1000)
	must(b.tb, err)
	var texts []string
	for _, r := range events {
		text := r.Event.(noted).Personal.Text
		switch r.Personal {
		case event.Clear:
		case event.Erased:
			text = "erased" + text
		case event.Locked:
			text = "locked" + text
		}
		texts = append(texts, text)
	}
	return texts
}

func (b *bench) expect(p *process, stream string, want ...string) {
	b.tb.Helper()
	if got := b.texts(p, stream); fmt.Sprint(got) != fmt.Sprint(want) {
		b.tb.Errorf("%s reads %q, want %q", stream, got, want)
	}
}

func about(people ...string) event.Subject { return event.Subject{People: people} }

// forget destroys all keys of a person.
func (b *bench) forget(p *process, person string) []event.KeyID {
	b.tb.Helper()
	must(b.tb, p.keys.FlushAllProcesses(b.ctx))
	keys, err := p.keys.KeysOf(b.ctx, person, time.Time{})
	must(b.tb, err)
	must(b.tb, p.keys.Destroy(b.ctx, keys, b.clock()))
	return keys
}

func TestOnePersonIsForgottenEverywhereAndNobodyElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, other := b.run(b.process(key('a'), 0, false)), b.run(b.process(key('a'), 0, false))
	first := b.append(p, "a", "to Anna", about(anna))
	b.append(p, "a", "to Anna again", event.Subject{Key: first.Key})
	b.append(other, "a", "to Anna, by another process", about(anna[1:])) // in WhatsApp's notation
	b.append(p, "b", "to Ben", about(ben))
	b.append(p, "ab", "about both", about(anna, ben))
	b.append(p, "none", "about no one", about())
	b.expect(other, "a", "to Anna", "to Anna again", "to Anna, by another process")
	b.expect(other, "ab", "about both")

	if keys := b.forget(p, anna); len(keys) < 2 {
		t.Errorf("keys %v were destroyed, want Anna's and the one she shares", keys)
	}
	for _, reader := range []*process{p, b.run(b.process(key('a'), 0, false))} {
		b.expect(reader, "a", "erased", "erased", "erased")
		b.expect(reader, "ab", "erased")
		b.expect(reader, "b", "to Ben")
		b.expect(reader, "none", "about no one")
	}
	// A late event of a forgotten person's stream is forgotten from the start.
	b.append(p, "a", "late", event.Subject{Key: first.Key})
	// An event of a new stream is not.
	again := b.append(p, "new", "to Anna, later", about(anna))
	if again.Key == first.Key {
		t.Error("the forgotten key was used for new data")
	}
	b.expect(p, "new", "to Anna, later")
	events, err := p.log.Read(b.ctx, "a", 0, 10)
	must(t, err)
	if last := events[3]; last.Key != "" || !bytes.Contains(last.Data, []byte(`"personal":null`)) {
		t.Errorf("after the key was destroyed an event was recorded as %s", last.Data)
	}
	if keys := b.forget(p, ben); len(keys) == 0 {
		t.Error("Ben has no keys left")
	}
	if keys := b.forget(p, ben); len(keys) != 0 {
		t.Errorf("Ben has keys %v after he was forgotten", keys)
	}
	must(t, p.keys.PurgeFiles(b.ctx))
	b.expect(p, "new", "to Anna, later")
}

func TestAnotherNameOfAPersonLeadsToAllTheirKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.run(b.process(key('a'), 0, false))
	const number, waID = "+525512345678", "5215512345678" // Mexico: WhatsApp's ID differs
	first := b.append(p, "m", "queued", about(number))
	b.append(p, "m", "sent", event.Subject{Key: first.Key, People: []string{waID}})
	b.append(p, "in", "an answer", about(waID))
	b.append(p, "both", "with Ben", about(waID, ben))
	b.append(p, "b", "to Ben", about(ben))
	b.forget(p, number)
	b.expect(p, "m", "erased", "erased")
	b.expect(p, "in", "erased")
	b.expect(p, "both", "erased")
	b.expect(p, "b", "to Ben")
}

func TestKeysOfACrashedProcessAreFoundInTheLog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	crashed := b.process(key('a'), 0, true) // Run never runs, so nothing is stored
	b.append(crashed, "a", "to Anna", about(anna))
	b.append(crashed, "ab", "about both", about(anna, ben))

	p := b.process(key('a'), 0, true)
	b.expect(p, "a", "to Anna") // the seed yields the key, although it is not stored
	b.run(p)
	b.eventually(func() bool {
		var seeds int
		must(t, b.pool.QueryRow(b.ctx, `SELECT count(*) FROM waypost_vault.key_seed`).Scan(&seeds))
		return seeds == 1
	})
	b.expect(p, "a", "to Anna")
	b.forget(p, ben)
	b.expect(p, "a", "to Anna")
	b.expect(p, "ab", "erased")
}

// If there are more keys than one transaction stores, each of them is found, and their
// seed is removed.
func TestManyKeysOfACrashedProcessAreFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	crashed := b.process(key('a'), 0, true)
	const streams, each = 12, 1000
	for n := range streams {
		var events []event.Proposed
		for i := range each {
			events = append(events, event.Proposed{
				ID: uuid.Must(uuid.NewV7()), Event: note("hello"), Subject: about(fmt.Sprintf("+49170%07d", n*each+i)),
				Meta: event.Meta{RecordedAt: b.clock(), By: domain.Platform("test")},
			})
		}
		_, err := crashed.log.Append(b.ctx, fmt.Sprint("crowd-", n), event.Any(), events...)
		must(t, err)
	}
	b.run(b.process(key('a'), 0, true))
	b.eventually(func() bool {
		var seeds, keys int
		must(t, b.pool.QueryRow(b.ctx, `SELECT (SELECT count(*) FROM waypost_vault.key_seed), count(*) FROM waypost_vault.data_key`).Scan(&seeds, &keys))
		return seeds == 1 && keys == streams*each
	})
	later := b.process(key('a'), 0, false)
	for n := range streams {
		if texts := b.texts(later, fmt.Sprint("crowd-", n)); len(texts) != each || slices.ContainsFunc(texts, func(s string) bool { return s != "hello" }) {
			t.Errorf("of stream %d: %.3q", n, texts)
		}
	}
}

func (b *bench) eventually(is func() bool) {
	b.tb.Helper()
	polltest.Until(b.tb, "the condition holds", is)
}

func TestTheLogGoesOnWithoutPostgres(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.run(b.process(key('a'), 0, false))
	first := b.append(p, "a", "before", about(anna))
	must(t, p.keys.FlushAllProcesses(b.ctx))
	reader := b.process(key('a'), 0, false) // has no cached key
	// From here on, the tables of keys are not accessible.
	hide := func(from, to string) {
		_, err := b.pool.Exec(b.ctx, `ALTER SCHEMA `+from+` RENAME TO `+to)
		must(t, err)
	}
	hide("waypost_vault", "away")
	b.append(p, "a", "known", about(anna))
	b.append(p, "b", "new", about(ben))
	b.append(reader, "a", "of a stream whose key is not cached", event.Subject{Key: first.Key})
	b.expect(p, "b", "new")
	b.expect(reader, "b", "locked")
	hide("away", "waypost_vault")
	b.run(reader)
	b.eventually(func() bool { return fmt.Sprint(b.texts(reader, "b")) == "[new]" })
	must(t, p.keys.FlushAllProcesses(b.ctx))
	b.forget(p, anna)
	b.expect(p, "a", "erased", "erased", "erased")
}

// A key that takes its owners from a key of another process waits until that one is stored.
func TestOwnersOfAKeyThatIsNotStoredYet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.process(key('a'), 0, false)
	sent := b.append(first, "a", "sent", about(anna)) // its key is not stored: first does not run
	second := b.process(key('a'), 0, false)

	locked, err := b.pool.Begin(b.ctx)
	must(t, err)
	defer func() { _ = locked.Rollback(b.ctx) }()
	_, err = locked.Exec(b.ctx, `LOCK TABLE waypost_vault.data_key, waypost_vault.key_seed IN ACCESS EXCLUSIVE MODE`)
	must(t, err)
	failed := b.append(second, "a", "failed", event.Subject{Key: sent.Key})
	if failed.Key == sent.Key {
		t.Fatal("the other process has found the key")
	}
	must(t, locked.Rollback(b.ctx))

	must(t, second.keys.Close(b.ctx)) // stores what it can
	must(t, first.keys.Close(b.ctx))
	third := b.run(b.process(key('a'), 0, true)) // finds the rest
	b.eventually(func() bool {
		var seeds int
		must(t, b.pool.QueryRow(b.ctx, `SELECT count(*) FROM waypost_vault.key_seed`).Scan(&seeds))
		return seeds == 1
	})
	b.expect(third, "a", "sent", "failed")
	b.forget(third, anna)
	b.expect(third, "a", "erased", "erased")
}

func TestKeysTakeUpDataForAGenerationAndAreDueThereafter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pass := b.stopClock()
	const retention = 8 * time.Hour // generations of one hour
	p := b.process(key('a'), retention, false)
	first := b.append(p, "a", "first", about(anna))
	pass(59 * time.Minute)
	if same := b.append(p, "a", "same generation", about(anna)); same.Key != first.Key {
		t.Error("a key was created within a generation")
	}
	pass(time.Minute)
	second := b.append(p, "a", "next", about(anna))
	if second.Key == first.Key {
		t.Error("a key was used for longer than a generation")
	}
	must(t, p.keys.FlushAllProcesses(b.ctx))
	due := func() []event.KeyID {
		keys, err := p.keys.MadeBefore(b.ctx, b.clock().Add(-retention), "", 10)
		must(t, err)
		return keys
	}
	if keys := due(); len(keys) != 0 {
		t.Errorf("%v are due after an hour", keys)
	}
	pass(8*time.Hour + time.Second)
	if keys := due(); len(keys) != 1 || keys[0] != first.Key {
		t.Errorf("%v are due, want the first generation's %s", keys, first.Key)
	}
	must(t, p.keys.Destroy(b.ctx, due(), b.clock()))
	b.expect(p, "a", "erased", "erased", "next")
	if keys := due(); len(keys) != 0 {
		t.Errorf("%v are still due", keys)
	}
}

func TestRotationLeavesTheOldSecretKeyBehind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.run(b.process(key('a'), 0, false))
	b.append(p, "a", "to Anna", about(anna))
	b.append(p, "b", "to Ben", about(ben))
	forgotten := b.forget(p, ben)
	token, err := vault.NewTokens(b.pool, parse(t, key('a')), newID).Put(b.ctx, "shop", "EAAG-token")
	must(t, err)
	p.stop()
	must(t, p.keys.Close(b.ctx))

	stranger := vault.NewDataKeys(vault.Options{Keys: parse(t, key('b')), Clock: time.Now, Logger: discard()})
	if err := stranger.Start(b.ctx, b.pool, p.log, false); err == nil || !strings.Contains(err.Error(), "WAYPOST_SECRET_KEY") {
		t.Errorf("with another secret key it starts: %v", err)
	}
	rotating := b.process(key('b')+","+key('a'), 0, false)
	b.expect(rotating, "a", "to Anna")
	rows, err := rotating.keys.Rewrap(b.ctx)
	must(t, err)
	if rows < 3 { // at least the index, a data key, and a token
		t.Errorf("%d rows were rewrapped", rows)
	}
	if rows, err := rotating.keys.Rewrap(b.ctx); err != nil || rows != 0 {
		t.Errorf("again: %d rows, %v", rows, err)
	}
	must(t, rotating.keys.Close(b.ctx))
	rotated := b.process(key('b'), 0, false)
	b.expect(rotated, "a", "to Anna")
	b.expect(rotated, "b", "erased")
	if alive, err := rotated.keys.Alive(b.ctx, forgotten); err != nil || len(alive) != 0 {
		t.Errorf("destroyed keys %v are back, %v", alive, err)
	}
	if got, err := vault.NewTokens(b.pool, parse(t, key('b')), newID).Get(b.ctx, "shop", token); err != nil || got != "EAAG-token" {
		t.Errorf("the token reads %q, %v", got, err)
	}
}

func TestSealedDataOpenNowhereElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.process(key('a'), 0, false)
	sealed, id, err := p.keys.Seal(b.ctx, about(anna), "here", []byte("secret"))
	must(t, err)
	if plain, err := p.keys.Open(b.ctx, id, "here", sealed); err != nil || string(plain) != "secret" {
		t.Errorf("opens as %q, %v", plain, err)
	}
	if _, err := p.keys.Open(b.ctx, id, "elsewhere", sealed); err == nil {
		t.Error("it opened in another place")
	}
	if again, _, err := p.keys.Seal(b.ctx, about(anna), "here", []byte("secret")); err != nil || bytes.Equal(again, sealed) {
		t.Errorf("the same text was sealed to the same bytes, %v", err)
	}
	one, err := p.keys.SealValue(b.ctx, id, "row", []byte("secret"))
	must(t, err)
	if two, err := p.keys.SealValue(b.ctx, id, "row", []byte("secret")); err != nil || !bytes.Equal(one, two) {
		t.Errorf("the same value in the same place differs, %v", err)
	}
	if plain, err := p.keys.OpenValue(b.ctx, id, "row", one); err != nil || string(plain) != "secret" {
		t.Errorf("the value opens as %q, %v", plain, err)
	}
	if _, err := p.keys.Open(b.ctx, "AAAAAAAAAAAAAAAA", "here", sealed); !errors.Is(err, event.ErrLocked) {
		t.Errorf("a key that is not there: %v", err)
	}
	if bytes.Equal(p.keys.BlindIndex("number", anna), p.keys.BlindIndex("number", ben)) || bytes.Equal(p.keys.BlindIndex("number", anna), p.keys.BlindIndex("label", anna)) {
		t.Error("different things have the same hash")
	}
}

func BenchmarkSealAndOpen(bm *testing.B) {
	b := setup(bm)
	p := b.process(key('a'), 0, false)
	text := bytes.Repeat([]byte("Your parcel waits at the corner shop. "), 8)
	_, _, err := p.keys.Seal(b.ctx, about(anna), "here", text)
	must(bm, err)
	bm.Run("seal", func(bm *testing.B) {
		for bm.Loop() {
			if _, _, err := p.keys.Seal(b.ctx, about(anna), "here", text); err != nil {
				bm.Fatal(err)
			}
		}
	})
	bm.Run("seal for a new person", func(bm *testing.B) {
		running, stop := context.WithCancel(b.ctx)
		var wg sync.WaitGroup
		wg.Go(func() { _ = p.keys.Run(running) })
		defer wg.Wait()
		defer stop()
		bm.SetParallelism(24) // 48 on two cores, as when one request queues many messages
		bm.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				person := uuid.NewString()
				if _, _, err := p.keys.Seal(b.ctx, about(person), "here", text); err != nil {
					bm.Error(err)
				}
			}
		})
	})
	bm.Run("open", func(bm *testing.B) {
		sealed, id, err := p.keys.Seal(b.ctx, about(anna), "here", text)
		must(bm, err)
		for bm.Loop() {
			if _, err := p.keys.Open(b.ctx, id, "here", sealed); err != nil {
				bm.Fatal(err)
			}
		}
	})
}

// TestAKeyIsFoundBeforeItIsStored looks up a person whose key is only derived so far.
func TestAKeyIsFoundBeforeItIsStored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.process(key('a'), 0, true) // it doesn't run, so it stores nothing
	made := b.append(p, "a", "to Anna", about(anna))
	for range 2 { // once before and once after the key is stored
		keys, err := p.keys.KeysOf(b.ctx, anna, time.Time{})
		must(t, err)
		if len(keys) != 1 || keys[0] != made.Key {
			t.Errorf("the keys are %v, want only %s", keys, made.Key)
		}
		must(t, p.keys.FlushAllProcesses(b.ctx))
	}
}

// The key of a link outlives the retention as long as there is other data under one of the
// names: without the link, an erasure by the other name would miss that data.
func TestALinkIsKeptAsLongAsWhatItLeadsTo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pass := b.stopClock()
	const retention, user = 8 * time.Hour, "US.1"
	crashed := b.process(key('a'), retention, true) // Run never runs, so nothing is stored
	link := b.append(crashed, event.IdentityStream("account"), "link", event.Subject{People: []string{anna, user}, Same: true})

	p := b.run(b.process(key('a'), retention, true))
	b.eventually(func() bool {
		keys, err := p.keys.KeysOf(b.ctx, anna, time.Time{})
		must(t, err)
		return slices.Contains(keys, link.Key)
	})
	shared := b.append(p, "shared", "shared", about(anna, ben))
	pass(5 * time.Hour)
	later := b.append(p, "a", "later", about(user))
	must(t, p.keys.FlushAllProcesses(b.ctx))
	expectDue := func(when string, want ...event.KeyID) {
		t.Helper()
		keys, err := p.keys.MadeBefore(b.ctx, b.clock().Add(-retention), "", 10)
		must(t, err)
		if fmt.Sprint(keys) != fmt.Sprint(want) {
			t.Errorf("%s, %v are due, want %v", when, keys, want)
		}
		must(t, p.keys.Destroy(b.ctx, keys, b.clock()))
	}
	pass(5 * time.Hour)
	expectDue("while there is later data", shared.Key)
	for _, name := range []string{anna, user} {
		if keys, err := p.keys.KeysOf(b.ctx, name, time.Time{}); err != nil || !slices.Contains(keys, link.Key) {
			t.Errorf("the keys of %s are %v, %v, without the link's", name, keys, err)
		}
	}
	pass(5 * time.Hour)
	expectDue("when the later data is old", later.Key)
	expectDue("when it is gone", link.Key)
}

// What a person asked for outlives the retention period, even if the process that sealed it
// crashed, and links lead to it. It is erased with the person, and it is the only thing under its
// key.
func TestWhatIsKeptIsOnlyErased(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pass := b.stopClock()
	const retention, user = 8 * time.Hour, "US.1"
	crashed := b.process(key('a'), retention, true) // Run never runs, so nothing is stored
	asked := b.append(crashed, event.MarketingStream("acme"), "no more", event.Subject{People: []string{anna}, Kept: true})

	p := b.run(b.process(key('a'), retention, true))
	b.eventually(func() bool {
		keys, err := p.keys.KeysOf(b.ctx, anna, time.Time{})
		must(t, err)
		return slices.Contains(keys, asked.Key)
	})
	again := b.append(p, event.MarketingStream("acme"), "no more", event.Subject{People: []string{anna, user}, Kept: true})
	link := b.append(p, "links", "link", event.Subject{People: []string{anna, user}, Same: true})
	other := b.append(p, "a", "to Anna", about(anna))
	must(t, p.keys.FlushAllProcesses(b.ctx))
	pass(30 * retention)
	due, err := p.keys.MadeBefore(b.ctx, b.clock().Add(-retention), "", 10)
	must(t, err)
	if !slices.Equal(due, []event.KeyID{other.Key}) {
		t.Errorf("%v are due, want %v, and not %v", due, other.Key, []event.KeyID{asked.Key, again.Key, link.Key})
	}
	b.expect(p, event.MarketingStream("acme"), "no more", "no more")
	b.forget(p, anna)
	b.expect(p, event.MarketingStream("acme"), "erased", "erased")
}

// The label of a paused campaign is about no one, and outlives the retention period too, even if
// the process that sealed it crashed. Other data of the installation does not.
func TestLabelsOfPausedCampaignsOutliveTheRetention(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pass := b.stopClock()
	const retention = 8 * time.Hour
	crashed := b.process(key('a'), retention, true) // Run never runs, so nothing is stored
	first := b.append(crashed, event.CampaignsStream, "spring", event.Subject{Kept: true})

	p := b.run(b.process(key('a'), retention, true))
	second := b.append(p, event.CampaignsStream, "autumn", event.Subject{Kept: true})
	other := b.append(p, "a", "of no one", event.Subject{})
	b.eventually(func() bool { // the key of the crashed process is stored
		var stored bool
		must(t, b.pool.QueryRow(b.ctx, `SELECT count(*) = 1 FROM waypost_vault.key_seed`).Scan(&stored))
		return stored
	})
	must(t, p.keys.FlushAllProcesses(b.ctx))
	pass(30 * retention)
	due, err := p.keys.MadeBefore(b.ctx, b.clock().Add(-retention), "", 10)
	must(t, err)
	if !slices.Equal(due, []event.KeyID{other.Key}) {
		t.Errorf("%v are due, want %v, and not %v", due, other.Key, []event.KeyID{first.Key, second.Key})
	}
	b.expect(p, event.CampaignsStream, "spring", "autumn")
}
