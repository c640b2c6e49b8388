package repository

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/template"
)

// maxTemplates bounds the templates in memory: about 150 MB if each has a few variables. Meta
// allows an account 6,000. Messages of the accounts beyond it are not checked.
const maxTemplates = 200_000

// A TemplateSnapshot reads all templates from the read models, as of one position of the log. It
// passes each template, with the revision of its last event, to add, and the number of templates of
// each account whose templates are all known to list. It returns the position, or 0 if the read
// models can't be used: they are of another log, or lack events before the position.
type TemplateSnapshot func(
	ctx context.Context, add func(t template.Template, revision event.Revision), list func(account string, count int),
) (event.Position, error)

// Templates loads and changes message templates. It keeps what queueing and dispatch need of
// all templates in memory, and follows the log, so that neither reads anything for a message.
type Templates struct {
	log    event.Log
	clock  event.Clock
	ids    event.IDs
	logger *slog.Logger
	seed   maphash.Seed
	most   int // maxTemplates, or a test's
	// snapshot can be nil.
	snapshot TemplateSnapshot
	// changed is called when messages of some templates can be sent again, or no longer. It
	// can be nil.
	changed func()

	mu       sync.RWMutex
	accounts map[string]*accountTemplates // by the ID of the business account
	count    int                          // templates in memory
	live     bool                         // the log was followed to its end
}

// accountTemplates are the templates of one account.
type accountTemplates struct {
	byKey map[string]*knownTemplate // by message.TemplateKey
	// listed is set once all templates of the account are known, and incomplete if they
	// don't fit into memory.
	listed, incomplete bool
	count              int // of the last TemplatesListed
	listRevision       event.Revision
}

// knownTemplate is what is kept in memory of a template at a revision of its stream. It is
// replaced, never changed.
type knownTemplate struct {
	template.Template // without Components

	shape    *template.Shape
	details  uint64 // the hash of Details
	revision event.Revision
}

// NewTemplates returns a repository that knows no templates until Run has followed the log.
func NewTemplates(log event.Log, clock event.Clock, ids event.IDs, logger *slog.Logger) *Templates {
	return &Templates{
		log: log, clock: clock, ids: ids, logger: logger, seed: maphash.MakeSeed(), most: maxTemplates,
		accounts: make(map[string]*accountTemplates),
	}
}

// OnChange makes t call changed when the messages of a template can be sent again, or no
// longer. changed must not block. It must be set before Run.
func (t *Templates) OnChange(changed func()) { t.changed = changed }

// From makes Run begin with a snapshot, so that it need not follow the log from its start. It must
// be called before Run.
func (t *Templates) From(snapshot TemplateSnapshot) { t.snapshot = snapshot }

const (
	// templatesAgain is the pause before the log is followed again.
	templatesAgain = time.Second
	// snapshotTimeout bounds the reading of a snapshot of 200,000 templates.
	snapshotTimeout = time.Minute
	// templatesConsumer is the name under which the log is compared with a snapshot's position.
	templatesConsumer = "message templates"
)

// Run follows the log until ctx ends, so that what other processes record is known. If that fails,
// it reads all templates again. Once the log has become shorter, the read models can have events
// that it no longer has, so Run then reads them from the log.
func (t *Templates) Run(ctx context.Context) error {
	snapshot := t.snapshot
	for {
		err := t.follow(ctx, snapshot)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		t.forget()
		t.logger.WarnContext(ctx, "failed to follow templates; their messages wait", "error", err)
		var shorter *event.ShorterError
		if errors.As(err, &shorter) {
			snapshot = nil
		}
		if err := retry.Sleep(ctx, templatesAgain); err != nil {
			return err
		}
	}
}

// forget drops all templates. Until the log was followed to its end again, they are not known.
func (t *Templates) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.accounts, t.count, t.live = make(map[string]*accountTemplates), 0, false
}

