package alerts

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/alert"
)

// storedSilence is a silence as its stream has it.
type storedSilence struct {
	alert.Silence

	revision event.Revision
}

// StartSilence silences the alerts of a kind and a sender until a time. If kind or sender is
// empty, the alerts of all.
func (a *Alerts) StartSilence(
	ctx context.Context, kind alert.Kind, sender, reason string, until time.Time, cause event.Cause,
) (alert.Silence, error) {
	now := a.clock()
	started, err := alert.StartSilence(kind, sender, reason, until, now)
	if err != nil {
		return alert.Silence{}, err
	}
	id := a.ids().String()
	if _, err := a.append(ctx, event.SilenceStream(id), event.NoStream(), started, sender, cause); err != nil {
		return alert.Silence{}, fmt.Errorf("start a silence: %w", err)
	}
	have, err := a.loadSilence(ctx, id)
	return have.Silence, err
}

// EndSilence ends a silence early. sees reports whether the operator can change the silence;
// if not, EndSilence returns domain.NotFound.
func (a *Alerts) EndSilence(ctx context.Context, id string, cause event.Cause, sees func(alert.Silence) bool) (alert.Silence, error) {
	ended, err := repository.Execute(ctx, repository.Stream[storedSilence, domain.Event]{
		Name: "silence " + id,
		Load: func(ctx context.Context) (storedSilence, error) { return a.loadSilence(ctx, id) },
		Append: func(ctx context.Context, have *storedSilence, events []domain.Event) error {
			_, err := a.append(ctx, event.SilenceStream(id), event.ExactRevision(have.revision), events[0], have.Sender, cause)
			if err != nil {
				return fmt.Errorf("append to silence %s: %w", id, err)
			}
			*have, err = a.loadSilence(ctx, id)
			return err
		},
	}, func(have storedSilence) ([]domain.Event, error) {
		if !sees(have.Silence) {
			return nil, domain.NotFound("no silence %s", id)
		}
		return alert.EndSilence(have.Silence, a.clock()), nil
	})
	return ended.Silence, err
}

func (a *Alerts) loadSilence(ctx context.Context, id string) (storedSilence, error) {
	events, err := a.log.Read(ctx, event.SilenceStream(id), 0, maxHistory)
	if err != nil {
		return storedSilence{}, fmt.Errorf("load silence %s: %w", id, err)
	}
	if len(events) == 0 {
		return storedSilence{}, domain.NotFound("no silence %s", id)
	}
	var found storedSilence
	for _, e := range events {
		found.Silence, found.revision = ApplySilence(found.Silence, id, e), e.Revision
	}
	return found, nil
}

// ApplySilence returns the silence with that ID after one more event of its stream.
func ApplySilence(s alert.Silence, id string, e event.Recorded) alert.Silence {
	s.ID = id
	return s.Apply(recordOf(e))
}

// SetSilence puts an alert under a silence, or under none if by is nil, and returns it. An
// alert that already is remains unchanged.
func (a *Alerts) SetSilence(ctx context.Context, id uuid.UUID, by *alert.Silence) (query.Alert, error) {
	return a.change(ctx, id, platform(), func(have query.Alert) ([]domain.Event, error) {
		return alert.SetSilence(have.Alert, by), nil
	})
}
