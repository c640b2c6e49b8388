// Package guard decides whether a due call can be made, by what is known about the recipient:
// whether they opted out of marketing messages, and whether their 24-hour window is open.
//
// # Opt-outs
//
// What people chose is in the read model of conversations. It is asked when a marketing message
// is due, for many messages at once. What is newer than its position comes from a subscription to
// the choices. Immediately before the call is written, the newer choices are looked at once more.
// In this process, a choice is known before it is appended, so no call begins once it is in the
// event log. Other processes know it after the delay of the subscription.
//
// # Windows
//
// A closed window is certain only if webhooks were recorded completely, see package coverage, and
// if everything that was recorded before the message was due is in the read model. A message
// waits until then. While a short break of recording is being bridged, it waits for the bridge.
// If there is no certainty, it is sent, and WhatsApp decides.
//
// # Messaging limits
//
// A template to a person whose window is not known to be open counts toward the limit of the
// sender's portfolio. The person is counted in Postgres before SendAttempted is recorded, under a
// lock that all processes share, so together they never call more people than the limit. If the
// limit is reached, the message waits in the work list, and feed takes it when there is room, when
// the person writes, or when the person is counted because of another message.
package guard

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/coverage"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

const (
	// againAfter is how long a message waits if nothing can be decided about it yet: for the
	// read model, or for the heartbeats of the processes that record webhooks.
	againAfter = 500 * time.Millisecond
	// maxUncertain is how long a message waits in all to learn whether its window is closed.
	maxUncertain = 10 * time.Minute
	// maxWaits is how many messages wait in memory in each second. More of them wait in the
	// work list, for waitRecorded.
	maxWaits     = 300
	waitRecorded = 5 * time.Second
	// maxUnrecorded is how long a message waits in memory after it was due, before the wait is
	// recorded.
	maxUnrecorded = 10 * time.Second
	// coverageAge is how old the coverage can be that a decision uses.
	coverageAge = 500 * time.Millisecond
	// catchUpInterval is how often the position of the read model is read while it is behind.
	catchUpInterval = 100 * time.Millisecond
	// followAgain is the pause before choices are followed again, for example because the event log
	// has become shorter.
	followAgain = time.Second
	// lookupTimeout limits a question to the read model.
	lookupTimeout = 5 * time.Second
)

// Coverage returns how completely the webhooks of all phone numbers were recorded, by phone number
// ID, in the time of the clock that is now at now.
type Coverage func(ctx context.Context, now time.Time) (map[string]coverage.Coverage, error)

// Options are what a Guard works with. All are required, except Marketing.
type Options struct {
	Log           event.Log
	Conversations work.Conversations
	Coverage      Coverage
	// Marketing reports whether a template of a business account is known to be of WhatsApp's
	// category MARKETING. If nil, none is, and only BULK messages are marketing.
	Marketing func(businessAccountID, template, language string) bool
	// Limits counts people toward messaging limits. If nil, no limit is kept. Portfolio returns the
	// portfolio of a sender; if nil, it is the sender's business account.
	Limits    work.Limits
	Portfolio func(sender.Sender) string
	// Clock returns Waypost's time.
	Clock  func() time.Time
	Logger *slog.Logger
}

// A Guard decides about due calls. It is safe for concurrent use. Run must be running.
type Guard struct {
	opts    Options
	choices *choices
	asked   *lookups[work.Recipient, known]
	// reserved asks Limits, and limits are the portfolios that it counts.
	reserved *lookups[work.Contact, work.Admission]
	limits   limits

	// behind is set while it is not known what people chose: the read model lacks choices that
	// are no longer in memory, or can't be read. fell has a value after it was set.
	behind atomic.Bool
	fell   chan struct{}

	mu    sync.Mutex // guards all fields below
	mark  mark
	waits waits
	// covered is the coverage as of coveredAt.
	covered   map[string]coverage.Coverage
	coveredAt time.Time
}

// waits counts the messages that wait in memory, by second.
type waits struct {
	second int64
	n      int
}

// A mark is the end of the log at a time.
type mark struct {
	at  time.Time
	end event.Position
}

// New returns a Guard.
func New(o Options) *Guard {
	if o.Portfolio == nil {
		o.Portfolio = sender.Sender.Portfolio
	}
	g := &Guard{opts: o, choices: newChoices(), fell: make(chan struct{}, 1)}
	g.limits.learned = make(chan struct{}, 1)
	g.asked = newLookups(g.conversations)
	g.reserved = newLookups(func(ctx context.Context, of []work.Contact) ([]work.Admission, error) {
		return o.Limits.Reserve(ctx, o.Clock(), of)
	})
	g.fallBehind()
	return g
}