// follow follows the log from the position of a snapshot, or from its start if there is none.
func (t *Templates) follow(ctx context.Context, snapshot TemplateSnapshot) error {
	var sub event.Subscription
	if snapshot != nil {
		after, err := t.begin(ctx, snapshot)
		if err != nil {
			return err
		}
		sub.After, sub.Consumer = after, templatesConsumer
	}
	sub.Filter.StreamPrefixes = []string{event.TemplateStreams, event.TemplateListStreams}
	return t.log.Subscribe(ctx, sub, func(_ context.Context, b event.Batch) error {
		for _, e := range b.Events {
			t.apply(e.Event, e.Revision)
		}
		if b.Live {
			t.goLive()
		}
		return nil
	})
}

// begin adds the templates of a snapshot, and returns its position.
func (t *Templates) begin(ctx context.Context, snapshot TemplateSnapshot) (event.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	at, err := snapshot(ctx, t.add, func(account string, count int) {
		t.mu.Lock()
		defer t.mu.Unlock()
		a := t.account(account)
		a.listed, a.count = true, count
	})
	if err != nil {
		return 0, fmt.Errorf("read a snapshot of the templates: %w", err)
	}
	return at, nil
}

// add adds a template of a snapshot.
func (t *Templates) add(of template.Template, revision event.Revision) {
	k := &knownTemplate{Template: of, revision: revision}
	if k.Listed() {
		k.Components = template.Canonical(k.Components)
		k.shape, k.details = template.ShapeOf(k.Details), t.hash(k.Details)
	}
	k.Components = nil
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.account(k.BusinessAccountID)
	if !t.hasRoom(a, k.BusinessAccountID) {
		return
	}
	t.count++
	a.byKey[message.TemplateKey(k.Name, k.Language)] = k
}

// hasRoom reports whether one more template of an account fits into memory.
func (t *Templates) hasRoom(a *accountTemplates, account string) bool {
	if t.count < t.most {
		return true
	}
	if !a.incomplete {
		t.logger.Warn("too many templates for memory; messages of this account are not checked", "account", account)
	}
	a.incomplete = true
	return false
}

func (t *Templates) goLive() {
	t.mu.Lock()
	before := t.live
	t.live = true
	t.mu.Unlock()
	if !before {
		t.notify()
	}
}

func (t *Templates) notify() {
	if t.changed != nil {
		t.changed()
	}
}

// apply applies an event at its revision, unless it is applied already.
func (t *Templates) apply(e domain.Event, revision event.Revision) {
	if t.applyLocked(e, revision) {
		t.notify()
	}
}

// applyLocked is apply under the lock. It reports whether the sendability of a template
// changed.
func (t *Templates) applyLocked(e domain.Event, revision event.Revision) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l, ok := e.(template.TemplatesListed); ok {
		a := t.account(l.BusinessAccountID)
		if !a.listed || revision > a.listRevision {
			a.listed, a.count, a.listRevision = true, l.Count, revision
		}
		return false
	}
	after := template.Template{}.Apply(e)
	if !after.Known() {
		return false
	}
	a := t.account(after.BusinessAccountID)
	key := message.TemplateKey(after.Name, after.Language)
	have := a.byKey[key]
	switch {
	case have == nil && !t.hasRoom(a, after.BusinessAccountID), have == nil && revision > 0, have != nil && revision != have.revision+1:
		return false // it is applied, or the events before it follow
	case have == nil:
		t.count++
		have = &knownTemplate{}
	}
	now := t.known(have, e, revision)
	a.byKey[key] = now
	return now.Sendability() != have.Sendability()
}

// known returns a template after one more event.
func (t *Templates) known(have *knownTemplate, e domain.Event, revision event.Revision) *knownTemplate {
	k := &knownTemplate{Template: have.Apply(e), shape: have.shape, details: have.details, revision: revision}
	switch {
	case !k.Listed():
		k.shape, k.details = nil, 0
	case !k.ListedAt.Equal(have.ListedAt):
		k.shape, k.details = template.ShapeOf(k.Details), t.hash(k.Details)
	case !sameTTL(k, have):
		k.details = 0
	}
	k.Components = nil
	return k
}

