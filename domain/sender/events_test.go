package sender_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/sender"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// samples has one event of every type, with every member set.
func samples() []domain.Event {
	return []domain.Event{
		sender.SenderRegistered{
			Sender: "shop-eu", Name: "Shop Europe", PhoneNumberID: "106540352242922", DisplayPhoneNumber: "+1 415 555 0101",
			BusinessAccountID: "102290129340398", MessagesPerSecond: 80, TokenID: "token-1", OptOutKeywords: &[]string{"STOP", "ARRÊT"},
		},
		sender.SenderUpdated{Name: new("Shop"), DisplayPhoneNumber: new(""), BusinessAccountID: new("102290129340399"), OptOutKeywords: &[]string{"STOP"}},
		sender.RateChanged{MessagesPerSecond: 1000},
		sender.TokenChanged{TokenID: "token-2"},
		sender.SenderPaused{Priorities: []string{"TRANSACTIONAL", "BULK"}, Reason: "stock-taking"},
		sender.SenderResumed{},
		sender.LanesResumed{Priorities: []string{"BULK"}},
		sender.SenderHeld{Fault: sender.Fault{Code: new(190), Category: "auth", Message: "access token expired", Advice: "Give the sender a new access token."}},
		sender.SenderReleased{Reason: "new token"},
		sender.NumberClaimed{Sender: "shop-eu", PhoneNumberID: "106540352242922"},
		sender.QualityChanged{Quality: sender.QualityRed, At: reported},
		sender.MessagingLimitChanged{Limit: sender.Limit{People: 250, Unlimited: true}, At: reported},
		sender.ThroughputChanged{Throughput: sender.Throughput{MessagesPerSecond: 1000, At: reported, PausedUntil: reported.Add(time.Minute)}},
		sender.AccountRestricted{Restriction: sender.Restriction{
			Type: "RESTRICTED_BIZ_INITIATED_MESSAGING", At: reported, Until: reported.Add(72 * time.Hour), Remedy: "Review the policy in Business Support Home.",
		}},
		sender.AccountRestored{Type: "RESTRICTED_BIZ_INITIATED_MESSAGING", At: reported, Reason: sender.RestoredByTime},
	}
}

// The golden files are the log of a running platform: a change of one is a
// change of the public surface.
func TestEventsReadAndWriteTheirGoldenFiles(t *testing.T) {
	t.Parallel()
	types := make(map[string]domain.Type)
	for _, typ := range sender.Types() {
		if _, twice := types[typ.Name]; twice {
			t.Errorf("type %s is listed twice", typ.Name)
		}
		types[typ.Name] = typ
	}
	if len(samples()) != len(types) {
		t.Fatalf("%d samples for %d types", len(samples()), len(types))
	}
	for _, e := range samples() {
		t.Run(e.EventType(), func(t *testing.T) {
			t.Parallel()
			got, err := json.MarshalIndent(e, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			path := filepath.Join("testdata", "events", e.EventType()+".v1.json")
			if *update {
				if err := os.WriteFile(path, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("written as\n%s, want\n%s", got, want)
			}
			typ, ok := types[e.EventType()]
			if !ok {
				t.Fatalf("type %s is not listed", e.EventType())
			}
			back, err := typ.Decode(want)
			if err != nil || !reflect.DeepEqual(back, e) {
				t.Errorf("read as %#v (%v), want %#v", back, err, e)
			}
			if strings.Contains(string(want), "personal") {
				t.Errorf("has a personal part:\n%s", want)
			}
		})
	}
}
