package operation_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/operation"
)

var update = flag.Bool("update", false, "rewrite the golden files of the events")

func samples() []domain.Event {
	id := uuid.MustParse("0198c3f2-7d5e-7a31-9f0a-6b1f3a5f0c11")
	refusal := operation.Refusal{MessageID: id.String(), Code: domain.CodeConflict, Message: "the message is SENT"}
	return []domain.Event{
		operation.Selected{Messages: []uuid.UUID{id}},
		operation.Started{Kind: operation.KindCancel, Selected: 1, Reason: "wrong prices", Senders: []string{"shop"}},
		operation.Progressed{Through: 1, RefusedCount: 1, Refused: []operation.Refusal{refusal}},
		operation.Finished{},
		operation.Opened{Operation: id},
		operation.Closed{Operation: id},
	}
}

// The golden files have the shapes of events in users' logs.
func TestEventsAreWrittenAsInTheGoldenFiles(t *testing.T) {
	types := operation.Types()
	var history []domain.Event
	for i, e := range samples() {
		if types[i].Name != e.EventType() || types[i].Version != 1 {
			t.Fatalf("%s: type %s, version %d", e.EventType(), types[i].Name, types[i].Version)
		}
		written, err := json.MarshalIndent(e, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "events", e.EventType()+".v1.json")
		if *update {
			if err := os.WriteFile(path, append(written, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytes.TrimSpace(golden), written) {
			t.Errorf("%s is written as\n%s\nthe log has\n%s", e.EventType(), written, golden)
		}
		back, err := types[i].Decode(golden)
		if err != nil {
			t.Fatal(err)
		}
		history = append(history, back)
	}
	o := operation.Fold(history...)
	if !o.Finished || o.Through != 1 || o.RefusedCount != 1 || len(o.Refused) != 1 || o.CoversSender("other") || !o.CoversSender("shop") {
		t.Errorf("folds to %+v", o)
	}
}

func TestWhatAdvancesAddsUpAndEndsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.IntRange(0, 600).Draw(t, "selected")
		o := operation.Fold(operation.Started{Kind: operation.KindRequeue, Selected: total})
		var done, refused int
		for step := 0; !o.Finished; step++ {
			n := rapid.IntRange(min(1, total-o.Through), min(100, total-o.Through)).Draw(t, "batch")
			p := operation.Progress{Done: rapid.IntRange(0, n).Draw(t, "done")}
			for i := range n - p.Done {
				p.Refused = append(p.Refused, operation.Refusal{MessageID: fmt.Sprint(refused + i)})
			}
			before := o
			for _, e := range operation.Advance(o, p) {
				o = o.Apply(e)
			}
			done, refused = done+p.Done, refused+len(p.Refused)
			if o.Through != before.Through+n || o.Done != done || o.RefusedCount != refused || o.Through != done+refused {
				t.Fatalf("step %d: %+v after %+v and %+v", step, o, before, p)
			}
			if o.Finished != (o.Through == total) || len(o.Refused) != min(refused, operation.MaxRefusals) {
				t.Fatalf("step %d: %+v", step, o)
			}
			for i, r := range o.Refused {
				if r.MessageID != fmt.Sprint(i) {
					t.Fatalf("refusal %d is that of %s", i, r.MessageID)
				}
			}
		}
		if events := operation.Advance(o, operation.Progress{Done: 1}); events != nil {
			t.Fatalf("an operation that has ended continues with %v", events)
		}
	})
}

func TestKindsAreKnown(t *testing.T) {
	for _, k := range []operation.Kind{operation.KindCancel, operation.KindRequeue, operation.KindDiscard} {
		if !k.Valid() {
			t.Errorf("%s is not valid", k)
		}
	}
	if operation.Kind("ERASE").Valid() || (operation.Operation{}).Exists() {
		t.Error("what is not there is there")
	}
}
