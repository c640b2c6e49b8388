package graph

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/alert"
)

// openAlerts limits the open alerts that a subscription begins with.
const openAlerts = 1000

func alertID(id string) (uuid.UUID, error) {
	parsed, err := uuid.Parse(id)
	if err != nil || len(id) != 36 {
		return uuid.Nil, domain.NotFound("no alert %s", id)
	}
	return parsed, nil
}

// seesAlert reports whether the key has access to an alert. An alert about all senders
// reveals data about all of them.
func (c caller) seesAlert(a alert.Alert) bool {
	if a.Sender == "" {
		return c.KeyID != "" && c.SenderIds == nil
	}
	return c.sees(a.Sender)
}

func (r *Resolver) alertOf(a query.Alert) *Alert {
	v := &Alert{
		ID: a.ID.String(), Kind: a.Kind, Severity: a.Severity, State: a.State, SenderID: a.Sender, Summary: a.Summary,
		Value: a.Value, Threshold: a.Threshold, RaisedAt: a.RaisedAt, AcknowledgedAt: instant(a.AcknowledgedAt),
		Note: given(a.Note), Explanation: a.Explanation, ResolvedAt: instant(a.ResolvedAt),
	}
	if v.Explanation == nil {
		v.Explanation = []string{}
	}
	if r.opts.Readings != nil && a.Open() {
		if now, at, ok := r.opts.Readings.Of(alerts.Subject{Rule: a.Rule, Sender: a.Sender}); ok {
			v.Current = &AlertReading{Value: now.Value, Summary: now.Summary, At: at}
		}
	}
	if a.Open() && a.Silence != nil && a.Silence.Active(r.opts.Clock()) {
		v.Silence = silenceOf(*a.Silence)
	}
	if by := a.AcknowledgedBy; by.Kind != "" {
		v.AcknowledgedBy = &Actor{Kind: by.Kind, ID: by.ID, OnBehalfOf: given(a.AcknowledgedFor)}
	}
	return v
}

// changesSilence reports whether the key can end a silence. One of all senders concerns all of
// them.
func (c caller) changesSilence(s alert.Silence) bool {
	if s.Sender == "" {
		return c.KeyID != "" && c.SenderIds == nil
	}
	return c.sees(s.Sender)
}

func silenceOf(s alert.Silence) *AlertSilence {
	return &AlertSilence{
		ID: s.ID, Kind: given(s.Kind), SenderID: s.Sender, Reason: s.Reason, StartedAt: s.StartedAt, Until: s.Until,
		By: &Actor{Kind: s.By.Kind, ID: s.By.ID, OnBehalfOf: given(s.OnBehalfOf)},
	}
}

// senderIfKnown returns a sender, or nil if there is none with this ID.
func (r *Resolver) senderIfKnown(ctx context.Context, id string) (*Sender, error) {
	if id == "" {
		return nil, nil //nolint:nilnil // it is about all senders
	}
	s, err := r.opts.Queries.FindSender(ctx, id)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return nil, nil //nolint:nilnil // a rule can name a sender that is not registered
	}
	if err != nil {
		return nil, err
	}
	return r.senderOf(ctx, s), nil
}

func (r *Resolver) alertEdge(a query.Alert) *AlertEdge {
	return &AlertEdge{Cursor: r.cursor(a.Position), Node: r.alertOf(a), At: a.At}
}

func ruleOf(r alert.Rule) *AlertRule {
	return &AlertRule{
		ID: r.ID, Kind: r.Kind, SenderID: given(r.Sender), Enabled: r.Enabled, Threshold: r.Threshold, Statistic: r.Statistic,
		Window: r.Window, For: r.For, MinimumVolume: r.MinimumVolume, Severity: r.Severity,
	}
}

// alertFilter returns the filter for the alerts that the caller requests and has access
// to.
func alertFilter(c caller, in *AlertFilter) (query.AlertFilter, error) {
	f := query.AlertFilter{SenderIDs: c.SenderIds}
	if in == nil {
		return f, nil
	}
	f.State, f.Kind, f.SenderID = in.State, in.Kind, in.SenderID
	if in.SenderID != nil {
		return f, c.demandSender("filter.senderId", *in.SenderID)
	}
	return f, nil
}

func finds(f query.AlertFilter, a alert.Alert) bool {
	return (len(f.State) == 0 || slices.Contains(f.State, a.State)) && (len(f.Kind) == 0 || slices.Contains(f.Kind, a.Kind)) &&
		(f.SenderID == nil || *f.SenderID == a.Sender) && (f.SenderIDs == nil || slices.Contains(f.SenderIDs, a.Sender))
}

