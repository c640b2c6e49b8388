package postgres_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
)

var (
	_ work.List   = (*postgres.WorkList)(nil)
	_ work.Leases = (*postgres.Leases)(nil)
)

func TestFetchAnswersWhatIsDueBeforeWhatIsFresh(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := make([]uuid.UUID, 6)
	var positions []event.Position
	for i := range ids {
		ids[i] = uuid.New()
		q := queued("acme", ids[i].String())
		if i == 5 {
			q.SendAt = b.now.Add(time.Hour)
		}
		positions = append(positions, b.append(event.MessageStream(ids[i]), q).Position)
	}
	other := uuid.New()
	b.append(event.MessageStream(other), queued("bolt", "1"))
	gated := make([]uuid.UUID, 3)
	for i, to := range []string{"+14155550191", "+14155550192", "+14155550192"} {
		gated[i] = uuid.New()
		q := queued("gated", gated[i].String())
		q.Personal.To = to
		if i == 1 {
			q.Kind, q.Template = message.KindTemplate, "spring_sale"
		}
		b.append(event.MessageStream(gated[i]), q)
	}
	base := b.now
	retry := func(id uuid.UUID, due time.Time) {
		b.append(event.MessageStream(id), message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: due},
			message.Failed{Call: 1, Attempt: 1, Failure: failure()}, message.RetryScheduled{Attempt: 1, DueAt: due})
	}
	retry(ids[3], base.Add(2*time.Minute))
	retry(ids[4], base.Add(time.Minute))
	b.project()

	list := postgres.NewWorkList(b.pool)
	lane := work.FetchRequest{Sender: "acme", Priority: message.PriorityTransactional, Timed: 10, Fresh: 10}
	for name, test := range map[string]struct {
		now   time.Time
		wants []work.FetchRequest
		want  []uuid.UUID
	}{
		"nothing wanted":    {base, nil, nil},
		"fresh only":        {base, []work.FetchRequest{lane}, ids[:3]},
		"retries first":     {base.Add(time.Hour / 2), []work.FetchRequest{lane}, []uuid.UUID{ids[4], ids[3], ids[0], ids[1], ids[2]}},
		"sendAt has come":   {base.Add(2 * time.Hour), []work.FetchRequest{{Sender: "acme", Priority: lane.Priority, Timed: 5}}, []uuid.UUID{ids[4], ids[3], ids[5]}},
		"behind the cursor": {base, []work.FetchRequest{{Sender: "acme", Priority: lane.Priority, Fresh: 5, After: positions[1]}}, ids[2:3]},
		"bounded":           {base.Add(time.Hour / 2), []work.FetchRequest{{Sender: "acme", Priority: lane.Priority, Fresh: 1, Timed: 1}}, []uuid.UUID{ids[4], ids[0]}},
		"lanes in order":    {base, []work.FetchRequest{{Sender: "bolt", Priority: lane.Priority, Fresh: 1}, lane}, []uuid.UUID{other, ids[0], ids[1], ids[2]}},
		"no such lane":      {base, []work.FetchRequest{{Sender: "acme", Priority: message.PriorityOTP, Fresh: 5}}, nil},
		"except recipients": {base, []work.FetchRequest{{
			Sender: "gated", Priority: lane.Priority, Fresh: 5, SkipRecipients: []string{"+14155550191", "+14155550100"},
		}}, gated[1:]},
		"except a template": {base, []work.FetchRequest{{
			Sender: "gated", Priority: lane.Priority, Fresh: 5, SkipTemplates: []string{"spring_sale"},
		}}, []uuid.UUID{gated[0], gated[2]}},
		"to one recipient":   {base, []work.FetchRequest{{Sender: "gated", Priority: lane.Priority, Fresh: 5, Recipient: "+14155550192"}}, gated[1:]},
		"of one template":    {base, []work.FetchRequest{{Sender: "gated", Priority: lane.Priority, Fresh: 5, Template: "spring_sale"}}, gated[1:2]},
		"lane that is given": {base, []work.FetchRequest{{Sender: "none", Priority: message.PriorityOTP, Fresh: 5}, lane}, ids[:3]},
	} {
		items, position, err := list.Fetch(b.ctx, test.now, test.wants)
		must(t, err)
		var got []uuid.UUID
		for _, w := range items {
			got = append(got, w.MessageID)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
		if position < positions[5] {
			t.Errorf("%s: position %d", name, position)
		}
	}
}

