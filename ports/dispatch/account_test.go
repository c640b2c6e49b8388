package dispatch_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/dispatch"
)

const noTemplates, noReplies = "RESTRICTED_BIZ_INITIATED_MESSAGING", "RESTRICTED_CUSTOMER_INITIATED_MESSAGING"

// report records what a webhook reports about a sender, as the process that sends for it does.
func (w *world) report(id string, r sender.Report) {
	w.t.Helper()
	_, err := w.senders.Change(w.ctx, id, tester, func(s sender.Sender) ([]domain.Event, error) {
		return sender.RecordReport(s, r, time.Now())
	})
	w.must(err)
	synctest.Wait() // a call that begins at this very moment counts as one before the report
}

// restrict returns a report of restrictions that begin now and end after a time; 0 means never.
func restrict(length time.Duration, kinds ...string) sender.Report {
	r := sender.Report{At: time.Now()}
	for _, kind := range kinds {
		n := sender.Restriction{Type: kind, At: r.At}
		if length > 0 {
			n.Until = r.At.Add(length)
		}
		r.Restrictions = append(r.Restrictions, n)
	}
	return r
}

// learning starts a dispatcher in the process that records the webhooks.
func (w *world) learning() {
	w.t.Helper()
	d, _ := w.dispatch(nil)
	w.senders.OnChange(d.Learn)
}

// templates returns the number of calls with a template.
func (w *world) templates() int {
	n := 0
	for _, c := range w.made() {
		if c.Kind == message.KindTemplate {
			n++
		}
	}
	return n
}

// While an account is restricted, WhatsApp refuses what the restriction is about. None of it is
// called after the webhook was recorded. The rest, and other senders, continue at their rates.
func TestARestrictionHoldsBeforeACall(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		report func() sender.Report
		// replies is set if messages without a template can be sent.
		replies bool
		// ends restores the sender, if its time doesn't.
		ends *sender.Report
	}{
		"templates, for an hour":  {report: func() sender.Report { return restrict(time.Hour, noTemplates) }, replies: true},
		"everything, for an hour": {report: func() sender.Report { return restrict(time.Hour, noTemplates, noReplies) }},
		"templates, until restored": {
			report: func() sender.Report { return restrict(0, noTemplates) }, replies: true, ends: &sender.Report{Restored: []string{noTemplates}},
		},
		"a ban": {report: func() sender.Report { return restrict(0, sender.RestrictionDisabled) }, ends: &sender.Report{AllRestored: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && tc.ends == nil {
				t.Skip("an hour of virtual time, which takes minutes with the race detector")
			}
			inWorld(t, map[string]int{"acme": 20, "other": 20}, func(w *world) {
				var restricted, refused bool
				w.answer = func(r dispatch.CallRequest) message.CallResult {
					if restricted && r.SenderID == "acme" && (r.Kind == message.KindTemplate || !tc.replies) {
						refused = true
					}
					return nil
				}
				for n := range 400 {
					w.queue("acme", recipient(n), by(fmt.Sprint("template_", n%20)))
					w.queue("acme", recipient(n), nil)
					w.queue("other", recipient(n), nil)
				}
				w.learning()
				time.Sleep(3 * time.Second)
				w.report("acme", tc.report())
				before := len(w.made())
				w.locked(func() { restricted = true })
				time.Sleep(10 * time.Second)
				want := 200
				if tc.replies {
					want *= 2
				}
				if got := len(w.made()) - before; got < want*9/10 {
					t.Errorf("%d calls in 10 s, want %d", got, want)
				}
				if tc.ends == nil {
					time.Sleep(time.Hour - 11*time.Second)
				}
				w.locked(func() {
					if refused {
						t.Error("a call was made that the restriction forbids")
					}
					restricted = false
				})
				if tc.ends != nil {
					end := *tc.ends
					end.At = time.Now()
					w.report("acme", end)
				}
				templates := w.templates()
				time.Sleep(5 * time.Second)
				if got := w.templates() - templates; got < 40 {
					t.Errorf("%d templates were sent within 5 s after the restriction", got)
				}
				time.Sleep(time.Minute)
				if n := w.count(message.StatusSent); n != 1200 {
					t.Errorf("%d messages were sent in all", n)
				}
				w.wantWithin("acme", 20)
			})
		})
	}
}

