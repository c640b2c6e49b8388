package access_test

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
	"github.com/waypost/waypost/domain/access"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// samples has one event of every type, with every member set.
func samples() []domain.Event {
	return []domain.Event{
		access.KeyCreated{
			Key: "0193575c-4f5c-7a3e-9d52-0d5a4b1f6a10", Name: "shop backend", Scopes: []access.Scope{access.ScopeSend, access.ScopeRead},
			Senders: []string{"shop-eu", "shop-us"}, Hash: strings.Repeat("0f", 32),
			ExpiresAt: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Token: true, Parent: "0193575c-4f5c-7a3e-9d52-0d5a4b1f6a0f",
			View: access.ViewCampaign,
		},
		access.KeyUsed{},
		access.KeyRevoked{},
		access.KeyListed{Key: "0193575c-4f5c-7a3e-9d52-0d5a4b1f6a10"},
	}
}

// The golden files are the log of a running platform: a change of one is a
// change of the public surface.
func TestEventsReadAndWriteTheirGoldenFiles(t *testing.T) {
	t.Parallel()
	types := make(map[string]domain.Type)
	for _, typ := range access.Types() {
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
		})
	}
}