// listAlerts returns a page of alerts. The first page also contains alerts that the
// read model lacks, because a stalled read model is itself a reason for an alert.
func (r *Resolver) listAlerts(ctx context.Context, f query.AlertFilter, p query.Page) (query.AlertPage, error) {
	if p.After > 0 {
		return r.opts.Queries.Alerts(ctx, f, p)
	}
	known, err := r.opts.Queries.AlertsPosition(ctx)
	if err != nil {
		return query.AlertPage{}, err
	}
	page, err := r.opts.Queries.Alerts(ctx, f, p)
	if err != nil {
		return page, err
	}
	missing, err := r.opts.Queries.ListAlertsAfter(ctx, known)
	if err != nil {
		return page, err
	}
	for _, a := range missing {
		page.Alerts = slices.DeleteFunc(page.Alerts, func(have query.Alert) bool { return have.ID == a.ID })
		if finds(f, a.Alert) {
			page.Alerts = append(page.Alerts, a)
		}
	}
	slices.SortFunc(page.Alerts, func(a, b query.Alert) int {
		if a.Position > b.Position {
			return -1
		}
		return 1
	})
	if len(page.Alerts) > p.First {
		page.Alerts, page.HasNextPage = page.Alerts[:p.First], true
	}
	return page, nil
}

// followAlerts sends the transitions after a position, or first the open alerts.
func (r *Resolver) followAlerts(ctx context.Context, after *string, least alert.Severity) (<-chan *AlertEdge, error) {
	c := callerOf(ctx)
	start, err := r.position(after)
	if err != nil {
		return nil, err
	}
	var open []query.Alert
	if after == nil {
		if start, err = r.opts.Queries.AlertsPosition(ctx); err != nil {
			return nil, err
		}
		page, err := r.opts.Queries.Alerts(ctx, query.AlertFilter{
			State: []alert.State{alert.Raised, alert.Acknowledged}, SenderIDs: c.SenderIds,
		}, query.Page{First: openAlerts})
		if err != nil {
			return nil, err
		}
		open = page.Alerts
		slices.Reverse(open) // the latest transition goes last
	}
	wanted := func(a query.Alert) bool {
		return c.seesAlert(a.Alert) && (least != alert.Critical || a.Severity == alert.Critical)
	}
	var begin []*AlertEdge
	shown := make(map[uuid.UUID]event.Position, len(open))
	for _, a := range open {
		shown[a.ID] = a.Position
		if wanted(a) {
			begin = append(begin, r.alertEdge(a))
		}
	}
	return subscribe(ctx, r, r.alertFeed, want{caller: c}, start, begin, func(_ context.Context, ch change) (*AlertEdge, error) {
		if ch.position() <= shown[ch.id] {
			return nil, nil // it was already sent as open
		}
		a, err := r.transitions.at(ch.id, ch.position())
		if err != nil || !wanted(a) {
			return nil, err
		}
		return r.alertEdge(a), nil
	})
}

const (
	// keptTransitions is the number of alerts that are cached as of a transition, and
	// loadTransition limits one load.
	keptTransitions = 256
	loadTransition  = 10 * time.Second
)

// transitions loads each alert once for all subscribers.
type transitions struct {
	ctx  context.Context //nolint:containedctx // a load serves more than the request that needs it first
	load alertQuery
	kept *lru.Cache[event.Position, func() (query.Alert, error)]
	mu   sync.Mutex
}

// alertQuery is the query for an alert at a log position.
type alertQuery func(ctx context.Context, id uuid.UUID, until event.Position) (query.Alert, error)

func newTransitions(ctx context.Context, load alertQuery) *transitions {
	kept, err := lru.New[event.Position, func() (query.Alert, error)](keptTransitions)
	if err != nil {
		panic(err) // the size is positive
	}
	return &transitions{ctx: ctx, load: load, kept: kept}
}

// at returns an alert as of the position of one of its events.
func (t *transitions) at(id uuid.UUID, until event.Position) (query.Alert, error) {
	t.mu.Lock()
	read, ok := t.kept.Get(until)
	if !ok {
		read = sync.OnceValues(func() (query.Alert, error) {
			ctx, cancel := context.WithTimeout(t.ctx, loadTransition)
			defer cancel()
			return t.load(ctx, id, until)
		})
		t.kept.Add(until, read)
	}
	t.mu.Unlock()
	a, err := read()
	if err != nil { // the next one loads it again
		t.kept.Remove(until)
	}
	return a, err
}
