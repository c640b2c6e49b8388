package sender_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/sender"
)

type decision func(sender.Sender) ([]domain.Event, error)

// aFault draws from few values, so that the same comes again often.
func aFault() *rapid.Generator[sender.Fault] {
	return rapid.Custom(func(t *rapid.T) sender.Fault {
		return sender.Fault{
			Code:     rapid.Ptr(rapid.IntRange(0, 1), true).Draw(t, "code"),
			Category: rapid.SampledFrom([]string{"auth", "payment"}).Draw(t, "category"),
			Message:  rapid.SampledFrom([]string{"one", "two"}).Draw(t, "message"),
		}
	})
}

func priorities() *rapid.Generator[[]string] {
	return rapid.SliceOfN(rapid.SampledFrom(sender.Priorities()), 0, 4)
}

func aDecision() *rapid.Generator[decision] {
	word := rapid.SampledFrom([]string{"", "1", "2", "no\xff"})
	return rapid.Custom(func(t *rapid.T) decision {
		switch rapid.IntRange(0, 7).Draw(t, "decision") {
		case 0:
			in := registration()
			in.Rate = rapid.IntRange(0, 3).Draw(t, "rate")
			in.TokenID = word.Draw(t, "token")
			return func(s sender.Sender) ([]domain.Event, error) { return sender.Register(s, in) }
		case 1:
			in := sender.Changes{Name: rapid.Ptr(word, true).Draw(t, "name"), DisplayPhoneNumber: rapid.Ptr(word, true).Draw(t, "display"), BusinessAccountID: rapid.Ptr(word, true).Draw(t, "account")}
			return func(s sender.Sender) ([]domain.Event, error) { return sender.Update(s, in) }
		case 2:
			n := rapid.IntRange(0, 3).Draw(t, "rate")
			return func(s sender.Sender) ([]domain.Event, error) { return sender.SetRate(s, n) }
		case 3:
			token := word.Draw(t, "token")
			return func(s sender.Sender) ([]domain.Event, error) { return sender.ChangeToken(s, token) }
		case 4:
			which, reason := priorities().Draw(t, "priorities"), word.Draw(t, "reason")
			return func(s sender.Sender) ([]domain.Event, error) { return sender.Pause(s, which, reason) }
		case 5:
			return sender.Resume
		case 6:
			f := aFault().Draw(t, "fault")
			return func(s sender.Sender) ([]domain.Event, error) { return sender.Hold(s, f) }
		default:
			reason := word.Draw(t, "reason")
			return func(s sender.Sender) ([]domain.Event, error) { return sender.Release(s, reason) }
		}
	})
}

// Whatever was decided, deciding it again gives nothing; a refusal records
// nothing; and folding the log again gives the same sender.
func TestDecidingTwiceGivesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s sender.Sender
		var log []sender.Record
		for i, decide := range rapid.SliceOfN(aDecision(), 1, 30).Draw(t, "decisions") {
			events, err := decide(s)
			if err != nil {
				if len(events) != 0 {
					t.Fatalf("decision %d was refused (%v) and gave %v", i, err, events)
				}
				continue
			}
			for _, e := range events {
				r := sender.Record{Event: e, At: start.Add(time.Duration(i) * time.Second)}
				log = append(log, r)
				s = s.Apply(r)
			}
			again, err := decide(s)
			if err != nil || len(again) != 0 {
				t.Fatalf("decision %d made again gave %v, %v", i, again, err)
			}
		}
		if folded := sender.Fold(log); !reflect.DeepEqual(folded, s) {
			t.Fatalf("folded again, the sender is %+v, want %+v", folded, s)
		}
	})
}

// Any events in any order fold to a sender in a known state whose paused
// priorities are known ones, each once and in their order.
func TestFoldIsTotal(t *testing.T) {
	t.Parallel()
	anEvent := rapid.Custom(func(t *rapid.T) domain.Event {
		switch rapid.IntRange(0, 4).Draw(t, "event") {
		case 0:
			return sender.SenderHeld{Fault: aFault().Draw(t, "fault")}
		case 1:
			return sender.SenderPaused{Priorities: rapid.SliceOf(rapid.SampledFrom([]string{"OTP", "TRANSACTIONAL", "BULK", "", "LATER"})).Draw(t, "priorities")}
		case 2:
			return nil
		default:
			return rapid.SampledFrom(samples()).Draw(t, "sample")
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		var s sender.Sender
		for _, e := range rapid.SliceOf(anEvent).Draw(t, "events") {
			before := s
			paused := slices.Clone(before.PausedPriorities)
			s = s.Apply(sender.Record{Event: e, At: start})
			if !slices.Equal(before.PausedPriorities, paused) {
				t.Fatalf("%v changed the sender it was applied to", e)
			}
		}
		known := slices.DeleteFunc(sender.Priorities(), func(p string) bool { return !s.Paused(p) })
		if !slices.Equal(s.PausedPriorities, known) {
			t.Fatalf("paused priorities are %v, want %v", s.PausedPriorities, known)
		}
		want := sender.StateActive
		switch {
		case s.Hold != nil:
			want = sender.StateHeld
		case s.Paused("OTP") && s.Paused("TRANSACTIONAL") && s.Paused("BULK"):
			want = sender.StatePaused
		}
		if s.State() != want {
			t.Fatalf("state is %s, want %s", s.State(), want)
		}
	})
}
