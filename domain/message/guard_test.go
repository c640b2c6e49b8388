package message_test

import (
	"errors"
	"testing"
	"time"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

func reminder() *message.Template {
	return &message.Template{Name: "reminder", Language: message.Language{Code: "en"}}
}

func TestAFallbackIsForFreeFormMessages(t *testing.T) {
	text, template := message.Content(message.Text{Body: "hello"}), message.Content(*reminder())
	for name, c := range map[string]struct {
		outside  message.OutsideWindow
		content  message.Content
		fallback *message.Template
		field    string // of the error, or empty
	}{
		"nothing":                      {"", text, nil, ""},
		"send":                         {message.OutsideSend, text, nil, ""},
		"send a template":              {message.OutsideSend, template, nil, ""},
		"fail":                         {message.OutsideFail, text, nil, ""},
		"fallback":                     {message.OutsideFallback, text, reminder(), ""},
		"unknown":                      {"LATER", text, nil, "outsideWindow"},
		"no fallback":                  {message.OutsideFallback, text, nil, "fallback"},
		"fallback without FALLBACK":    {message.OutsideFail, text, reminder(), "fallback"},
		"fallback with nothing":        {"", text, reminder(), "fallback"},
		"template that fails":          {message.OutsideFail, template, nil, "outsideWindow"},
		"template with a fallback":     {message.OutsideFallback, template, reminder(), "outsideWindow"},
		"invalid fallback":             {message.OutsideFallback, text, &message.Template{Name: "reminder"}, "fallback.language"},
		"fallback with wrong variable": {message.OutsideFallback, text, &message.Template{Name: "a", Language: message.Language{Code: "en"}, Components: []message.Component{{Type: "tail"}}}, "fallback.components.0.type"},
	} {
		r := message.Request{Sender: "s", To: "+491701234567", Content: c.content, OutsideWindow: c.outside, Fallback: c.fallback}
		r.Priority, r.OnAmbiguous = message.PriorityTransactional, message.AmbiguityResend
		_, err := message.Queue(r, start)
		var e *domain.Error
		switch {
		case c.field == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.field != "" && (!errors.As(err, &e) || e.Field != c.field):
			t.Errorf("%s: got %v, want an error of the field %s", name, err, c.field)
		}
	}
}

// guarded returns a text that is due, with a fallback.
func guarded(t *testing.T, outside message.OutsideWindow) message.Message {
	t.Helper()
	r := message.Request{Sender: "s", To: "+491701234567", Content: message.Text{Body: "hello"}, OutsideWindow: outside}
	r.Priority, r.OnAmbiguous = message.PriorityTransactional, message.AmbiguityResend
	if outside == message.OutsideFallback {
		r.Fallback = reminder()
	}
	events, err := message.Queue(r, start)
	if err != nil {
		t.Fatal(err)
	}
	return message.Fold(recorded(start, events)...)
}

func TestAClosedWindow(t *testing.T) {
	closed := message.Circumstances{WindowClosed: true, ClosedAt: at(-time.Hour)}
	for _, outside := range []message.OutsideWindow{message.OutsideSend, message.OutsideFallback, message.OutsideFail} {
		if events := message.Withhold(guarded(t, outside), message.Circumstances{}, start); events != nil {
			t.Errorf("%s: an open window gives %s", outside, show(events))
		}
	}
	if events := message.Withhold(guarded(t, message.OutsideSend), closed, start); events != nil {
		t.Errorf("SEND gives %s", show(events))
	}
	m := guarded(t, message.OutsideFail)
	if m = m.Apply(recorded(start, message.Withhold(m, closed, start))...); m.Status != message.StatusFailed || m.Failure.Category != message.CategoryWindow || len(m.Calls) != 0 {
		t.Errorf("FAIL leads to %s, %+v, %d calls", m.Status, m.Failure, len(m.Calls))
	}
	m = guarded(t, message.OutsideFallback)
	m = m.Apply(recorded(start, message.Withhold(m, closed, start))...)
	if m.Status != message.StatusQueued || m.Kind != message.KindTemplate || string(m.Content) != `{"name":"reminder","language":{"code":"en"}}` {
		t.Errorf("FALLBACK leads to %s, %s %s", m.Status, m.Kind, m.Content)
	}
	if events := message.Withhold(m, closed, start); events != nil {
		t.Errorf("a fallback is withheld: %s", show(events))
	}
}

// WhatsApp can know better that a window is closed, in its response or by a status.
func TestARefusalForAClosedWindow(t *testing.T) {
	refusal := refused(message.ClassPermanent)
	refusal.Failure.Code = new(131047)
	status := report(message.ReportFailed, 1, message.ClassPermanent)
	status.Failure.Code = new(131047)
	for _, outside := range []message.OutsideWindow{message.OutsideSend, message.OutsideFallback, message.OutsideFail} {
		called := guarded(t, outside)
		called = called.Apply(recorded(start, message.Advance(called, policy(), false, start))...)
		byResponse := called.Apply(recorded(start, message.FinishCall(called, 1, refusal, policy(), start))...)
		sent := called.Apply(recorded(start, message.FinishCall(called, 1, message.Accepted{WhatsAppID: wamid(1)}, policy(), start))...)
		byStatus := sent.Apply(recorded(start, first(message.RecordStatusUpdate(sent, status)))...)
		for how, m := range map[string]message.Message{"response": byResponse, "status": byStatus} {
			want := struct {
				status   message.Status
				category message.Category
			}{message.StatusFailed, refusal.Failure.Category}
			switch outside {
			case message.OutsideFallback:
				want.status = message.StatusQueued
			case message.OutsideFail:
				want.category = message.CategoryWindow
			case message.OutsideSend:
			}
			if m.Status != want.status || m.Failure.Category != want.category || (m.Kind == message.KindTemplate) != (outside == message.OutsideFallback) {
				t.Errorf("%s, refused by a %s: %s, %s, of kind %s", outside, how, m.Status, m.Failure.Category, m.Kind)
			}
		}
	}
}

func TestAnOptedOutPersonGetsNoMarketing(t *testing.T) {
	m := guarded(t, message.OutsideSend)
	out := message.Circumstances{OptedOut: true, OptedOutAt: at(-time.Hour)}
	m = m.Apply(recorded(start, message.Withhold(m, out, start))...)
	if m.Status != message.StatusSuppressed || m.Failure != nil || m.Status.Open() || m.Status.Column() != message.ColumnSuppressed {
		t.Errorf("the message is %s, with the failure %v", m.Status, m.Failure)
	}
	if events := message.Advance(m, policy(), false, at(time.Hour)); events != nil {
		t.Errorf("a suppressed message gives %s", show(events))
	}
	if _, err := message.Requeue(m, "r", start); domain.CodeOf(err) != domain.CodeConflict {
		t.Errorf("requeue gives %v", err)
	}
}