// known is what the read model knows of a person, and the position up to which it does.
type known struct {
	conversation.Conversation
	at event.Position
}

func (g *Guard) conversations(ctx context.Context, of []work.Recipient) ([]known, error) {
	found, at, err := g.opts.Conversations.Conversations(ctx, of)
	if err != nil {
		return nil, err
	}
	all := make([]known, len(found))
	for i, c := range found {
		all[i] = known{c, at}
	}
	return all, nil
}

// Run follows the choices of people, and answers Ask, until ctx ends. Run it once.
func (g *Guard) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var loops sync.WaitGroup
	defer loops.Wait()
	defer cancel()
	loops.Go(func() { g.asked.run(ctx) })
	if g.opts.Limits != nil {
		loops.Go(func() { g.reserved.run(ctx) })
		loops.Go(func() { g.keepLimits(ctx) })
	}
	loops.Go(func() { g.catchUpAfterFalls(ctx) })
	for {
		err := g.choices.follow(ctx, g.opts.Log)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		g.fallBehind()
		g.opts.Logger.WarnContext(ctx, "failed to follow what people chose; marketing messages wait", "error", err)
		if err := retry.Sleep(ctx, followAgain); err != nil {
			return err
		}
	}
}

// fallBehind makes BULK messages wait until it is known again what people chose.
func (g *Guard) fallBehind() {
	if g.behind.Swap(true) {
		return
	}
	select {
	case g.fell <- struct{}{}:
	default:
	}
}

// catchUpAfterFalls reads the position of the read model until ctx ends, but only while something is
// not known.
func (g *Guard) catchUpAfterFalls(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.fell:
		}
		for g.behind.Load() {
			if retry.Sleep(ctx, catchUpInterval) != nil {
				return
			}
			g.catchUp(ctx)
		}
	}
}

// catchUp lets BULK messages go once the read model has what memory lacks.
func (g *Guard) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	if _, at, err := g.opts.Conversations.Conversations(ctx, nil); err == nil && g.choices.reach(at) {
		g.behind.Store(false)
	}
}

// HoldsBulk reports whether BULK messages must wait, because it is not known what people chose.
// It doesn't block.
func (g *Guard) HoldsBulk() bool { return g != nil && g.behind.Load() }

// Concerns reports whether anything about the recipient can forbid a call for the message. It
// calls from, which returns the sender, only for templates.
func (g *Guard) Concerns(m *message.Message, from func() sender.Sender) bool {
	return g != nil && (m.GuardsWindow() || g.isMarketing(m, from) || g.limitOf(m) != nil)
}

func (g *Guard) isMarketing(m *message.Message, from func() sender.Sender) bool {
	return m.Priority.IsBulk() || m.Template != "" && g.opts.Marketing != nil &&
		g.opts.Marketing(from().BusinessAccountID, m.Template, m.TemplateLanguage)
}

// A Verdict is the decision about a due call. If Circumstances withhold nothing, the call can be
// made as long as the guard still Allows it.
type Verdict struct {
	message.Circumstances

	// AskAt, if not zero, is when to ask again: nothing is certain before. If Recorded is set,
	// the wait must be recorded, because it is long or too many messages wait.
	AskAt    time.Time
	Recorded bool

	recipient work.Recipient
	known     conversation.Conversation
	marketing bool
	openUntil time.Time // of the window, if the message must not be called after it

	// Exhausted is set if the messaging limit doesn't allow the call for now.
	Exhausted bool
	// contact is who was counted toward the messaging limit for the call, and used how many people
	// count; nil if none was.
	contact *work.Contact
	used    int
}

