package guard

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

const (
	// usageInterval is how often the use of limits is read.
	usageInterval = time.Second
	// beginTimeout bounds the first count of a portfolio, which reads all messages of its senders.
	beginTimeout = 10 * time.Minute
	// WaitForLimit is how long a message awaits its limit before it is decided on again without an
	// event that concerns it: by then all people who counted have been replaced.
	WaitForLimit = work.LimitPeriod + time.Hour
	// refusedFor is how long no further people are called after a refusal near the limit, and
	// nearLimit the part of the limit from which on an unknown refusal counts as one.
	refusedFor = time.Hour
	nearLimit  = 0.9
	// codeSpam is WhatsApp's error 131048, "spam rate limit hit", which is about one number. Near
	// the limit, it can mean the limit.
	codeSpam = 131048
)

// limits are the messaging limits of this installation's portfolios.
type limits struct {
	// of has the portfolios that have a limit, by sender. The map is replaced, never changed. It
	// is nil if no limit is known.
	of atomic.Pointer[map[string]*work.Portfolio]
	// learned has a value after Learn.
	learned chan struct{}

	mu       sync.Mutex // guards all fields below
	complete bool       // all senders are known
	usage    map[string]work.LimitUsage
	// begin has the end of the log when a portfolio was first known to have a limit, for those that
	// are not counted yet.
	begin map[string]event.Position
}

// Learn takes the known senders of the installation. complete is set if there are no others. It
// doesn't block.
func (g *Guard) Learn(all []sender.Sender, complete bool) {
	if g == nil || g.opts.Limits == nil {
		return
	}
	bySender := make(map[string]*work.Portfolio)
	newest := make(map[string]sender.Sender) // by portfolio
	members := make(map[string][]string)
	for _, s := range all {
		id := g.opts.Portfolio(s)
		members[id] = append(members[id], s.ID)
		if known, ok := newest[id]; !s.LimitAt.IsZero() && (!ok || s.LimitAt.After(known.LimitAt)) {
			newest[id] = s
		}
	}
	for id, s := range newest {
		if s.Limit.Unlimited {
			continue
		}
		p := &work.Portfolio{ID: id, People: s.Limit.People, Senders: slices.Sorted(slices.Values(members[id]))}
		for _, member := range p.Senders {
			bySender[member] = p
		}
	}
	if len(bySender) == 0 {
		g.limits.of.Store(nil)
	} else {
		g.limits.of.Store(&bySender)
	}
	g.limits.mu.Lock()
	g.limits.complete = complete
	g.limits.mu.Unlock()
	select {
	case g.limits.learned <- struct{}{}:
	default:
	}
}

// limitOf returns the portfolio whose limit a call for the message can use, or nil.
func (g *Guard) limitOf(m *message.Message) *work.Portfolio {
	if m.Template == "" {
		return nil
	}
	return g.portfolioOf(m.Sender)
}

func (g *Guard) portfolioOf(senderID string) *work.Portfolio {
	if all := g.limits.of.Load(); all != nil {
		return (*all)[senderID]
	}
	return nil
}

// LimitRoom returns the portfolio of a sender and how many further people can be called now, as of
// the last second. If the sender has no limit, the portfolio is empty, and there is room for any.
func (g *Guard) LimitRoom(senderID string) (portfolio string, room int) {
	if g == nil || g.opts.Limits == nil {
		return "", maxWaits
	}
	p := g.portfolioOf(senderID)
	if p == nil {
		return "", maxWaits
	}
	g.limits.mu.Lock()
	defer g.limits.mu.Unlock()
	u, counted := g.limits.usage[p.ID]
	if !counted || !u.RefusedUntil.IsZero() {
		return p.ID, 0
	}
	return p.ID, max(0, p.People-u.Used)
}

// admit completes a verdict with what the limit of a portfolio allows. It returns false if that is
// not known now.
func (g *Guard) admit(ctx context.Context, p *work.Portfolio, person string, known conversation.Conversation, v *Verdict) bool {
	if until := known.WindowOpenUntil(); g.opts.Clock().Before(until) {
		v.openUntil = until
		return true
	}
	c := work.Contact{Portfolio: p.ID, People: p.People, Person: person}
	a, err := g.reserved.about(ctx, c)
	switch {
	case err != nil:
		if ctx.Err() == nil {
			g.opts.Logger.WarnContext(ctx, "failed to count a person toward the messaging limit; the message waits", "portfolio", p.ID, "error", err)
		}
		return false
	case a.Unknown:
		return false
	case !a.Admitted:
		v.Exhausted = true
	default:
		v.contact, v.used = &c, a.Used
	}
	return true
}

