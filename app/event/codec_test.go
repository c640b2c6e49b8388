package event_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// personEvent is an event about a person, with members that could be mistaken for the personal
// one.
type personEvent struct {
	Before   string         `json:"before"`
	Nested   map[string]any `json:"nested"`
	Personal secret         `json:"personal"`
	After    string         `json:"after"`
}

type secret struct {
	Text string `json:"text"`
}

func (personEvent) EventType() string { return "PersonEvent" }

// box is a vault that only inverts bytes. The codec is tested with it; the real vault has
// its own tests.
type box struct {
	erased, locked bool
}

func turned(b []byte) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		out[i] = ^c
	}
	return out
}

func (b *box) Seal(_ context.Context, _ event.Subject, about string, plain []byte) ([]byte, event.KeyID, error) {
	if b.erased {
		return nil, "", nil
	}
	return turned(append([]byte(about+"\x00"), plain...)), "key-1", nil
}

var errElsewhere = errors.New("sealed for another place")

func (b *box) Open(_ context.Context, _ event.KeyID, about string, sealed []byte) ([]byte, error) {
	switch {
	case b.erased:
		return nil, &event.ErasedError{At: time.Unix(7, 0)}
	case b.locked:
		return nil, event.ErrLocked
	}
	place, plain, _ := bytes.Cut(turned(sealed), []byte{0})
	if string(place) != about {
		return nil, errElsewhere
	}
	return plain, nil
}

func (b *box) Fetch(context.Context, []event.KeyID) error { return nil }

func codecWith(t interface{ Fatal(...any) }, v event.Vault) *event.Codec {
	c, err := event.NewCodec([]domain.Type{domain.TypeOf[personEvent]()})
	if err != nil {
		t.Fatal(err)
	}
	if v == nil {
		return c
	}
	return c.WithVault(v)
}

// moment draws times like those of events.
func moment() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		at := time.Unix(rapid.Int64Range(-1<<33, 1<<35).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		if rapid.Bool().Draw(t, "zone") {
			return at.In(time.FixedZone("", 60*rapid.IntRange(-14*60, 14*60).Draw(t, "minutes")))
		}
		return at.UTC()
	})
}

// The codec decodes what it encoded like the standard library does, although it uses
// another one.
func TestDecodingIsTheStandardLibrarys(t *testing.T) {
	t.Parallel()
	codec, err := event.NewCodec(message.Types())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Just("<&>\u2028\x00\xff\\\"/"))
		written := message.Queued{
			Sender: text.Draw(t, "sender"), Kind: message.KindText, Priority: message.PriorityOTP, SendAt: moment().Draw(t, "sendAt"),
			Template: text.Draw(t, "template"),
		}
		if content, err := json.Marshal(map[string]any{text.Draw(t, "member"): []any{nil, 1.5e-9, text.Draw(t, "value")}}); err == nil {
			written.Personal.Content = content
		}
		for range rapid.IntRange(0, 3).Draw(t, "labels") {
			written.Personal.Labels = append(written.Personal.Labels, message.Label{Name: text.Draw(t, "name"), Value: text.Draw(t, "value")})
		}
		data, meta, _, err := codec.Encode(t.Context(), "message-1", event.Proposed{Event: written, Meta: event.Meta{
			RecordedAt: moment().Draw(t, "recordedAt"), OccurredAt: moment().Draw(t, "occurredAt"), CausationID: text.Draw(t, "cause"),
			By: domain.Actor{Kind: domain.ActorKey, ID: text.Draw(t, "by")},
		}})
		if err != nil {
			t.Fatal(err)
		}
		r := event.Recorded{Stream: "message-1", Type: written.EventType()}
		if err := codec.Decode(t.Context(), &r, data, meta); err != nil {
			t.Fatal(err)
		}
		var e message.Queued
		var m event.Meta
		if err := errors.Join(json.Unmarshal(data, &e), json.Unmarshal(meta, &m)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(r.Event, domain.Event(e)) || !reflect.DeepEqual(r.Meta, m) {
			t.Errorf("%s\n%s\nwere read as %+v\n%+v,\nwant %+v\n%+v", data, meta, r.Event, r.Meta, e, m)
		}
	})
}

