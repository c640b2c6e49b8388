package recovery

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/cmd/waypost/internal/bench"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// firstRelease is the commit whose installations every later version must open.
const firstRelease = "88efab3"

// installationFacts is what an installation shows through GraphQL.
type installationFacts struct {
	Ledger           map[string]any
	Senders          []map[string]any
	MessageCounts    []map[string]any
	APIKeys          []map[string]any `json:"apiKeys"`
	OutgoingWebhooks []map[string]any
	DeadLetters      map[string]any
}

const installationQuery = `{
	ledger { accepted open ambiguous sent delivered read failed deadLettered cancelled expired discarded sentTwice balanced }
	senders { id name state messagesPerSecond }
	messageCounts { status count }
	apiKeys(includeRevoked: true) { name scopes senderIds revokedAt }
	outgoingWebhooks { url }
	deadLetters { totalCount }
}`

func queryInstallation(ctx context.Context, c *harness.Client) (facts installationFacts, err error) {
	return facts, c.Do(ctx, installationQuery, nil, &facts)
}

// messageFacts is what an installation shows of one message.
type messageFacts struct {
	ID         string
	Status     string
	Attempts   int
	WhatsappID *string
	RetryAt    *time.Time
	Failure    map[string]any
	History    []string
}

func queryMessage(ctx context.Context, c *harness.Client, id string) (messageFacts, error) {
	var data struct {
		Message struct {
			messageFacts
			History struct {
				Edges []struct{ Node struct{ Type string } }
			}
		}
	}
	err := c.Do(ctx, `query($id: ID!) { message(id: $id) {
		id status attempts whatsappId retryAt failure { code category class message } history { edges { node { type } } }
	} }`, map[string]any{"id": id}, &data)
	facts := data.Message.messageFacts
	for _, e := range data.Message.History.Edges {
		facts.History = append(facts.History, e.Node.Type)
	}
	return facts, err
}

// recordedInstallation is what an earlier version showed just before its backup.
type recordedInstallation struct {
	installationFacts
	Messages  map[string]messageFacts
	ReaderKey string
	AdminKey  string
}

func readRecordedInstallation(t *testing.T, version string) (recorded recordedInstallation) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "upgrade", version+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	return recorded
}

// extractFile unpacks a .tar.gz file into dir.
func extractFile(t *testing.T, archive, dir string) {
	t.Helper()
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	extract(t, unzipped, dir)
}

