package eventstore_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/app/event"
)

// A store without a port is reached by its socket, whatever the path of its directory, and again after a restart, which
// creates another socket if the path is long.
func TestSocketOfAStoreWithoutAPort(t *testing.T) {
	for name, sub := range map[string]string{
		"short": "data", "special characters": "a b%20c?d#e:é&f", "long": strings.Repeat("long/", 30),
	} {
		t.Run(name, func(t *testing.T) {
			base, err := os.MkdirTemp("/tmp", "es") //nolint:usetesting // its path would be too long for a socket
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(base) })
			st := startStore(t, func(o *eventstored.Options) {
				o.Dir, o.Addr, o.Insecure = filepath.Join(base, sub), "", false
			})
			log := openLog(t, st.s.URL())
			if _, err := log.Append(testContext(t), "a", event.NoStream(), count(1)); err != nil {
				t.Fatal(err)
			}
			st.stop()
			st.start()
			if _, err := log.Append(testContext(t), "a", event.ExactRevision(0), count(2)); err != nil {
				t.Fatal(err)
			}
			seen, err := collect(testContext(t), log, event.Subscription{}, func(seen []event.Recorded, _ event.Batch) bool { return len(seen) == 2 })
			if err != nil || len(seen) != 2 {
				t.Fatalf("%d events, %v", len(seen), err)
			}
		})
	}
}
