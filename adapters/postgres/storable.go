package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/alert"
	"github.com/waypost/waypost/domain/identity"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
)

// An event that is in the log must be projected, whatever it contains: a text that Postgres
// refuses would stop its stream. So everything that projections write passes one of the
// functions below. Each is idempotent, because folds continue from rows that were stored.

// maxKey is the maximum length of a text in an indexed column, in bytes. An index row has
// at most 2,704 bytes, and no index has more than four such columns.
const maxKey = 512

// lastTime is the end of the year 9999, the last time that RFC 3339 and JSON can express.
var lastTime = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)

// maxLatency bounds a single latency or lag, so that sums of them fit in a bigint.
// WhatsApp gives up on a message after 30 days.
const maxLatency = 30 * 24 * time.Hour

// storableText returns s without what Postgres cannot store in a text column: U+0000 and
// bytes that are not valid UTF-8 become U+FFFD.
func storableText(s string) string {
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) {
		return s
	}
	const replacement = string(utf8.RuneError)
	return strings.ReplaceAll(strings.ToValidUTF8(s, replacement), "\x00", replacement)
}

// storableKey returns s as an indexed column can store it. A text of more than maxKey bytes
// is shortened and ends with a hash, so that different texts stay different.
func storableKey(s string) string {
	s = storableText(s)
	if len(s) <= maxKey {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	hash := hex.EncodeToString(sum[:16])
	return strings.ToValidUTF8(s[:maxKey-len(hash)-1], "") + "#" + hash
}

// storableJSON returns v as JSON that a jsonb column can store: the escape of U+0000, which
// jsonb refuses, becomes that of U+FFFD.
func storableJSON(v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	const nul, replacement = `\u0000`, `\ufffd`
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		if i+len(nul) <= len(data) && string(data[i:i+len(nul)]) == nul {
			copy(data[i:], replacement)
		}
		i++ // what is escaped may itself be a backslash
	}
	return string(data), nil
}

// storableTime returns t in whole microseconds, as Postgres stores it, or the nearest time
// that RFC 3339 can express. A fold would otherwise depend on where batches end: it compares
// times of events with those that were read from rows.
func storableTime(t time.Time) time.Time {
	switch year := t.UTC().Year(); {
	case year < 1:
		return time.Time{}
	case year > lastTime.Year():
		return lastTime
	}
	return t.Truncate(time.Microsecond)
}

// storableInt returns n, or the nearest number that an integer column can store.
func storableInt(n int) int { return min(max(n, math.MinInt32), math.MaxInt32) }

// storableEvents returns the events with everything replaced that tables cannot store.
// It returns events itself if there is nothing to replace, and never changes it.
func storableEvents(events []event.Recorded) []event.Recorded {
	cloned := false
	for i := range events {
		r, changed := storableEvent(&events[i])
		if !changed {
			continue
		}
		if !cloned {
			events, cloned = slices.Clone(events), true
		}
		events[i] = r
	}
	return events
}

