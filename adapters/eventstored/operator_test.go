package eventstored_test

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/waypost/waypost/adapters/eventstored"
)

func TestOperator(t *testing.T) {
	ctx, dir := testContext(t), t.TempDir()
	s, c := start(t, func(o *eventstored.Options) { o.Dir = dir })
	mustAppend(t, c, "kept", esdb.NoStream{}, newEvents(3)...)
	mustAppend(t, c, "gone", esdb.NoStream{}, newEvents(5)...)
	if _, err := c.TombstoneStream(ctx, "gone", esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}}); err != nil {
		t.Fatal(err)
	}
	operator, err := eventstored.NewOperator(dir)
	if err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if err := operator.Backup(ctx, backup); err != nil {
		t.Fatal(err)
	}
	if err := operator.Backup(ctx, backup); err == nil || !strings.Contains(err.Error(), backup) {
		t.Errorf("a backup onto another: %v", err)
	}
	report, err := operator.Scavenge(ctx)
	if err != nil || report.Events != 5 || report.Bytes == 0 {
		t.Errorf("scavenge: %+v, %v", report, err)
	}
	mustAppend(t, c, "kept", esdb.Revision(2), newEvent("After"))
	_, copied := start(t, func(o *eventstored.Options) { o.Dir = backup })
	if events, err := readStream(t, copied, "kept", esdb.ReadStreamOptions{}); err != nil || len(events) != 3 {
		t.Errorf("the backup holds %d events, %v; want 3", len(events), err)
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := eventstored.NewOperator(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a server that has ended can be found: %v", err)
	}
	if err := operator.Backup(ctx, filepath.Join(t.TempDir(), "late")); err == nil {
		t.Error("a server that has ended takes orders")
	}
}

// Others on the machine see the port, but neither the token nor an answer without it.
func TestOperatorsFileIsSecret(t *testing.T) {
	dir := t.TempDir()
	startServer(t, func(o *eventstored.Options) { o.Dir = dir })
	path := filepath.Join(dir, "operator.json")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", info.Mode(), err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	addr := strings.Split(string(text), `"`)[3]
	for _, authorization := range []string{"", "Bearer ", "Bearer wrong"} {
		req, err := http.NewRequestWithContext(testContext(t), http.MethodPost, "http://"+addr+"/scavenge", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", authorization)
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q: %s", authorization, res.Status)
		}
	}
}