func TestOverdue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list := postgres.NewWorkList(b.pool)
	b.project()
	calling, unsettled, expiring, fresh := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	b.append(event.MessageStream(calling), queued("acme", "1"))
	base := b.now
	b.append(event.MessageStream(unsettled), queued("acme", "2"))
	q := queued("bolt", "3")
	q.SendAt, q.ExpiresAt = base.Add(time.Hour), base.Add(30*time.Minute)
	b.append(event.MessageStream(expiring), q)
	b.append(event.MessageStream(fresh), queued("cold", "4"))
	b.append(event.MessageStream(calling), message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: base.Add(10 * time.Minute)})
	b.append(event.MessageStream(unsettled), message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: base.Add(time.Minute)},
		message.OutcomeUnknown{Call: 1, SettleBy: base.Add(20 * time.Minute)})
	b.project()

	for _, test := range []struct {
		after   time.Duration
		senders []string
		limit   int
		want    []uuid.UUID
	}{
		{0, nil, 10, nil},
		{10 * time.Minute, nil, 10, []uuid.UUID{calling}},
		{30 * time.Minute, nil, 10, []uuid.UUID{calling, unsettled, expiring}},
		{30 * time.Minute, nil, 2, []uuid.UUID{calling, unsettled}},
		{30 * time.Minute, []string{"bolt", "cold"}, 10, []uuid.UUID{expiring}},
	} {
		items, position, err := list.Overdue(b.ctx, base.Add(test.after), test.senders, test.limit)
		must(t, err)
		var got []uuid.UUID
		for _, w := range items {
			got = append(got, w.MessageID)
		}
		if !slices.Equal(got, test.want) || position == 0 {
			t.Errorf("after %s of %v: %v at %d, want %v", test.after, test.senders, got, position, test.want)
		}
	}
}

// DeadLettered and Requeued can be in one batch or in two; the row is the same.
func TestRequeuedMessageHasAllFactsAgain(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]func(*bundle){
		"one batch":   func(*bundle) {},
		"two batches": func(b *bundle) { b.project() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			id := uuid.New()
			stream := event.MessageStream(id)
			queuedAt := b.append(stream, queued("acme", "1"))
			b.project()
			b.append(stream, message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: b.now.Add(time.Minute)},
				message.DeadLettered{Attempts: 1, Failure: failure()})
			between(b)
			requeued := b.append(stream, message.Requeued{})
			b.project()
			items, _, err := postgres.NewWorkList(b.pool).Fetch(b.ctx, b.now, []work.FetchRequest{
				{Sender: "acme", Priority: message.PriorityTransactional, Timed: 9, Fresh: 9},
			})
			must(t, err)
			want := work.Item{
				MessageID: id, Sender: "acme", Priority: message.PriorityTransactional, State: work.Ready, DueAt: b.now,
				Recipient: "+14155550101", Call: 1, OnAmbiguous: message.AmbiguityResend,
				Revision: requeued.Revision, Position: requeued.Position, QueuedPosition: queuedAt.Position,
			}
			if len(items) == 1 {
				items[0].DueAt = items[0].DueAt.UTC()
			}
			if len(items) != 1 || !reflect.DeepEqual(items[0], want) {
				t.Errorf("items %+v, want %+v", items, want)
			}
		})
	}
}