func sameTTL(a, b *knownTemplate) bool { return (a.TTLSeconds == nil) == (b.TTLSeconds == nil) }

func (t *Templates) hash(d template.Details) uint64 {
	data, err := json.Marshal(d)
	if err != nil {
		return 0
	}
	return maphash.Bytes(t.seed, data)
}

// account returns the templates of an account, and creates them if necessary.
func (t *Templates) account(id string) *accountTemplates {
	a := t.accounts[id]
	if a == nil {
		a = &accountTemplates{byKey: make(map[string]*knownTemplate)}
		t.accounts[id] = a
	}
	return a
}

// find returns a template, or nil if it is not known.
func (t *Templates) find(account, key string) *knownTemplate {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if a := t.accounts[account]; a != nil {
		return a.byKey[key]
	}
	return nil
}

// Check checks that a message of a template can be queued for a sender of the account: the
// template exists in that language, WhatsApp accepts messages of it now or after a pause, and
// the message fills its variables. The fields of errors are relative to the template. Check
// returns nil if the templates of the account are not known, which they are not until the log
// was followed to its end.
func (t *Templates) Check(account string, m message.Template) error {
	t.mu.RLock()
	a := t.accounts[account]
	checks := t.live && a != nil && a.listed && !a.incomplete
	var k *knownTemplate
	var languages []string
	if checks {
		if k = a.byKey[message.TemplateKey(m.Name, m.Language.Code)]; k == nil {
			languages = a.languagesOf(m.Name)
		}
	}
	t.mu.RUnlock()
	switch {
	case !checks:
		return nil
	case k != nil:
		if err := template.CheckStatus(k.Template); err != nil {
			return err
		}
		return template.CheckParameters(k.Template, k.shape, m)
	case len(languages) > 0:
		return domain.Invalid("language", "template %s has no translation in %q; it has %v. If it is new, run syncTemplates", m.Name, m.Language.Code, languages)
	}
	return domain.Invalid("name", "business account %s has no template %q; if it is new, run syncTemplates", account, m.Name)
}

// languagesOf returns the languages of a template, sorted. It is for errors.
func (a *accountTemplates) languagesOf(name string) []string {
	var languages []string
	for _, k := range a.byKey {
		if k.Name == name && !k.Removed() {
			languages = append(languages, k.Language)
		}
	}
	slices.Sort(languages)
	return languages
}

// Sendability returns what to do with queued messages of a template, by its key. All
// templates are waiting until the log was followed to its end. Those that are not known are
// sendable: WhatsApp decides.
func (t *Templates) Sendability(account, key string) template.Sendability {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if !t.live {
		return template.Waiting
	}
	if a := t.accounts[account]; a != nil {
		if k := a.byKey[key]; k != nil {
			return k.Sendability()
		}
	}
	return template.Sendable
}

// Category returns the category of a template of an account, by its key, or "" if it is not known.
func (t *Templates) Category(account, key string) string {
	if k := t.find(account, key); k != nil {
		return k.Category.Value
	}
	return ""
}

// IsMarketing reports whether a template of an account is known to be of the category
// MARKETING.
func (t *Templates) IsMarketing(account, name, language string) bool {
	return t.Category(account, message.TemplateKey(name, language)) == template.CategoryMarketing
}

// NeedsSync reports whether the contents of a template of the account are unknown, because a
// webhook reported the template, or other contents, since the last sync.
func (t *Templates) NeedsSync(account string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	a := t.accounts[account]
	if a == nil {
		return false
	}
	for _, k := range a.byKey {
		if !k.Listed() && !k.Removed() {
			return true
		}
	}
	return false
}

// Live reports whether the log was followed to its end.
func (t *Templates) Live() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.live
}

// Removable returns the templates of an account that are not in a listing, by key, and exist
// by what is known.
func (t *Templates) Removable(account string, listed map[string]bool) []template.Ref {
	t.mu.RLock()
	defer t.mu.RUnlock()
	a := t.accounts[account]
	if a == nil {
		return nil
	}
	var refs []template.Ref
	for key, k := range a.byKey {
		if !listed[key] && !k.Removed() {
			refs = append(refs, k.Ref)
		}
	}
	slices.SortFunc(refs, func(a, b template.Ref) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Language, b.Language))
	})
	return refs
}

