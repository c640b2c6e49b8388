package dispatch_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/template"
	"github.com/waypost/waypost/ports/dispatch"
)

// in makes a queued message use the template spring_sale in a language.
func in(language string) func(*message.Queued) {
	return func(q *message.Queued) {
		q.Kind, q.Template, q.TemplateLanguage = message.KindTemplate, "spring_sale", language
	}
}

// calledIn returns the number of calls for messages in a language.
func (w *world) calledIn(language string) int {
	calls := w.made()
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, c := range calls {
		if w.status[c.MessageID].TemplateLanguage == language {
			n++
		}
	}
	return n
}

// reporting makes dispatch act on reports about spring_sale in German.
func reporting(german *atomic.Uint32) func(*dispatch.Options) {
	return func(o *dispatch.Options) {
		o.Template = func(_, key string) template.Sendability {
			if key == message.TemplateKey("spring_sale", "de") {
				return template.Sendability(german.Load())
			}
			return template.Sendable
		}
	}
}

// Of 10,000 messages of a template in two languages, those of the paused one are not called
// from the report on, the others keep the full rate, and no event is recorded for those that
// wait. When the template is approved again, they are sent.
func TestAReportedPauseCostsNoCall(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		const each = 5000
		for n := range each {
			w.queue("acme", recipient(n), in("de"))
			w.queue("acme", recipient(n), in("en"))
		}
		var german atomic.Uint32
		d, _ := w.dispatch(reporting(&german))
		time.Sleep(10 * time.Second)
		if n := w.calledIn("de"); n == 0 {
			t.Fatal("nothing was sent before the pause")
		}
		german.Store(uint32(template.Waiting))
		called := w.calledIn("de")
		time.Sleep(time.Second) // the calls that were announced are given back
		w.wantRate(79, 30)
		if n := w.calledIn("de"); n != called {
			t.Errorf("%d calls after the pause", n-called)
		}
		if held := d.Snapshot()["acme"].HeldTemplates; len(held) != 1 || held[0] != "spring_sale/de" {
			t.Errorf("held templates: %q", held)
		}
		events := 0
		w.locked(func() {
			for _, m := range w.status {
				if m.TemplateLanguage == "de" && len(m.Calls) > 0 && m.Status == message.StatusRetrying {
					events++
				}
			}
		})
		if events > 200 {
			t.Errorf("%d messages were deferred, only those with an announced call should be", events)
		}
		german.Store(uint32(template.Sendable))
		d.Wake()
		w.wantRate(79, 60)
		time.Sleep(2 * time.Minute)
		if n := w.count(message.StatusSent); n != 2*each {
			t.Errorf("%d of %d were sent", n, 2*each)
		}
	})
}

// Messages of a rejected template fail with advice, without a call.
func TestMessagesOfARejectedTemplateFail(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		var german atomic.Uint32
		german.Store(uint32(template.Unsendable))
		rejected, sent := w.queue("acme", recipient(1), in("de")), w.queue("acme", recipient(2), in("en"))
		lost := w.lose("acme", recipient(3), in("de"))
		w.dispatch(reporting(&german))
		time.Sleep(2 * time.Minute)
		m := w.message(rejected)
		if m.Status != message.StatusFailed || len(m.Calls) != 0 || m.Failure.Advice == "" || m.Failure.Category != message.CategoryTemplate {
			t.Errorf("the message is %s after %d calls: %+v", m.Status, len(m.Calls), m.Failure)
		}
		if m := w.message(sent); m.Status != message.StatusSent {
			t.Errorf("the message in the other language is %s", m.Status)
		}
		if m := w.message(lost); m.Status != message.StatusDeadLettered {
			t.Errorf("the message with a lost response is %s", m.Status)
		}
		if w.calledIn("de") > 0 {
			t.Error("a rejected template was called")
		}
	})
}