// extract unpacks a tar archive of directories and regular files into dir.
func extract(t *testing.T, archive io.Reader, dir string) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for entries := tar.NewReader(archive); ; {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		switch name := strings.TrimSuffix(entry.Name, "/"); entry.Typeflag {
		case tar.TypeDir:
			err = root.Mkdir(name, 0o700)
		case tar.TypeReg:
			var content []byte
			if content, err = io.ReadAll(entries); err == nil {
				err = root.WriteFile(name, content, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A backup of an earlier version restores to the same installation: it shows the same
// facts, its keys work, the read models match the log, a new message is sent, and no old
// one is sent again.
func TestBackupOfAnEarlierVersionRestores(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	recorded := readRecordedInstallation(t, firstRelease)
	dir := t.TempDir()
	extractFile(t, filepath.Join("testdata", "upgrade", firstRelease+".tar.gz"), dir)
	r := &harness.TestEnv{Dir: dir, Env: []string{"WAYPOST_ADMIN_KEY="}} // the key of the backup
	if code, out, errs := e2etest.Run("restore", "--from", filepath.Join(dir, "backup"), "--data-dir", r.DataDir()); code != e2etest.ExitDone {
		t.Fatalf("restore exits %d: %s%s", code, out, errs)
	}
	startAgain(ctx, t, r, recorded.AdminKey)

	checkInstallation(ctx, t, r, recorded)
	checkReaderKey(ctx, t, r, recorded)
	if code, out, errs := e2etest.Run("verify", "--data-dir", r.DataDir()); code != e2etest.ExitDone {
		t.Errorf("verify exits %d: %s%s", code, out, errs)
	}
	ids, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message("alpha", "after-the-upgrade", 1)})
	if err != nil {
		t.Fatal(err)
	}
	e2etest.AwaitListed(ctx, t, r, ids[0], "READ")
	if s, err := r.Stats(ctx); err != nil || s.Accepted != 1 {
		t.Errorf("WhatsApp received %d messages, %v; want only the new one", s.Accepted, err)
	}
}

// start starts the simulator and then Waypost on the rig's directory, with a client that uses key.
func startAgain(ctx context.Context, t *testing.T, r *harness.TestEnv, key string) {
	t.Helper()
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	var err error
	if r.Addr, err = loopback.FreeAddr(); err != nil {
		t.Fatal(err)
	}
	r.Client = harness.NewClient("http://"+r.Addr+"/graphql", key)
	if err := r.StartSimulator(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
}

func checkInstallation(ctx context.Context, t *testing.T, r *harness.TestEnv, recorded recordedInstallation) {
	t.Helper()
	facts, err := queryInstallation(ctx, r.Client)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(facts, recorded.installationFacts) {
		t.Errorf("the installation shows\n%+v\nwant\n%+v", facts, recorded.installationFacts)
	}
	for name, want := range recorded.Messages {
		if got, err := queryMessage(ctx, r.Client, want.ID); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("message %s is %+v, %v; want %+v", name, got, err, want)
		}
	}
}

// checkReaderKey checks that a key limited to one sender still reads that sender's messages and no others.
func checkReaderKey(ctx context.Context, t *testing.T, r *harness.TestEnv, recorded recordedInstallation) {
	t.Helper()
	reader := harness.NewClient(r.Client.URL, recorded.ReaderKey)
	var data struct{ Senders []struct{ ID string } }
	if err := reader.Do(ctx, `{ senders { id } }`, nil, &data); err != nil || len(data.Senders) != 1 || data.Senders[0].ID != "alpha" {
		t.Errorf("the reader's key shows the senders %+v, %v; want alpha", data.Senders, err)
	}
}

// buildTimeout bounds the build of an earlier version: all of its packages, on a machine
// that runs other tests.
const buildTimeout = 15 * time.Minute

// building is held while an earlier version is built, so that tests don't build it twice.
var building sync.Mutex

// buildVersion returns the executable of an earlier commit, built from the repository's
// history. Builds are kept in the user's cache directory. Without the history the test is
// skipped, unless every store and program is required.
func buildVersion(t *testing.T, commit string) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), buildTimeout)
	defer cancel()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	executable := filepath.Join(cache, "waypost", "versions", commit, "waypost")
	if _, err := os.Stat(executable); err == nil {
		return executable
	}
	source := t.TempDir()
	repository, err := e2etest.RepositoryPath()
	if err != nil {
		t.Fatal(err)
	}
	archive, err := exec.CommandContext(ctx, "git", "-C", repository, "archive", commit).Output()
	if err != nil {
		const reason = "commit %s is not in the history (%v); fetch it with: git fetch --unshallow"
		if os.Getenv("REQUIRE_STORES") == "1" {
			t.Fatalf(reason, commit, err)
		}
		t.Skipf(reason, commit, err)
	}
	extract(t, bytes.NewReader(archive), source)
	if err := os.MkdirAll(filepath.Dir(executable), 0o700); err != nil {
		t.Fatal(err)
	}
	built := filepath.Join(source, "waypost")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", built, "./cmd/waypost")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build commit %s: %v: %s", commit, err, out)
	}
	content, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	// Another process may build the same version and must not see half an executable.
	temporary := executable + "." + strconv.Itoa(os.Getpid())
	if err := os.WriteFile(temporary, content, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, executable); err != nil {
		t.Fatal(err)
	}
	return executable
}