// Ask decides about the due call for a message. The guard must be concerned. person is the
// recipient as work.Item.Recipient.
func (g *Guard) Ask(ctx context.Context, m *message.Message, person string, from func() sender.Sender) Verdict {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	now := g.opts.Clock()
	v := Verdict{recipient: work.Recipient{Sender: m.Sender, To: m.To, ToUserID: m.ToUserID}, marketing: g.isMarketing(m, from)}
	again := func() Verdict {
		v.AskAt = now.Add(againAfter)
		return v
	}
	found, err := g.asked.about(ctx, v.recipient)
	known, at := found.Conversation, found.at
	if errors.Is(err, errStopped) {
		return again() // the process ends
	}
	if err != nil {
		g.fallBehind()
		g.opts.Logger.WarnContext(ctx, "failed to read what is known about a recipient; the message waits", "error", err)
		return again()
	}
	v.known = known
	if v.marketing {
		if !g.choices.reach(at) {
			g.fallBehind()
			return again()
		}
		if g.choices.recording(v.recipient) {
			return again()
		}
		if since := g.choices.merge(known, v.recipient).OptedOutSince(); !since.IsZero() {
			v.OptedOut, v.OptedOutAt = true, since
			return v
		}
	}
	if !m.GuardsWindow() {
		if p := g.limitOf(m); p != nil && !g.admit(ctx, p, person, known, &v) {
			return again()
		}
		return v
	}
	if until := known.WindowOpenUntil(); now.Before(until) {
		v.openUntil = until
		return v
	}
	c, err := g.coverageOf(ctx, from().PhoneNumberID, now)
	switch {
	case err != nil:
		g.opts.Logger.WarnContext(ctx, "failed to read how completely webhooks were recorded; the message waits", "error", err)
		return again()
	case !c.Known(now) || waitedTooLong(m, now):
		return v // WhatsApp decides
	case now.Before(c.Recording.BridgedAt):
		v.AskAt, v.Recorded = c.Recording.BridgedAt, true
		return v
	case !g.recordedUntil(ctx, dueSince(m, known), at, c.ConfirmedAt, now):
		if g.tooManyWait(now) || now.Sub(dueSince(m, known)) > maxUnrecorded {
			v.AskAt, v.Recorded = now.Add(waitRecorded), true
			return v
		}
		return again()
	}
	v.WindowClosed, v.ClosedAt = true, known.WindowOpenUntil()
	return v
}

// coverageOf returns how completely the webhooks of a phone number were recorded.
func (g *Guard) coverageOf(ctx context.Context, phoneNumberID string, now time.Time) (coverage.Coverage, error) {
	g.mu.Lock()
	defer g.mu.Unlock() // others wait for the same
	if age := now.Sub(g.coveredAt); age < 0 || age >= coverageAge {
		found, err := g.opts.Coverage(ctx, now)
		if err != nil {
			return coverage.Coverage{}, err
		}
		g.covered, g.coveredAt = found, now
	}
	return g.covered[phoneNumberID], nil
}

// tooManyWait counts a message that waits, and reports whether there are too many of them.
func (g *Guard) tooManyWait(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if second := now.Unix(); g.waits.second != second {
		g.waits = waits{second: second}
	}
	g.waits.n++
	return g.waits.n > maxWaits
}

// waitedTooLong reports whether a message has waited as long as it can for certainty.
func waitedTooLong(m *message.Message, now time.Time) bool {
	return !m.UncertainSince.IsZero() && now.Sub(m.UncertainSince) > maxUncertain
}

// dueSince returns the time since which a message is due with a closed window. What the person wrote before
// that counts.
func dueSince(m *message.Message, known conversation.Conversation) time.Time {
	if closed := known.WindowOpenUntil(); closed.After(m.DueAt) {
		return closed
	}
	return m.DueAt
}

// recordedUntil reports whether everything that was recorded by a time is known: the read model
// has reached what was the end of the log after it, and every process that records webhooks has
// reported after that. If not, that can be so for a later call.
func (g *Guard) recordedUntil(ctx context.Context, until time.Time, at event.Position, confirmed, now time.Time) bool {
	g.mu.Lock()
	m := g.mark
	g.mu.Unlock()
	if m.at.Before(until) || m.at.IsZero() {
		end, err := g.opts.Log.End(ctx)
		if err != nil {
			return false
		}
		m = mark{now, end}
		g.mu.Lock()
		g.mark = m
		g.mu.Unlock()
	}
	return !m.at.Before(until) && at >= m.end && !confirmed.Before(m.at)
}

// Allows reports whether the call that a verdict allowed can still be made. It asks nothing.
func (g *Guard) Allows(v *Verdict) bool {
	if v.marketing && g.choices.recording(v.recipient) {
		return false
	}
	if v.marketing && !g.choices.merge(v.known, v.recipient).OptedOutSince().IsZero() {
		return false
	}
	return v.openUntil.IsZero() || g.opts.Clock().Before(v.openUntil)
}