// Says reports whether a normalized listing says only what is known, so that no event of it
// is due.
func (t *Templates) Says(l template.Listing) bool {
	k := t.find(l.BusinessAccountID, message.TemplateKey(l.Name, l.Language))
	return k != nil && k.Listed() && k.ID == l.ID && k.Status.Value == l.Status && k.Category.Value == l.Category &&
		k.Quality.Value == l.Quality && k.details == t.hash(l.Details)
}

// Alarming counts the templates that operators must know of: those that are stopped, and those
// that were recategorized.
func (t *Templates) Alarming() (stopped, recategorized int) {
	now := t.clock()
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, a := range t.accounts {
		for _, k := range a.byKey {
			if k.Stopped(now) {
				stopped++
			}
			if k.Recategorized(now) {
				recategorized++
			}
		}
	}
	return stopped, recategorized
}

// storedTemplate is a template at a revision of its stream.
type storedTemplate struct {
	template.Template

	events   int
	revision event.Revision
}

// Change executes a decision on a template, as its stream has it. It returns how many events
// were recorded.
func (t *Templates) Change(
	ctx context.Context, ref template.Ref, cause event.Cause, decide func(template.Template) []domain.Event,
) (recorded int, err error) {
	stream := event.TemplateStream(ref.BusinessAccountID, ref.Name, ref.Language)
	_, err = Execute(ctx, Stream[storedTemplate, domain.Event]{
		Name: "template " + ref.Name + " in " + ref.Language,
		Load: func(ctx context.Context) (storedTemplate, error) { return t.read(ctx, stream) },
		Append: func(ctx context.Context, s *storedTemplate, events []domain.Event) error {
			recorded = len(events)
			expected := event.NoStream()
			if s.events > 0 {
				expected = event.ExactRevision(s.revision)
			}
			done, err := t.log.Append(ctx, stream, expected, event.Propose(t.ids, cause.Meta(t.clock()), events...)...)
			if err != nil {
				return fmt.Errorf("append to %s: %w", stream, err)
			}
			for i, e := range events {
				t.apply(e, done.Revision-event.Revision(len(events)-1-i))
			}
			return nil
		},
	}, func(s storedTemplate) ([]domain.Event, error) { return decide(s.Template), nil })
	if err != nil {
		return 0, err
	}
	return recorded, nil
}

// read folds a template's stream, page by page: each report of WhatsApp adds an event.
func (t *Templates) read(ctx context.Context, stream string) (storedTemplate, error) {
	var s storedTemplate
	for from := event.Revision(0); ; from = s.revision + 1 {
		page, err := t.log.Read(ctx, stream, from, maxHistory)
		if err != nil {
			return s, fmt.Errorf("load %s: %w", stream, err)
		}
		for _, e := range page {
			s.Template, s.revision = s.Apply(e.Event), e.Revision
			s.events++
		}
		if len(page) < maxHistory {
			return s, nil
		}
	}
}

// Listed records how many templates an account has, if that is new. From then on, messages of
// other templates are refused.
func (t *Templates) Listed(ctx context.Context, account string, count int, requested time.Time, cause event.Cause) error {
	t.mu.RLock()
	a := t.accounts[account]
	same := a != nil && a.listed && a.count == count
	t.mu.RUnlock()
	if same {
		return nil
	}
	e := template.TemplatesListed{BusinessAccountID: account, Count: count, At: requested.Add(-template.ListingMargin)}
	done, err := t.log.Append(ctx, event.TemplateListStream(account), event.Any(), event.Propose(t.ids, cause.Meta(t.clock()), e)...)
	if err != nil {
		return fmt.Errorf("record the list of templates of account %s: %w", account, err)
	}
	t.apply(e, done.Revision)
	return nil
}
