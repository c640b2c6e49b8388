package recovery

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/postgres/postgrestest"
	"github.com/waypost/waypost/adapters/privatepg"
	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
	"github.com/waypost/waypost/ports/httpapi"
)

// faultTimeout bounds a test that takes a store away and waits for it to be over.
const faultTimeout = 2 * e2etest.Timeout

// readiness asks what the platform, or one role of it, lacks.
func readiness(ctx context.Context, t *testing.T, r *harness.TestEnv, query string) (status int, lacks string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Addr+"/readyz"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer httpapi.Readiness
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range answer.NotReady {
		names = append(names, n.Role+": "+n.Check)
	}
	return resp.StatusCode, strings.Join(names, ", ")
}

// deliver posts a signed webhook of a status that belongs to no message here, so
// that the read model is searched for it, as well.
func deliver(ctx context.Context, t *testing.T, r *harness.TestEnv, wamid string) int {
	t.Helper()
	body := fmt.Sprintf(`{"object":"whatsapp_business_account","entry":[{"id":"100200300","changes":[{"field":"messages","value":{
		"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"100000000001"},
		"statuses":[{"id":%q,"status":"delivered","timestamp":"%d","recipient_id":"919800000001"}]}}]}]}`, wamid, time.Now().Unix())
	mac := hmac.New(sha256.New, []byte(harness.AppSecret))
	mac.Write([]byte(body))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.Addr+"/webhooks/whatsapp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// settled reports whether all messages are read and the books balance.
func settled(ctx context.Context, r *harness.TestEnv, messages int) bool {
	b, err := r.Client.Ledger(ctx)
	return err == nil && b.Balanced && int(b.Accepted) == messages && int(b.Read) == messages
}

// queueSome queues n messages one by one and returns the longest time that one took.
func queueSome(ctx context.Context, t *testing.T, r *harness.TestEnv, prefix string, n int) (longest time.Duration) {
	t.Helper()
	for i := range n {
		begin := time.Now()
		if _, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message("shop", prefix+strconv.Itoa(i), i)}); err != nil {
			t.Fatalf("message %s%d: %v", prefix, i, err)
		}
		longest = max(longest, time.Since(begin))
	}
	return longest
}

// lines counts what a child has logged.
func logLines(t *testing.T, c *harness.Child) int {
	t.Helper()
	text, err := os.ReadFile(c.Log)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}

// outage is how long the tests keep a store away.
const outage = 4 * time.Second

// maxOutageLines is the maximum number of lines that an outage can log: a few per second for each part that notices, and none in a
// hot loop.
const maxOutageLines = 400

// Without Postgres messages are accepted and webhooks recorded as ever; once it is
// back, everything resumes automatically, and nothing is lost.
func TestPostgresAway(t *testing.T) {
	if testing.Short() {
		t.Skip("takes Postgres away for seconds")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), faultTimeout)
	defer cancel()
	options := privatepg.Options{DataDir: filepath.Join(t.TempDir(), "postgres")}
	postgrestest.CopyCluster(t, options.DataDir)
	cluster, err := privatepg.Start(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the platform
		stopping, cancel := context.WithTimeout(context.Background(), e2etest.Timeout)
		defer cancel()
		if err := cluster.Stop(stopping); err != nil {
			t.Error(err)
		}
	})
	if err := postgres.Up(ctx, cluster.URL()); err != nil {
		t.Fatal(err)
	}
	// Its socket is in another directory after every start, so Waypost gets a link.
	link := filepath.Join(t.TempDir(), "socket")
	relink := func() {
		u, err := url.Parse(cluster.URL())
		if err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(link)
		if err := os.Symlink(u.Query().Get("host"), link); err != nil {
			t.Fatal(err)
		}
	}
	relink()
	r := e2etest.Start(ctx, t, []string{"WAYPOST_POSTGRES_URL=postgres:///waypost?user=waypost&host=" + url.QueryEscape(link), "WAYPOST_SECRET_KEY=" + e2etest.SecretKey, "WAYPOST_LOG_LEVEL=warn"}, nil)
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	queueSome(ctx, t, r, "before-", 20)
	e2etest.Await(ctx, t, "the first are read", func() bool { return settled(ctx, r, 20) })

	// The postmaster is killed: the cluster's owner, here the test, starts it again.
	killPostmaster(t, options.DataDir)
	queueSome(ctx, t, r, "killed-", 20)
	t.Logf("postmaster killed: all read %s after the last was accepted",
		e2etest.Await(ctx, t, "all are read after the kill", func() bool { return settled(ctx, r, 40) }).Round(10*time.Millisecond))

	logged := logLines(t, r.Serve)
	if err := cluster.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	longest := queueSome(ctx, t, r, "away-", 50)
	for i := range 5 {
		if status := deliver(ctx, t, r, "wamid.away"+strconv.Itoa(i)); status != http.StatusOK {
			t.Errorf("webhook %d without Postgres is answered %d", i, status)
		}
	}
	for _, role := range []string{"api", "webhook"} {
		if status, lacks := readiness(ctx, t, r, "?role="+role); status != http.StatusOK {
			t.Errorf("%s is not ready without Postgres: %s", role, lacks)
		}
	}
	if status, lacks := readiness(ctx, t, r, ""); status != http.StatusServiceUnavailable || !strings.Contains(lacks, "dispatch: postgres") || strings.Contains(lacks, "event store") {
		t.Errorf("readyz answers %d, lacking %q", status, lacks)
	}
	e2etest.Elapse(ctx, t, time.Until(begin.Add(outage)))
	if n := logLines(t, r.Serve) - logged; n > maxOutageLines {
		t.Errorf("%d lines were logged in %s", n, time.Since(begin))
	}
	before, err := r.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	restarting := time.Now()
	if cluster, err = privatepg.Start(ctx, options); err != nil {
		t.Fatal(err)
	}
	relink()
	up := time.Since(restarting)
	e2etest.Await(ctx, t, "ready again", func() bool { status, _ := readiness(ctx, t, r, ""); return status == http.StatusOK })
	ready := time.Since(restarting)
	awaitSend(ctx, t, r, before.Accepted)
	sent := time.Since(restarting)
	e2etest.Await(ctx, t, "all are read", func() bool { return settled(ctx, r, 90) })
	t.Logf("Postgres away for %s: accepting took at most %s; back up after %s, ready after %s, first send after %s, all 50 read after %s",
		restarting.Sub(begin).Round(100*time.Millisecond), longest.Round(time.Millisecond), up.Round(10*time.Millisecond), ready.Round(10*time.Millisecond),
		sent.Round(10*time.Millisecond), time.Since(restarting).Round(10*time.Millisecond))
	checkNothingTwice(ctx, t, r)
}