// storableEvent returns the event as tables can store it, and whether that differs from r.
// Texts that go into rows only as JSON or sealed are left as they are.
func storableEvent(r *event.Recorded) (event.Recorded, bool) {
	var f replacing
	key, recordedAt := r.Key, r.Meta.RecordedAt
	f.key((*string)(&key))
	f.time(&recordedAt)
	e := r.Event
	switch v := e.(type) {
	case message.Queued:
		f.key(&v.Sender)
		f.key((*string)(&v.Kind))
		f.key((*string)(&v.OnAmbiguous))
		f.key(&v.Template)
		f.key(&v.TemplateLanguage)
		f.time(&v.SendAt)
		f.time(&v.ExpiresAt)
		f.float(&v.DeliverWithinSeconds)
		f.key(&v.Personal.To)
		f.key(&v.Personal.ToUserID)
		e = v
	case message.Substituted:
		f.key(&v.Template)
		f.key(&v.Language)
		f.time(&v.DueAt)
		e = v
	case message.DeliveryOverdue:
		f.time(&v.Since)
		e = v
	case identity.IdentityLinked:
		f.key(&v.BusinessAccountID)
		f.time(&v.At)
		e = v
	case message.SendAttempted:
		f.number(&v.Call)
		f.number(&v.Attempt)
		f.time(&v.AnswerBy)
		e = v
	case message.Sent:
		f.number(&v.Call)
		f.time(&v.At)
		e = v
	case message.Confirmed:
		f.time(&v.At)
		e = v
	case message.Delivered:
		f.time(&v.At)
		f.time(&v.CalledAt)
		e = v
	case message.Read:
		f.time(&v.At)
		f.time(&v.CalledAt)
		e = v
	case message.Failed:
		f.failure(&v.Failure)
		f.number(&v.Attempt)
		f.time(&v.At)
		e = v
	case message.RetryScheduled:
		f.number(&v.Attempt)
		f.time(&v.DueAt)
		e = v
	case message.DeadLettered:
		f.failure(&v.Failure)
		f.number(&v.Attempts)
		e = v
	case message.Deferred:
		f.number(&v.Attempt)
		f.time(&v.DueAt)
		e = v
	case message.OutcomeUnknown:
		if v.Attempt != nil {
			v.Attempt = new(*v.Attempt)
			f.number(v.Attempt)
		}
		f.time(&v.SettleBy)
		e = v
	case event.PersonalErased:
		v.Keys = slices.Clone(v.Keys)
		for i := range v.Keys {
			f.key((*string)(&v.Keys[i]))
		}
		e = v
	case template.TemplateSynced:
		f.template(&v.Ref)
		f.key(&v.Status)
		f.key(&v.Category)
		f.key(&v.Quality)
		f.time(&v.At)
		e = v
	case template.TemplateStatusChanged:
		f.template(&v.Ref)
		f.key(&v.Status)
		f.time(&v.At)
		e = v
	case template.TemplateCategoryChanged:
		f.template(&v.Ref)
		f.key(&v.Category)
		f.time(&v.ChangesAt)
		f.time(&v.At)
		e = v
	case template.TemplateQualityChanged:
		f.template(&v.Ref)
		f.key(&v.Quality)
		f.time(&v.At)
		e = v
	case template.TemplateContentChanged:
		f.template(&v.Ref)
		f.time(&v.At)
		e = v
	case template.TemplateRemoved:
		f.template(&v.Ref)
		f.time(&v.At)
		e = v
	case template.TemplatesListed:
		f.key(&v.BusinessAccountID)
		f.time(&v.At)
		e = v
	case sender.QualityChanged:
		f.time(&v.At)
		e = v
	case sender.MessagingLimitChanged:
		f.time(&v.At)
		e = v
	case sender.ThroughputChanged:
		f.time(&v.At)
		f.time(&v.PausedUntil)
		e = v
	case sender.AccountRestricted:
		f.key(&v.Type)
		f.time(&v.At)
		f.time(&v.Until)
		e = v
	case sender.AccountRestored:
		f.key(&v.Type)
		f.time(&v.At)
		e = v
	case alert.AlertRaised:
		f.key(&v.Rule)
		f.key((*string)(&v.Kind))
		f.key((*string)(&v.Severity))
		f.key(&v.Sender)
		f.float(&v.Value)
		f.float(&v.Threshold)
		if v.Silence != nil {
			s := *v.Silence
			f.silence(&s)
			v.Silence = &s
		}
		e = v
	case alert.AlertSilenced:
		f.silence(&v.Silence)
		e = v
	case alert.SilenceStarted:
		f.time(&v.Until)
		e = v
	case alert.RuleChanged:
		f.float(&v.Threshold)
		f.float(&v.WindowSeconds)
		f.float(&v.ForSeconds)
		e = v
	}
	if !f.changed {
		return event.Recorded{}, false
	}
	out := *r
	out.Key, out.Meta.RecordedAt, out.Event = key, recordedAt, e
	return out, true
}

// replacing replaces values by ones that can be stored, and notes whether any differed.
type replacing struct{ changed bool }

func (f *replacing) silence(s *alert.Silence) {
	f.time(&s.StartedAt)
	f.time(&s.Until)
}

func (f *replacing) key(s *string) {
	if k := storableKey(*s); k != *s {
		*s, f.changed = k, true
	}
}

func (f *replacing) time(t *time.Time) {
	if s := storableTime(*t); !s.Equal(*t) {
		*t, f.changed = s, true
	}
}

func (f *replacing) number(n *int) {
	if s := storableInt(*n); s != *n {
		*n, f.changed = s, true
	}
}

// float replaces what JSON cannot express.
func (f *replacing) float(n *float64) {
	switch {
	case math.IsNaN(*n):
		*n, f.changed = 0, true
	case math.IsInf(*n, 0):
		*n, f.changed = math.Copysign(math.MaxFloat64, *n), true
	}
}

func (f *replacing) template(v *template.Ref) {
	f.key(&v.BusinessAccountID)
	f.key(&v.Name)
	f.key(&v.Language)
}

func (f *replacing) failure(v *message.Failure) {
	f.key((*string)(&v.Category))
	f.key((*string)(&v.Class))
}
