package command

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain/message"
)

// calls returns a message with two calls. The first one failed, and the second one is in
// the drawn state.
func calls(t *rapid.T, at time.Time) message.Message {
	t.Helper()
	events, err := message.Queue(message.Request{
		Sender: "shop", To: "+12025550143", Content: message.Text{Body: "hello"},
		Priority: message.PriorityTransactional, OnAmbiguous: message.AmbiguityResend,
	}, at)
	if err != nil {
		t.Fatal(err)
	}
	p := message.Policy{RetryDelays: []time.Duration{time.Second}, CallTimeout: time.Second, ThrottleLimit: 20}
	m := message.Fold(message.Record{Event: events[0], At: at})
	for call := 1; call <= 2; call++ {
		at = at.Add(time.Hour)
		for _, e := range message.Advance(m, p, false, at) {
			m = m.Apply(message.Record{Event: e, At: at})
		}
		var result message.CallResult = message.Lost{Cause: "cut"}
		if call == 2 && rapid.Bool().Draw(t, "accepted") {
			result = message.Accepted{WhatsAppID: "wamid.2"}
		}
		for _, e := range message.FinishCall(m, call, result, p, at) {
			m = m.Apply(message.Record{Event: e, At: at})
		}
	}
	return m
}

// The statuses of a delivery lead to the same events in any order, and to none if they are
// repeated.
func TestReportsOfADelivery(t *testing.T) {
	at := time.Date(2026, 3, 3, 16, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		m := calls(t, at)
		reports := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) message.StatusUpdate {
			call := rapid.IntRange(1, 3).Draw(t, "call")
			r := message.StatusUpdate{
				Kind: rapid.SampledFrom([]message.StatusKind{
					message.ReportSent, message.ReportDelivered, message.ReportRead, message.ReportFailed,
				}).Draw(t, "kind"),
				Call: call, WhatsAppID: "wamid." + string(rune('0'+call)),
				At: at.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "second")) * time.Second),
			}
			if r.Kind == message.ReportFailed {
				r.Failure = message.Failure{Class: message.ClassTransient, Category: message.CategoryUnknown, Message: "failed"}
			}
			return r
		}), 1, 8).Draw(t, "reports")
		events, unmatched := decideReports(&m, reports, at)
		for _, i := range unmatched {
			if reports[i].Call != 3 {
				t.Fatalf("a status of call %d fits no call", reports[i].Call)
			}
		}
		shuffled := rapid.Permutation(reports).Draw(t, "shuffled")
		if again, _ := decideReports(&m, shuffled, at); !reflect.DeepEqual(events, again) {
			t.Fatalf("%+v\nin another order %+v", events, again)
		}
		for _, e := range events {
			m = m.Apply(message.Record{Event: e, At: at})
		}
		if again, _ := decideReports(&m, reports, at); len(again) > 0 {
			t.Fatalf("the same delivery again gives %+v", again)
		}
	})
}
