package event

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain"
)

// Metadata is written as encoding/json writes it, whatever it contains.
func TestMetadataIsEncodedAsByTheLibrary(t *testing.T) {
	t.Parallel()
	texts := rapid.OneOf(rapid.StringMatching(`[ -~]{0,12}`), rapid.String(), rapid.Just(""), rapid.StringMatching(`[a-z0-9-]{1,36}`))
	times := rapid.Custom(func(t *rapid.T) time.Time {
		at := time.Unix(rapid.Int64Range(-1<<36, 1<<38).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		if rapid.Bool().Draw(t, "elsewhere") {
			return at.In(time.FixedZone("", rapid.IntRange(-86_400, 86_400).Draw(t, "offset")))
		}
		return at.UTC()
	})
	rapid.Check(t, func(t *rapid.T) {
		m := Meta{
			V: rapid.Int().Draw(t, "v"), RecordedAt: times.Draw(t, "recorded"), Sender: texts.Draw(t, "sender"),
			CorrelationID: texts.Draw(t, "correlation"), CausationID: texts.Draw(t, "causation"),
			By:         domain.Actor{Kind: domain.ActorKind(texts.Draw(t, "kind")), ID: texts.Draw(t, "id"), OnBehalfOf: texts.Draw(t, "actor's")},
			OnBehalfOf: texts.Draw(t, "on behalf of"), Traceparent: texts.Draw(t, "traceparent"),
		}
		if rapid.Bool().Draw(t, "occurred") {
			m.OccurredAt = times.Draw(t, "at")
		}
		want, wantErr := json.Marshal(m)
		got, err := encodeMeta(&m)
		if string(got) != string(want) || (err == nil) != (wantErr == nil) {
			t.Fatalf("got %s, %v; want %s, %v", got, err, want, wantErr)
		}
	})
}

func BenchmarkEncodeMeta(b *testing.B) {
	m := Meta{
		V: 1, RecordedAt: time.Unix(1_800_000_000, 123_456_000).UTC(), Sender: "acme", CorrelationID: "0192f0c4-7b6e-7c3d-8a53-1d1f0e6f5a11",
		By: domain.Platform("dispatch"),
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encodeMeta(&m); err != nil {
			b.Fatal(err)
		}
	}
}