// awaitSend waits until WhatsApp has accepted more than that many messages.
func awaitSend(ctx context.Context, t *testing.T, r *harness.TestEnv, than int64) {
	t.Helper()
	e2etest.Await(ctx, t, "a message is sent", func() bool {
		now, err := r.Stats(ctx)
		return err == nil && now.Accepted > than
	})
}

func killPostmaster(t *testing.T, dir string) {
	t.Helper()
	var pid int
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Name() != "postmaster.pid" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		first, _, _ := strings.Cut(string(text), "\n")
		pid, err = strconv.Atoi(strings.TrimSpace(first))
		return err
	})
	if err != nil || pid == 0 {
		t.Fatalf("no postmaster below %s: %v", dir, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func checkNothingTwice(ctx context.Context, t *testing.T, r *harness.TestEnv) {
	t.Helper()
	stats, err := r.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if stats.DuplicatesAfterEcho != 0 {
		t.Errorf("%d messages were sent again after their status had come", stats.DuplicatesAfterEcho)
	}
}

// Without the event store, nothing is accepted, and callers get an error. Once it is back, everything resumes automatically. The event
// store runs as its own process, which is killed.
func TestEventStoreAway(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the event store away for seconds")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), faultTimeout)
	defer cancel()
	dir := t.TempDir()
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	start := func() *harness.Child {
		c, err := harness.StartChild(dir, "eventstore", nil, "eventstore", "--addr", addr, "--insecure", "--data-dir", filepath.Join(dir, "eventstore"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	store := start()
	t.Cleanup(func() { // after the platform
		if err := store.Stop(); err != nil {
			t.Errorf("stop the event store: %v", err)
		}
	})
	r := e2etest.Start(ctx, t, []string{
		"WAYPOST_EVENTSTORE_URL=esdb://" + addr + "?tls=false", "WAYPOST_SECRET_KEY=" + e2etest.SecretKey, "WAYPOST_LOG_LEVEL=warn",
		"WAYPOST_SETTLE_AFTER_OUTAGE=3s",
	}, nil)
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	queueSome(ctx, t, r, "before-", 60) // some of them are being called when it goes
	logged := logLines(t, r.Serve)
	store.Kill()
	begin := time.Now()

	short, cancelShort := context.WithTimeout(ctx, outage)
	defer cancelShort()
	_, err = r.Client.QueueMessages(short, []map[string]any{harness.Message("shop", "away", 1)})
	var refused *apiclient.Error
	if errors.As(err, &refused) && refused.Extensions.Code != "UNAVAILABLE" || err == nil {
		t.Errorf("without the event store a message is answered %v", err)
	}
	if status := deliver(ctx, t, r, "wamid.away"); status != http.StatusServiceUnavailable {
		t.Errorf("without the event store a webhook is answered %d", status)
	}
	status, lacks := readiness(ctx, t, r, "")
	for _, role := range []string{"api", "webhook", "dispatch", "project"} {
		if status != http.StatusServiceUnavailable || !strings.Contains(lacks, role+": event store") {
			t.Errorf("readyz answers %d, lacking %q", status, lacks)
		}
	}
	e2etest.Elapse(ctx, t, time.Until(begin.Add(outage)))
	if n := logLines(t, r.Serve) - logged; n > maxOutageLines {
		t.Errorf("%d lines were logged in %s", n, time.Since(begin))
	}
	before, err := r.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	restarting := time.Now()
	store = start()
	e2etest.Await(ctx, t, "ready again", func() bool { status, _ := readiness(ctx, t, r, ""); return status == http.StatusOK })
	ready := time.Since(restarting)
	// The repeated request is accepted once, whatever the outcome of the first.
	if _, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message("shop", "away", 1)}); err != nil {
		t.Fatal(err)
	}
	awaitSend(ctx, t, r, before.Accepted)
	sent := time.Since(restarting)
	queueSome(ctx, t, r, "after-", 20)
	e2etest.Await(ctx, t, "all are read", func() bool { return settled(ctx, r, 81) })
	t.Logf("event store away for %s: ready %s after its start, first send after %s, all read after %s",
		restarting.Sub(begin).Round(100*time.Millisecond), ready.Round(10*time.Millisecond), sent.Round(10*time.Millisecond), time.Since(restarting).Round(10*time.Millisecond))
	if status := deliver(ctx, t, r, "wamid.away"); status != http.StatusOK {
		t.Errorf("with the event store back a webhook is answered %d", status)
	}
	checkNothingTwice(ctx, t, r)
}