// The senders are read regularly. What was read before a report was recorded, and arrives after it,
// does not end the restriction.
func TestAReadingFromBeforeAReportEndsNoRestriction(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 20}, func(w *world) {
		for n := range 400 {
			w.queue("acme", recipient(n), nil)
		}
		w.learning()
		time.Sleep(3 * time.Second)
		var once sync.Once
		read, recorded := make(chan struct{}), make(chan struct{})
		w.locked(func() {
			w.afterRead = func() {
				once.Do(func() {
					close(read)
					<-recorded
				})
			}
		})
		<-read
		w.report("acme", restrict(time.Hour, noTemplates, noReplies))
		before := len(w.made())
		close(recorded)
		time.Sleep(time.Minute)
		if n := len(w.made()) - before; n != 0 {
			t.Errorf("%d calls were made that the restriction forbids", n)
		}
	})
}

// A restriction of one category holds its templates alone: others, those whose category is not
// known, and messages without one are sent. A second category adds to it.
func TestARestrictionOfACategory(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 20}, func(w *world) {
		category := map[string]string{"bill": "UTILITY", "sale": "MARKETING"}
		d, _ := w.dispatch(func(o *dispatch.Options) {
			o.Category = func(_, key string) string {
				name, _, _ := strings.Cut(key, "/")
				return category[name]
			}
		})
		w.senders.OnChange(d.Learn)
		w.report("acme", restrict(time.Hour, "RESTRICTED_UTILITY_TEMPLATES"))
		bill, sale, odd := w.queue("acme", recipient(1), by("bill")), w.queue("acme", recipient(2), by("sale")), w.queue("acme", recipient(3), by("odd"))
		text := w.queue("acme", recipient(4), nil)
		want := func(waiting ...uuid.UUID) {
			w.t.Helper()
			time.Sleep(10 * time.Second)
			for _, id := range []uuid.UUID{bill, sale, odd, text} {
				if sent := w.message(id).Status == message.StatusSent; sent == slices.Contains(waiting, id) {
					w.t.Errorf("%s is %s", w.message(id).Template, w.message(id).Status)
				}
			}
		}
		want(bill)
		w.report("acme", restrict(time.Hour, "RESTRICTED_MARKETING_TEMPLATES"))
		sale = w.queue("acme", recipient(5), by("sale"))
		want(bill, sale)
		w.report("acme", sender.Report{At: time.Now(), Restored: []string{"RESTRICTED_UTILITY_TEMPLATES"}})
		want(sale)
		time.Sleep(time.Hour)
		want()
	})
}

// A sender that is restricted when a process starts is held from the start, and what another
// process records is known soon.
func TestARestrictionOfAnotherProcess(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 20}, func(w *world) {
		w.report("acme", restrict(0, noTemplates))
		id := w.queue("acme", recipient(1), by("news"))
		w.dispatch(nil)
		time.Sleep(time.Minute)
		if n := len(w.made()); n > 0 {
			t.Errorf("%d calls", n)
		}
		w.report("acme", sender.Report{At: time.Now(), AllRestored: true})
		time.Sleep(3 * time.Second)
		if m := w.message(id); m.Status != message.StatusSent {
			t.Errorf("the message is %s", m.Status)
		}
	})
}

// WhatsApp can refuse calls for a minute after it raised a number's throughput.
func TestAThroughputUpgrade(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": sender.DefaultRate}, func(w *world) {
		for n := range 4000 {
			w.queue("acme", recipient(n), nil)
		}
		w.learning()
		time.Sleep(2 * time.Second)
		w.report("acme", sender.Report{At: time.Now(), Throughput: 1000})
		before := len(w.made())
		time.Sleep(59 * time.Second)
		if n := len(w.made()) - before; n > 0 {
			t.Errorf("%d calls during the upgrade", n)
		}
		time.Sleep(time.Second)
		w.wantRate(900, 3)
		w.wantWithin("acme", 1000)
	})
}