// Work items are found by their labels, which they don't contain: also those that an older version
// projected, those that were requeued, and those of a rebuilt work list. An erasure removes them.
func TestWorkIsFoundByItsLabels(t *testing.T) {
	t.Parallel()
	b := setupSealed(t)
	spring, north := message.Label{Name: "campaign", Value: "spring"}, message.Label{Name: "region", Value: "north"}
	var ids []uuid.UUID
	var keys []event.KeyID
	for i, labels := range [][]message.Label{{north, spring}, {{Name: "campaign", Value: "autumn"}}, nil, {spring}} {
		id := uuid.Must(uuid.NewV7())
		q := queued("acme", id.String())
		q.Personal.To, q.Personal.Labels = fmt.Sprintf("+1415555019%d", i), labels
		events := []event.Proposed{{Event: q}}
		if i == 3 {
			events = append(events, event.Proposed{Event: message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: b.now}},
				event.Proposed{Event: message.DeadLettered{Attempts: 1, Failure: failure()}})
		}
		ids, keys = append(ids, id), append(keys, b.about(event.MessageStream(id), q.Personal.To, events...))
	}
	must(t, b.vault.FlushAllProcesses(b.ctx))
	b.project()
	b.append(event.MessageStream(ids[3]), message.Requeued{})
	b.project()
	list := postgres.NewWorkList(b.pool)
	fetch := func(r work.FetchRequest) (found []uuid.UUID) {
		r.Sender, r.Priority, r.Fresh, r.Timed = "acme", message.PriorityTransactional, 9, 9
		items, _, err := list.Fetch(b.ctx, b.now, []work.FetchRequest{r})
		must(t, err)
		for _, i := range items {
			found = append(found, i.MessageID)
		}
		return found
	}
	expect := func(when string, ofSpring, others, ofNorth []uuid.UUID) {
		t.Helper()
		for name, c := range map[string]struct {
			request work.FetchRequest
			want    []uuid.UUID
		}{
			"skipped":       {work.FetchRequest{SkipLabels: []string{"x", postgres.LabelIndex(b.vault, spring)}}, others},
			"one label":     {work.FetchRequest{Label: postgres.LabelIndex(b.vault, spring)}, ofSpring},
			"another label": {work.FetchRequest{Label: postgres.LabelIndex(b.vault, north)}, ofNorth},
			"one and skipped": {
				work.FetchRequest{Label: postgres.LabelIndex(b.vault, spring), SkipLabels: []string{postgres.LabelIndex(b.vault, north)}},
				slices.DeleteFunc(slices.Clone(ofSpring), func(id uuid.UUID) bool { return slices.Contains(ofNorth, id) }),
			},
		} {
			if got := fetch(c.request); !slices.Equal(got, c.want) {
				t.Errorf("%s, %s: %v, want %v", when, name, got, c.want)
			}
		}
	}
	expect("projected", []uuid.UUID{ids[3], ids[0]}, ids[1:3], ids[:1])
	b.downTo(51)
	must(t, postgres.Up(b.ctx, b.url))
	expect("upgraded", []uuid.UUID{ids[3], ids[0]}, ids[1:3], ids[:1])

	b.append(event.ErasureStream(uuid.Must(uuid.NewV7())), event.PersonalErased{Keys: keys[:1], Cause: event.ErasedOnRequest})
	must(t, b.vault.Destroy(b.ctx, keys[:1], b.now))
	b.project()
	expect("erased", ids[3:], ids[:3], nil)
	done, err := postgres.Rebuild(b.ctx, postgres.RebuildOptions{URL: b.url, Log: b.log, LogID: b.logID, Logger: discard(), Vault: b.vault})
	must(t, err)
	if len(done.Before) == 0 || !slices.Equal(done.Before, done.After) {
		t.Errorf("digests before the rebuild %v, after it %v", done.Before, done.After)
	}
	expect("rebuilt", ids[3:], ids[:3], nil)
}