// A data directory that an earlier version left behind, killed in the middle of its work,
// opens in place: the new version shows what the old one showed, sends what was still to
// be sent, and sends nothing again.
func TestDataDirectoryOfAnEarlierVersionOpens(t *testing.T) {
	t.Parallel()
	old := buildVersion(t, firstRelease)
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := &harness.TestEnv{Dir: t.TempDir(), Program: old}
	startAgain(ctx, t, r, harness.AdminKey)
	for _, id := range []string{"shop", "paused"} {
		if err := r.Client.RegisterSender(ctx, id, "1000000000"+strconv.Itoa(len(id)), 80); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Client.Do(ctx, `mutation { pauseSender(id: "paused", reason: "stocktaking") { id } }`, nil, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	scheduled := harness.Message("shop", "scheduled", 50)
	scheduled["sendAt"] = time.Now().Add(24 * time.Hour).Format(time.RFC3339)
	inputs := []map[string]any{harness.Message("paused", "waiting", 51), scheduled}
	for n := range 20 {
		inputs = append(inputs, harness.Message("shop", bench.MessageKey(n), n))
	}
	ids, err := r.Client.QueueMessages(ctx, inputs)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids[2:] {
		e2etest.AwaitListed(ctx, t, r, id, "READ")
	}
	before := queryMessages(ctx, t, r, ids)
	r.Serve.Kill()

	r.Program = ""
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
	if after := queryMessages(ctx, t, r, ids); !reflect.DeepEqual(after, before) {
		t.Errorf("after the upgrade the messages are\n%+v\nwant\n%+v", after, before)
	}
	if err := r.Client.Do(ctx, `mutation { resumeSender(id: "paused") { id } }`, nil, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	e2etest.AwaitListed(ctx, t, r, ids[0], "READ")
	if code, out, errs := e2etest.Run("verify", "--data-dir", r.DataDir()); code != e2etest.ExitDone {
		t.Errorf("verify exits %d: %s%s", code, out, errs)
	}
	if s, err := r.Stats(ctx); err != nil || s.Accepted != int64(len(ids)-1) {
		t.Errorf("WhatsApp received %d messages, %v; want each one but the scheduled one", s.Accepted, err)
	}
}

func queryMessages(ctx context.Context, t *testing.T, r *harness.TestEnv, ids []string) []messageFacts {
	t.Helper()
	all := make([]messageFacts, len(ids))
	for i, id := range ids {
		var err error
		if all[i], err = queryMessage(ctx, r.Client, id); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// In a rolling upgrade, nodes of two versions work on the same stores for a minute. All
// messages are sent once and read, whichever node accepts them, sends them, receives their
// statuses, and projects their events.
func TestNodesOfTwoVersionsShareStores(t *testing.T) {
	t.Parallel()
	old := buildVersion(t, firstRelease)
	ctx, cancel := context.WithTimeout(t.Context(), 2*e2etest.Timeout) // a minute of it is load
	defer cancel()
	dir := t.TempDir()
	stores := startStoresOf(ctx, t, old, dir)
	r := &harness.TestEnv{Dir: dir, Program: old, Env: stores.Env()}
	startAgain(ctx, t, r, harness.AdminKey)

	const senders, rate = 4, 20.0
	ofOld := &bench.Load{Client: r.Client, Senders: senders, Batch: 2, Rate: rate, Retry: true}
	if err := ofOld.Register(ctx, 80); err != nil {
		t.Fatal(err)
	}
	var enough atomic.Bool
	var loads errgroup.Group
	loads.Go(func() error { return ofOld.Queue(ctx, 0, enough.Load) })

	if code, out, errs := e2etest.Run("migrate", "up", "--postgres-url", stores.Cluster.URL()); code != e2etest.ExitDone {
		t.Fatalf("migrate up exits %d: %s%s", code, out, errs)
	}
	r.Program = ""
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.StartNode("serve2", r.ServeEnv(addr, filepath.Join(dir, "serve2")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := second.Stop(); err != nil {
			t.Errorf("stop the second node: %v", err)
		}
	})
	if err := second.Ready(ctx, "http://"+addr+"/readyz"); err != nil {
		t.Fatal(err)
	}
	ofNew := &bench.Load{Client: harness.NewClient("http://"+addr+"/graphql", harness.AdminKey), Senders: senders, Batch: 2, Rate: rate, Skip: 100_000}
	loads.Go(func() error { return ofNew.Queue(ctx, 0, enough.Load) })
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	loads.Go(func() error {
		_, err := ofNew.WatchLag(watching) // it queries the list and the read models' lag
		return err
	})
	awaitQueued(ctx, t, ofNew, 30*rate) // both versions run

	if err := r.Serve.Stop(); err != nil {
		t.Fatalf("stop the old version: %v", err)
	}
	if err := r.StartServe(ctx); err != nil { // the new one, in its place
		t.Fatal(err)
	}
	awaitQueued(ctx, t, ofNew, 60*rate) // a minute in all
	enough.Store(true)
	stopWatching()
	if err := loads.Wait(); err != nil {
		t.Fatal(err)
	}

	total := ofOld.Queued.Load() + ofNew.Queued.Load()
	ofNew.Queued.Store(total)
	b, _, err := ofNew.AwaitRead(ctx, time.Minute)
	if err != nil || b.Read != total || !b.Balanced || b.SentTwice != 0 {
		t.Errorf("of %d messages: %v, %v; want all read and none sent twice", total, b, err)
	}
	if s, err := r.Stats(ctx); err != nil || s.Accepted != total || s.Duplicates != 0 {
		t.Errorf("WhatsApp accepted %d of %d messages, %d of them twice: %v", s.Accepted, total, s.Duplicates, err)
	}
	code, out, errs := e2etest.Run("verify", "--data-dir", r.DataDir(), "--eventstore-url", stores.Events.URL(),
		"--postgres-url", stores.Cluster.URL(), "--secret-key", stores.Key)
	if code != e2etest.ExitDone {
		t.Errorf("verify exits %d: %s%s", code, out, errs)
	}
}

// startStoresOf starts an event store, and a Postgres that an earlier version has migrated.
func startStoresOf(ctx context.Context, t *testing.T, program, dir string) *harness.SharedStores {
	t.Helper()
	s, err := harness.StartEmptyStores(ctx, dir, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.WithoutCancel(ctx)); err != nil {
			t.Errorf("stop the stores: %v", err)
		}
	})
	migrate := exec.CommandContext(ctx, program, "migrate", "up", "--postgres-url", s.Cluster.URL())
	migrate.Env = harness.ChildEnv()
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("migrate up by the earlier version: %v: %s", err, out)
	}
	return s
}

// awaitQueued waits until a load has queued count messages.
func awaitQueued(ctx context.Context, t *testing.T, l *bench.Load, count int64) {
	t.Helper()
	for l.Queued.Load() < count {
		if err := retry.Sleep(ctx, harness.PollInterval); err != nil {
			t.Fatalf("%d of %d messages were queued: %v", l.Queued.Load(), count, err)
		}
	}
}
