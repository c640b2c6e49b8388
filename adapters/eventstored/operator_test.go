package eventstored_test

import (
	"errors"
	"io/fs"
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
		t.Errorf("a backup over an existing one: %v", err)
	}
	report, err := operator.Scavenge(ctx)
	if err != nil || report.Events != 5 || report.Bytes == 0 {
		t.Errorf("scavenge: %+v, %v", report, err)
	}
	mustAppend(t, c, "kept", esdb.Revision(2), newEvent("After"))
	_, copied := start(t, func(o *eventstored.Options) { o.Dir = backup })
	if events, err := readStream(t, copied, "kept", esdb.ReadStreamOptions{}); err != nil || len(events) != 3 {
		t.Errorf("the backup contains %d events, %v; want 3", len(events), err)
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := eventstored.NewOperator(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a stopped server is found: %v", err)
	}
	if err := operator.Backup(ctx, filepath.Join(t.TempDir(), "late")); err == nil {
		t.Error("a stopped server accepts orders")
	}
}
