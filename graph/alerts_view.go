package graph

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/alert"
)

// AlertReader answers alerts and rules from a read model.
type AlertReader interface {
	// Alerts answers a page of alerts, those first of which something was recorded last.
	Alerts(ctx context.Context, f query.AlertFilter, p query.Page) (query.AlertPage, error)
	// AlertRules answers the rules as they count now.
	AlertRules(ctx context.Context) ([]alert.Rule, error)
	// AlertsPosition is up to where in the log Alerts tells.
	AlertsPosition(ctx context.Context) (event.Position, error)
}

// openAlerts bounds the open alerts that a subscription begins with.
const openAlerts = 1000

func alertID(id string) (uuid.UUID, error) {
	parsed, err := uuid.Parse(id)
	if err != nil || len(id) != 36 {
		return uuid.Nil, domain.NotFound("no alert %s", id)
	}
	return parsed, nil
}

// seesAlert reports whether the key reaches what an alert is about. What is about all
// senders tells of them all.
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
	if by := a.AcknowledgedBy; by.Kind != "" {
		v.AcknowledgedBy = &Actor{Kind: by.Kind, ID: by.ID, OnBehalfOf: given(a.AcknowledgedFor)}
	}
	return v
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

// alertFilter reads which alerts the caller asks for and may see.
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

// listAlerts answers a page of alerts. The first page shows what the read model lacks,
// too: that it stands still is itself an alert.
func (r *Resolver) listAlerts(ctx context.Context, f query.AlertFilter, p query.Page) (query.AlertPage, error) {
	if p.After > 0 {
		return r.opts.AlertReader.Alerts(ctx, f, p)
	}
	known, err := r.opts.AlertReader.AlertsPosition(ctx)
	if err != nil {
		return query.AlertPage{}, err
	}
	page, err := r.opts.AlertReader.Alerts(ctx, f, p)
	if err != nil {
		return page, err
	}
	missing, err := r.opts.Alerts.Missing(ctx, known)
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

// followAlerts sends the transitions behind a position, or first what is open.
func (r *Resolver) followAlerts(ctx context.Context, after *string, least alert.Severity) (<-chan *AlertEdge, error) {
	c := callerOf(ctx)
	start, err := r.position(after)
	if err != nil {
		return nil, err
	}
	var open []query.Alert
	if after == nil {
		if start, err = r.opts.AlertReader.AlertsPosition(ctx); err != nil {
			return nil, err
		}
		page, err := r.opts.AlertReader.Alerts(ctx, query.AlertFilter{
			State: []alert.State{alert.Raised, alert.Acknowledged}, SenderIDs: c.SenderIds,
		}, query.Page{First: openAlerts})
		if err != nil {
			return nil, err
		}
		open = page.Alerts
		slices.Reverse(open) // the latest transition last
	}
	wanted := func(a query.Alert) bool {
		return c.seesAlert(a.Alert) && (least != alert.Critical || a.Severity == alert.Critical)
	}
	edges := make(chan *AlertEdge)
	send := func(ctx context.Context, a query.Alert) error {
		if !wanted(a) {
			return nil
		}
		select {
		case edges <- r.alertEdge(a):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.streams.Go(func() {
		defer close(edges)
		err := func() error {
			shown := make(map[uuid.UUID]event.Position, len(open))
			for _, a := range open {
				shown[a.ID] = a.Position
				if err := send(ctx, a); err != nil {
					return err
				}
			}
			return r.opts.Log.Subscribe(ctx, event.Subscription{After: start, Filter: event.Filter{Types: alerts.Types()}},
				func(ctx context.Context, b event.Batch) error {
					for _, e := range b.Events {
						id, ok := alerts.Of(e.Stream)
						if !ok || e.Position <= shown[id] {
							continue
						}
						a, err := r.opts.Alerts.LoadAt(ctx, id, e.Position)
						if err != nil {
							return err
						}
						if err := send(ctx, a); err != nil {
							return err
						}
					}
					return nil
				})
		}()
		if err != nil && ctx.Err() == nil {
			endStream(ctx, r.errors.present(ctx, resolverError{err}))
		}
	})
	return edges, nil
}