func TestPersonalMemberIsSealedAndComesBack(t *testing.T) {
	t.Parallel()
	text := rapid.String()
	rapid.Check(t, func(t *rapid.T) {
		e := personEvent{
			Before: text.Draw(t, "before"), After: text.Draw(t, "after"), Personal: secret{"s3cret-" + text.Draw(t, "personal")},
			Nested: map[string]any{"personal": text.Draw(t, "nested"), "a": []any{map[string]any{"personal": "\"}]"}}},
		}
		c := codecWith(t, &box{})
		data, meta, key, err := c.Encode(t.Context(), "s-1", event.Proposed{Event: e})
		if err != nil || key != "key-1" {
			t.Fatal(key, err)
		}
		if !json.Valid(data) || bytes.Contains(data, []byte("s3cret-")) || event.SealingKeyID(data) != "key-1" {
			t.Fatalf("recorded as %s", data)
		}
		want, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		r := event.Recorded{Stream: "s-1", Type: "PersonEvent"}
		if err := c.Decode(t.Context(), &r, data, meta); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(r.Data, want) || r.Key != "key-1" || r.Personal != event.Clear {
			t.Fatalf("read as %s, %v", r.Data, r.Personal)
		}
		if fmt.Sprint(r.Event) != fmt.Sprint(e) {
			t.Fatalf("read as %v, want %v", r.Event, e)
		}
	})
}

func TestPersonalDataThatCannotBeReadAreNull(t *testing.T) {
	t.Parallel()
	b := &box{}
	c := codecWith(t, b)
	data, meta, _, err := c.Encode(t.Context(), "s-1", event.Proposed{Event: personEvent{Before: "x", Personal: secret{"s"}}})
	if err != nil {
		t.Fatal(err)
	}
	read := func(c *event.Codec, data []byte) event.Recorded {
		r := event.Recorded{Stream: "s-1", Type: "PersonEvent"}
		if err := c.Decode(t.Context(), &r, data, meta); err != nil {
			t.Fatal(err)
		}
		if e, ok := r.Event.(personEvent); !ok || e.Before != "x" {
			t.Fatalf("read as %+v", r.Event)
		}
		return r
	}
	b.erased = true
	if r := read(c, data); r.Personal != event.Erased || !r.ErasedAt.Equal(time.Unix(7, 0)) || !strings.Contains(string(r.Data), `"personal":null`) {
		t.Errorf("erased: %+v, %s", r, r.Data)
	}
	if late, _, key, err := c.Encode(t.Context(), "s-1", event.Proposed{Event: personEvent{Before: "x", Personal: secret{"s"}}}); err != nil || key != "" || !strings.Contains(string(late), `"personal":null`) {
		t.Errorf("under a destroyed key it is recorded as %s, %v", late, err)
	}
	b.erased, b.locked = false, true
	if r := read(c, data); r.Personal != event.Locked || !strings.Contains(string(r.Data), `"personal":null`) {
		t.Errorf("locked: %+v, %s", r, r.Data)
	}
	if r := read(codecWith(t, nil), data); r.Personal != event.Locked || r.Key != "key-1" {
		t.Errorf("without a vault: %+v", r)
	}
	b.locked = false
	// The form from before personal data was sealed.
	if r := read(c, []byte(`{"before":"x","personal":{"text":"plain"}}`)); r.Personal != event.Clear || r.Key != "" || r.Event.(personEvent).Personal.Text != "plain" {
		t.Errorf("recorded in the clear: %+v", r)
	}
	r := event.Recorded{Stream: "s-2", Type: "PersonEvent"}
	if err := c.Decode(t.Context(), &r, data, meta); !errors.Is(err, errElsewhere) {
		t.Errorf("in another stream: %v", err)
	}
	r = event.Recorded{Stream: "s-1", Type: "PersonEvent"}
	if err := c.Decode(t.Context(), &r, []byte(`{"personal":"v9.k.QUJD"}`), meta); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("a form to come: %v", err)
	}
}

func FuzzDecodeSealed(f *testing.F) {
	for _, s := range []string{`{"personal":"v1.k.QUJD"}`, `{"personal":`, `{"a":"\"personal\":","personal":{}}`, `[`, `{"personal":"v1.`, `{"personal" : null }`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := event.Recorded{Stream: "s", Type: "PersonEvent"}
		if err := codecWith(t, &box{}).Decode(t.Context(), &r, data, []byte(`{}`)); err == nil && !json.Valid(r.Data) && json.Valid(data) {
			t.Errorf("%s was read as %s", data, r.Data)
		}
	})
}