// Refused tells the guard that WhatsApp refused the call that a verdict allowed. It reports whether
// the refusal counts as an exhausted messaging limit: which error that is, is not documented, so
// an unknown one is, close to the limit.
func (g *Guard) Refused(ctx context.Context, v *Verdict, f message.Failure) (exhausted bool) {
	if v == nil || v.contact == nil {
		return false
	}
	unknown := f.Code != nil && (f.Category == message.CategoryUnknown || *f.Code == codeSpam)
	exhausted = unknown && float64(v.used) >= nearLimit*float64(v.contact.People)
	if !exhausted && f.Class != message.ClassPermanent {
		return false // it is sent again, and keeps its place
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	if err := g.opts.Limits.Return(ctx, *v.contact); err != nil {
		g.opts.Logger.WarnContext(ctx, "failed to return a place of the messaging limit; it is free in a day", "error", err)
	}
	if !exhausted {
		return false
	}
	until := g.opts.Clock().Add(refusedFor)
	g.opts.Logger.WarnContext(ctx, "WhatsApp refused a template near the messaging limit; no further people are called for now",
		"portfolio", v.contact.Portfolio, "used", v.used, "limit", v.contact.People, "code", *f.Code, "until", until)
	if err := g.opts.Limits.Refused(ctx, v.contact.Portfolio, f.Code, until); err != nil {
		g.opts.Logger.WarnContext(ctx, "failed to record that the messaging limit is exhausted", "error", err)
	}
	return true
}

// keepLimits keeps the counted portfolios in step with the known limits, until ctx ends. While there
// are none, it waits for Learn.
func (g *Guard) keepLimits(ctx context.Context) {
	for retry.Sleep(ctx, usageInterval) == nil {
		none, err := g.updateLimits(ctx)
		if err != nil && ctx.Err() == nil {
			g.opts.Logger.WarnContext(ctx, "failed to read the use of messaging limits; trying again", "error", err)
		}
		if err != nil || !none {
			continue
		}
		select {
		case <-ctx.Done():
		case <-g.limits.learned:
		}
	}
}

// updateLimits reads the use of limits, and begins and ends counts. It returns true if nothing is counted and
// no limit was known.
func (g *Guard) updateLimits(ctx context.Context) (none bool, _ error) {
	ctx, cancel := context.WithTimeout(ctx, beginTimeout)
	defer cancel()
	g.limits.mu.Lock()
	complete := g.limits.complete
	g.limits.mu.Unlock()
	reading, done := context.WithTimeout(ctx, lookupTimeout)
	list, err := g.opts.Limits.Usage(reading, g.opts.Clock())
	done()
	if err != nil {
		return false, err
	}
	wanted := make(map[string]*work.Portfolio)
	if all := g.limits.of.Load(); all != nil {
		for _, p := range *all {
			wanted[p.ID] = p
		}
	}
	usage := make(map[string]work.LimitUsage, len(list))
	for _, u := range list {
		if wanted[u.ID] == nil {
			if !complete {
				continue
			}
			// Its limit is unknown now, or it is unlimited.
			if err := g.opts.Limits.Forget(ctx, u.ID); err != nil {
				return false, err
			}
			continue
		}
		usage[u.ID] = u
	}
	g.limits.mu.Lock()
	g.limits.usage = usage
	g.limits.mu.Unlock()
	for id, p := range wanted {
		u, counted := usage[id]
		if counted && u.People == p.People && slices.Equal(u.Senders, p.Senders) {
			continue
		}
		if err := g.beginLimit(ctx, p); err != nil {
			return false, err
		}
	}
	g.limits.mu.Lock()
	defer g.limits.mu.Unlock()
	maps.DeleteFunc(g.limits.begin, func(id string, _ event.Position) bool { _, counted := usage[id]; return counted })
	return len(list) == 0 && len(wanted) == 0, nil
}

// beginLimit begins the count of a portfolio, or updates its limit and senders.
func (g *Guard) beginLimit(ctx context.Context, p *work.Portfolio) error {
	g.limits.mu.Lock()
	end, known := g.limits.begin[p.ID]
	g.limits.mu.Unlock()
	if !known {
		var err error
		if end, err = g.opts.Log.End(ctx); err != nil {
			return err
		}
		g.limits.mu.Lock()
		if g.limits.begin == nil {
			g.limits.begin = make(map[string]event.Position)
		}
		g.limits.begin[p.ID] = end
		g.limits.mu.Unlock()
	}
	_, err := g.opts.Limits.Begin(ctx, g.opts.Clock(), *p, end)
	return err
}
