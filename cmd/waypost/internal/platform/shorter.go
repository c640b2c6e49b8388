package platform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
)

// A ShorterLogError describes an event log that is shorter than it was. Commands refuse to work on such a log.
type ShorterLogError struct {
	// end is the position of the last remaining event when the loss was noticed.
	end event.Position
	// Consumers are those that have reached a position beyond it.
	Consumers []postgres.Consumer
	// missing is the number of bytes of events that the embedded store knows it has lost.
	missing uint64
}

func (l *ShorterLogError) Error() string {
	var reached []string
	for _, c := range l.Consumers {
		reached = append(reached, fmt.Sprintf("%s reached position %d", c.Name, c.Position))
	}
	if len(reached) == 0 {
		reached = []string{fmt.Sprintf("the event store acknowledged %d more bytes of events", l.missing)}
	}
	return fmt.Sprintf("the event log is shorter than it was: %s, but the log ends at position %d; %s",
		strings.Join(reached, ", "), l.end, event.ShorterLogRemedy)
}

// CheckLog returns a *ShorterLogError if a consumer with a position in Postgres is beyond the end of the event log. It queries the log
// twice and Postgres once.
func (st *Stores) CheckLog(ctx context.Context) error {
	loss, err := st.Loss(ctx)
	if err != nil {
		return err
	}
	for i, c := range loss.Consumers {
		// The log decides, and records the result.
		err := st.Log.Reaches(ctx, c.Name, c.Position)
		var shorter *event.ShorterError
		switch {
		case err == nil:
			loss.Consumers[i].Position = 0
		case !errors.As(err, &shorter):
			return err
		}
	}
	kept := loss.Consumers[:0]
	for _, c := range loss.Consumers {
		if c.Position > 0 {
			kept = append(kept, c)
		}
	}
	loss.Consumers = kept
	if len(kept) > 0 || loss.missing > 0 {
		return loss
	}
	return nil
}

// Loss returns what seems to be lost, and changes nothing. Consumers can be slightly ahead of an intact log, see
// event.PositionBeyondEnd.
func (st *Stores) Loss(ctx context.Context) (*ShorterLogError, error) {
	found := st.Log.FoundShorter(ctx)
	var shorter *event.ShorterError
	if found != nil && !errors.As(found, &shorter) {
		return nil, found
	}
	consumers, err := postgres.Consumers(ctx, st.Pool, st.LogID.String()) // before the end, which can advance
	if err != nil {
		return nil, err
	}
	loss := &ShorterLogError{}
	if st.embedded != nil {
		if missing := st.embedded.Shorter(); missing != nil {
			loss.missing = missing.Acknowledged - missing.End
		}
	}
	if loss.end, err = st.Log.End(ctx); err != nil {
		return nil, err
	}
	if shorter != nil {
		loss.end = shorter.End
	}
	for _, c := range consumers {
		if c.Position > loss.end {
			loss.Consumers = append(loss.Consumers, c)
		}
	}
	if shorter != nil && len(loss.Consumers) == 0 {
		loss.Consumers = []postgres.Consumer{{Name: shorter.Consumer, Position: shorter.Position}}
	}
	return loss, nil
}

// AcceptLoss records the loss in the event log and lets consumers continue from what remains. The caller must then rebuild the read
// models, because st.LogID changes. It returns nil if nothing was lost.
func (st *Stores) AcceptLoss(ctx context.Context) (*event.LogShortened, error) {
	err := st.CheckLog(ctx)
	var loss *ShorterLogError
	if !errors.As(err, &loss) {
		return nil, err
	}
	if n, err := postgres.Running(ctx, st.Pool); err != nil || n > 0 {
		return nil, cmp.Or(err, fmt.Errorf("%d processes of this installation are running; stop all of them first, and wait a few seconds until their leases expire", n))
	}
	e := event.LogShortened{LogID: st.LogID, End: loss.end, MissingBytes: loss.missing}
	for _, c := range loss.Consumers {
		e.Consumers = append(e.Consumers, event.ShortenedConsumer{
			Name: c.Name, Position: c.Position, NewPosition: min(c.Position, loss.end), RecordedAt: c.RecordedAt,
		})
	}
	if e.MessagesLost, e.MessagesRolledBack, err = postgres.LostMessages(ctx, st.Pool, loss.end); err != nil {
		return nil, err
	}
	if last, _, err := st.Log.ReadAllBackwards(ctx, loss.end+1, 1); err == nil && len(last) > 0 { // for information only
		e.LastEventAt = last[0].Meta.RecordedAt
	}
	fresh, err := st.Log.AcceptShorter(ctx, e, event.Meta{
		RecordedAt: time.Now().UTC().Truncate(time.Microsecond), By: domain.Platform("rebuild command"), OnBehalfOf: operator(), CausationID: uuid.NewString(),
	})
	if err != nil {
		return nil, err
	}
	before := st.LogID
	st.LogID = fresh
	return &e, postgres.MoveConsumers(ctx, st.Pool, before.String(), fresh.String(), loss.end)
}

// operator returns the name of the user of this machine who runs the command.
func operator() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// LossText describes what was lost.
func LossText(e *event.LogShortened) string {
	var b strings.Builder
	fmt.Fprintf(&b, "accepted a log that ends at position %d", e.End)
	if !e.LastEventAt.IsZero() {
		fmt.Fprintf(&b, ", with an event of %s", e.LastEventAt.UTC().Format(time.RFC3339))
	}
	b.WriteString("\n")
	for _, c := range e.Consumers {
		fmt.Fprintf(&b, "  %s had reached position %d", c.Name, c.Position)
		if !c.RecordedAt.IsZero() {
			fmt.Fprintf(&b, ", an event of %s", c.RecordedAt.UTC().Format(time.RFC3339))
		}
		fmt.Fprintf(&b, "; it continues from %d\n", c.NewPosition)
	}
	if e.MissingBytes > 0 {
		fmt.Fprintf(&b, "  the event store lost %d bytes of events\n", e.MissingBytes)
	}
	fmt.Fprintf(&b, "  %d messages are gone; %d lost part of their history and can be sent again\n", e.MessagesLost, e.MessagesRolledBack)
	return b.String()
}
