package recovery

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/postgres/postgrestest"
	"github.com/waypost/waypost/adapters/privatepg"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/cmd/waypost/internal/bench"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
	"github.com/waypost/waypost/graph"
)

const (
	// storyTimeout bounds each story of the runbook, on a busy machine too.
	storyTimeout = 2 * e2etest.Timeout
	// runbookTimeout bounds the start of the machines and the at most four stories that they go through.
	runbookTimeout = 5 * storyTimeout
)

// The sections of the runbook that have something to run, each with its drill below.
const (
	drillToken   = "1. Expired token"
	drillLetters = "2. Dead letters"
	drillQueue   = "3. Stopped queue"
	drillUpgrade = "4. Upgrade of three nodes, one by one"
	drillBackup  = "5. Backup and restore"
	drillMove    = "6. Move to a cluster"
	drillMachine = "7. Lost machine"
)

// Tokens of the drills; they are worth nothing.
const (
	drillOldToken = "EAAoldToken5tK"
	drillNewToken = "EAAnewToken8mQ"
)

func TestRunbookHasADrillForEachSection(t *testing.T) {
	t.Parallel()
	sections := readRunbook(t)
	maps.DeleteFunc(sections, func(_ string, blocks []runbookBlock) bool { return len(blocks) == 0 })
	have := slices.Sorted(maps.Keys(sections))
	want := []string{drillToken, drillLetters, drillQueue, drillUpgrade, drillBackup, drillMove, drillMachine, runbookPreparation}
	if !slices.Equal(have, want) {
		t.Errorf("sections with something to run: %q; there are drills for %q", have, want)
	}
}

// drillSettings are the settings of a node, except its address and stores. Retries and the wait for statuses are shorter than by default
// to save time.
func drillSettings(r *harness.TestEnv) []string {
	return []string{
		"WAYPOST_WHATSAPP_URL=" + r.SimURL + "/v25.0", "WAYPOST_WHATSAPP_TOKEN_FILE=/etc/waypost/token",
		"WAYPOST_WHATSAPP_APP_SECRET=" + harness.AppSecret, "WAYPOST_WHATSAPP_VERIFY_TOKEN=drill",
		"WAYPOST_RETRY_SCHEDULE=100ms,100ms,100ms", "WAYPOST_SETTLE_AFTER_OUTAGE=5s",
	}
}

// startDrillWhatsApp starts the simulated WhatsApp, with webhooks for addr.
func startDrillWhatsApp(ctx context.Context, t *testing.T, addr string) *harness.TestEnv {
	t.Helper()
	r := &harness.TestEnv{Dir: t.TempDir(), Addr: addr, Client: harness.NewClient("http://"+addr+"/graphql", harness.AdminKey)}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	if err := r.StartSimulator(ctx, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// mustControl changes the simulator's settings or ends the test.
func mustControl(ctx context.Context, t *testing.T, r *harness.TestEnv, settings map[string]any) {
	t.Helper()
	if err := r.Control(ctx, settings); err != nil {
		t.Fatal(err)
	}
}

// mustDo makes a request that is not part of the runbook, as callers do in the meantime.
func mustDo(ctx context.Context, t *testing.T, r *harness.TestEnv, document string, into any) {
	t.Helper()
	if into == nil {
		into = new(struct{})
	}
	if err := r.Client.Do(ctx, document, nil, into); err != nil {
		t.Fatalf("%s: %v", document, err)
	}
}

// openAlert waits until an alert of the kind and severity is open and returns its ID. One of another severity can be open as well: a
// queue that an operator pauses for long is a warning.
func openAlert(ctx context.Context, t *testing.T, r *harness.TestEnv, kind, severity string) (id string) {
	t.Helper()
	e2etest.Await(ctx, t, kind+" is raised", func() bool {
		var found alertsAnswer
		mustDo(ctx, t, r, `{ alerts(filter: { kind: [`+kind+`], state: [RAISED] }) { edges { node { id severity } } } }`, &found)
		for _, e := range found.Alerts.Edges {
			if e.Node.Severity == severity {
				id = e.Node.ID
				return true
			}
		}
		_ = retry.Sleep(ctx, personPoll) // await sees the end of ctx
		return false
	})
	return id
}

// What the runbook asks for, as far as the drills look at it.
type (
	alertsAnswer struct {
		Alerts struct {
			Edges []struct {
				Node struct{ ID, Kind, Severity, State string } `json:"node"`
			} `json:"edges"`
		} `json:"alerts"`
	}
	senderAnswer struct {
		State           string   `json:"state"`
		StateReason     string   `json:"stateReason"`
		EffectiveRate   float64  `json:"effectiveRate"`
		QueueDepth      int64    `json:"queueDepth"`
		OldestDueAge    string   `json:"oldestDueAge"`
		PausedFor       []string `json:"pausedPriorities"`
		ThrottledUntil  *string  `json:"throttledUntil"`
		DrainedByMinute float64  `json:"drainPerMinute"`
		Hold            *struct {
			Code     int    `json:"code"`
			Category string `json:"category"`
			Advice   string `json:"advice"`
		} `json:"hold"`
	}
	ledgerAnswer struct {
		Ledger    harness.LedgerCounts `json:"ledger"`
		ReadModel struct {
			Behind string `json:"behind"`
		} `json:"readModel"`
	}
)

// One machine with the embedded stores: it loses its token, is left with dead
// letters, breaks, comes back from a backup, and moves to three nodes.
func TestRunbookOnOneMachine(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a platform through five drills")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), runbookTimeout)
	defer cancel()
	n := startNodes(t, 1)[0]
	r := startDrillWhatsApp(ctx, t, n.addr)
	n.configure(t, drillSettings(r)...)
	n.write(t, "/etc/waypost/token", drillOldToken+"\n")
	if err := n.startService(); err != nil {
		t.Fatal(err)
	}
	if err := n.service.Ready(ctx, "http://"+n.addr+"/readyz"); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(n.dataDir(), "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	r.Client.Key = strings.TrimSpace(string(key))
	mustDo(ctx, t, r, `mutation { registerSender(input: { id: "shop", name: "Shop", phoneNumberId: "100000000001",
		businessAccountId: "1023", accessToken: "`+drillOldToken+`" }) { id } }`, nil)
	mustDo(ctx, t, r, `mutation { registerSender(input: { id: "kiosk", name: "Kiosk", phoneNumberId: "100000000002",
		businessAccountId: "1023" }) { id } }`, nil)

	for _, story := range []struct {
		name string
		run  func(context.Context, *testing.T, *harness.TestEnv, *node)
	}{
		{drillToken, runExpiredToken}, {drillLetters, runDeadLetters}, {drillBackup, runBackup}, {drillMove, runMove},
	} {
		begun := time.Now()
		if !t.Run(story.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(ctx, storyTimeout)
			t.Cleanup(cancel) // after what the story has started is stopped
			story.run(ctx, t, r, n)
		}) {
			t.FailNow() // the next one depends on it
		}
		t.Logf("%s: %s", story.name, time.Since(begun).Round(100*time.Millisecond))
	}
}

// pauseShop pauses a sender and waits until its lane knows.
func pauseShop(ctx context.Context, t *testing.T, r *harness.TestEnv) {
	t.Helper()
	mustDo(ctx, t, r, `mutation { pauseSender(id: "shop", reason: "wrong prices") { id } }`, nil)
	e2etest.Await(ctx, t, "the lane is paused", func() bool {
		var is struct{ Sender senderAnswer }
		mustDo(ctx, t, r, `{ sender(id: "shop") { state effectiveRate } }`, &is)
		return is.Sender.State == "PAUSED" && is.Sender.EffectiveRate == 0
	})
}

// queueFrom queues messages of a sender.
func queueFrom(ctx context.Context, t *testing.T, r *harness.TestEnv, sender, prefix string, n int) (ids []string) {
	t.Helper()
	for i := range n {
		id, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message(sender, fmt.Sprintf("%s-%d", prefix, i), i)})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id...)
	}
	return ids
}

// awaitRead waits until that many messages are read and no other one is open.
func awaitRead(ctx context.Context, t *testing.T, r *harness.TestEnv, read int64) {
	t.Helper()
	var b harness.LedgerCounts
	var err error
	e2etest.Await(ctx, t, fmt.Sprintf("%d messages are read", read), func() bool {
		b, err = r.Client.Ledger(ctx)
		return err == nil && b.Balanced && b.Read == read && b.Open == 0
	})
}

func runExpiredToken(ctx context.Context, t *testing.T, r *harness.TestEnv, n *node) {
	mustControl(ctx, t, r, map[string]any{"tokens": []string{drillNewToken}})
	queueFrom(ctx, t, r, "shop", "held", 3)
	queueFrom(ctx, t, r, "kiosk", "held", 3)
	alert := openAlert(ctx, t, r, "SENDER_HELD", "CRITICAL")
	lookAround(ctx, t, n, alert)

	d := startDrill(t, drillToken)
	d.paste["PASTE_NEW_TOKEN"] = drillNewToken
	d.sees(ctx, "log", n)
	d.sees(ctx, "metrics", n)
	var why struct{ Sender senderAnswer }
	d.queryNext(ctx, n, &why)
	if s := why.Sender; s.State != "HELD" || s.Hold == nil || s.Hold.Code != 190 || s.Hold.Advice == "" || s.QueueDepth != 3 {
		t.Errorf("the held sender is %+v; want 190, advice and 3 that wait", s)
	}
	d.queryNext(ctx, n, new(struct{}))
	d.runNext(ctx, n)
	e2etest.Elapse(ctx, t, 2*platform.SecretCheck) // the runbook promises that Waypost rereads the file within a second
	d.queryNext(ctx, n, new(struct{}))
	var over struct {
		Sender senderAnswer
		alertsAnswer
	}
	d.queryNextUntil(ctx, n, "the sender sends again", &over, func() bool {
		return over.Sender.State == "ACTIVE" && over.Sender.QueueDepth == 0 && len(over.Alerts.Edges) == 0
	})
	awaitRead(ctx, t, r, 6)
}

// lookAround goes through what comes before every drill, while something is wrong.
func lookAround(ctx context.Context, t *testing.T, n *node, alert string) {
	t.Helper()
	d := startDrill(t, runbookPreparation)
	d.paste["PASTE_ALERT_ID"] = alert
	d.runNext(ctx, n)
	var wrong alertsAnswer
	d.queryNext(ctx, n, &wrong)
	if len(wrong.Alerts.Edges) == 0 || wrong.Alerts.Edges[0].Node.Kind != "SENDER_HELD" {
		t.Errorf("the open alerts are %+v; want the held senders", wrong)
	}
	var all struct{ Senders []senderAnswer }
	d.queryNext(ctx, n, &all)
	if len(all.Senders) != 2 || all.Senders[0].State != "HELD" {
		t.Errorf("the senders are %+v; want two that are held", all)
	}
	if ready := d.runNext(ctx, n); !strings.Contains(ready, `"ready":true`) {
		t.Errorf("readyz says %s; a held sender is no fault of the node", ready)
	}
	// A held sender is a finding, and so the doctor's exit code is 1.
	b := d.next("sh")
	found, err := n.shell(ctx, d.setUp+b.text)
	if err == nil || !strings.Contains(found, "sender shop") || !strings.Contains(found, "→") {
		t.Errorf("with an expired token the doctor says %s, %v; want the sender with a remedy, and exit code 1", found, err)
	}
	var taken struct{ AcknowledgeAlert struct{ State string } }
	if d.queryNext(ctx, n, &taken); taken.AcknowledgeAlert.State != "ACKNOWLEDGED" {
		t.Errorf("the alert is %q", taken.AcknowledgeAlert.State)
	}
}

func runDeadLetters(ctx context.Context, t *testing.T, r *harness.TestEnv, n *node) {
	// Two messages are eight calls: below the ten at which the lane would wait.
	mustControl(ctx, t, r, map[string]any{"error_rate": 1, "error_codes": []int{131000}})
	dead := queueFrom(ctx, t, r, "shop", "dead", 2)
	d := startDrill(t, drillLetters)
	d.paste["PASTE_MESSAGE_ID"] = dead[0]
	d.sees(ctx, "log", n)
	d.sees(ctx, "metrics", n)
	var letters struct {
		DeadLetters struct {
			TotalCount int
			ByCategory []struct {
				Category string
				Count    int
			}
			Edges []struct {
				Node struct {
					Attempts int
					Failure  struct {
						Code   int
						Advice string
					}
				}
			}
		}
	}
	d.queryNextUntil(ctx, n, "both are dead letters", &letters, func() bool { return letters.DeadLetters.TotalCount == 2 })
	if l := letters.DeadLetters; len(l.ByCategory) != 1 || l.ByCategory[0].Category != "server" || l.Edges[0].Node.Attempts != 4 ||
		l.Edges[0].Node.Failure.Code != 131000 || l.Edges[0].Node.Failure.Advice == "" {
		t.Errorf("the dead letters are %+v; want server, 131000 after 4 attempts, and advice", l)
	}
	var one struct {
		Message struct {
			Status     string
			AttemptLog []struct{ Outcome string }
		}
	}
	if d.queryNext(ctx, n, &one); one.Message.Status != "DEAD_LETTERED" || len(one.Message.AttemptLog) != 4 {
		t.Errorf("one of them is %+v; want its four calls", one.Message)
	}
	var discard struct{ DiscardDeadLetters e2etest.Operation }
	if d.queryNext(ctx, n, &discard); discard.DiscardDeadLetters.Done != 1 {
		t.Errorf("discarded: %+v", discard)
	}
	mustControl(ctx, t, r, map[string]any{"error_rate": 0})
	var requeue struct{ RequeueDeadLetters e2etest.Operation }
	e2etest.Await(ctx, t, "the read model has the discarded one", func() bool {
		var left struct{ DeadLetters struct{ TotalCount int } }
		mustDo(ctx, t, r, `{ deadLetters { totalCount } }`, &left)
		return left.DeadLetters.TotalCount == 1
	})
	if d.queryNext(ctx, n, &requeue); requeue.RequeueDeadLetters.State != "DRY_RUN" || requeue.RequeueDeadLetters.Selected != 1 {
		t.Errorf("the dry run says %+v; want 1", requeue)
	}
	d.queryNext(ctx, n, &requeue)
	d.paste["PASTE_OPERATION_ID"] = requeue.RequeueDeadLetters.ID
	var operation struct{ Operation e2etest.Operation }
	d.queryNextUntil(ctx, n, "the operation is done", &operation, func() bool { return operation.Operation.State == "DONE" })
	if o := operation.Operation; o.Done != 1 || o.RefusedCount != 0 {
		t.Errorf("the operation ended as %+v; want 1 done, none refused", o)
	}
	var over struct {
		DeadLetters struct{ TotalCount int }
		Ledger      struct {
			Discarded int
			Balanced  bool
		}
	}
	d.queryNextUntil(ctx, n, "no dead letter is left", &over, func() bool {
		return over.DeadLetters.TotalCount == 0 && over.Ledger.Discarded == 1 && over.Ledger.Balanced
	})
	awaitRead(ctx, t, r, 7)
}

func runBackup(ctx context.Context, t *testing.T, r *harness.TestEnv, n *node) {
	// A message waits while the backup is made, and is sent afterwards.
	pauseShop(ctx, t, r)
	waits := queueFrom(ctx, t, r, "shop", "waits", 1)[0]
	d := startDrill(t, drillBackup)
	d.runNext(ctx, n)
	mustDo(ctx, t, r, `mutation { resumeSender(id: "shop") { id } }`, nil)
	since := queueFrom(ctx, t, r, "shop", "since", 1)[0]
	awaitRead(ctx, t, r, 9)
	e2etest.Await(ctx, t, "every webhook is answered", func() bool { // it would be repeated, and tell the restored log
		stats, err := r.Stats(ctx)
		return err == nil && stats.WebhooksPending == 0
	})
	n.dies()

	d.runNext(ctx, n)
	d.runNext(ctx, n)
	var open struct {
		ledgerAnswer
		Messages struct {
			Edges []struct{ Node struct{ ID, Status string } }
		}
	}
	if d.queryNext(ctx, n, &open); open.Ledger.Open != 1 || !open.Ledger.Balanced || len(open.Messages.Edges) != 1 || open.Messages.Edges[0].Node.ID != waits {
		t.Errorf("after the restore there is %+v; want %s open alone", open, waits)
	}
	var lost struct {
		Message *struct{ Status string }
	}
	if mustDo(ctx, t, r, `{ message(id: "`+since+`") { status } }`, &lost); lost.Message != nil {
		t.Errorf("what came after the backup is %s", lost.Message.Status)
	}
	// The backup has the sender as it was: paused. It is not that which holds the
	// message back.
	mustDo(ctx, t, r, `mutation { resumeSender(id: "shop") { id } }`, nil)
	var cancelled struct{ CancelMessages e2etest.Operation }
	if d.queryNext(ctx, n, &cancelled); cancelled.CancelMessages.Selected != 1 || cancelled.CancelMessages.Done != 1 {
		t.Errorf("cancelled: %+v; want the one", cancelled)
	}
	d.runNext(ctx, n)
	d.runNext(ctx, n)
	queueFrom(ctx, t, r, "shop", "restored", 1)
	awaitRead(ctx, t, r, 8) // seven of before the backup, and this one
	if stats, err := r.Stats(ctx); err != nil || stats.Duplicates != 0 {
		t.Errorf("%d messages were sent twice, %v", stats.Duplicates, err)
	}
}

// The given stores are `waypost eventstore`, a single node, and a Postgres of the
// test: EventStoreDB as a cluster takes the same steps, with all nodes in the URL.
func runMove(ctx context.Context, t *testing.T, r *harness.TestEnv, old *node) {
	cluster, err := privatepg.Start(ctx, privatepg.Options{DataDir: filepath.Join(t.TempDir(), "postgres")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the nodes
		stopping, cancel := context.WithTimeout(context.Background(), e2etest.Timeout)
		defer cancel()
		if err := cluster.Stop(stopping); err != nil {
			t.Error(err)
		}
	})
	_, addr := e2etest.StartEventstore(ctx, t)
	old.write(t, "/etc/waypost/move.env", fmt.Sprintf("NEW_EVENTSTORE='esdb://%s?tls=false'\nNEW_POSTGRES='%s'\n", addr, cluster.URL()))
	nodes := startNodes(t, 3)
	// Some messages wait; the move takes them along.
	pauseShop(ctx, t, r)
	queueFrom(ctx, t, r, "shop", "moves", 5)
	var was harness.LedgerCounts
	e2etest.Await(ctx, t, "five wait", func() (so bool) {
		var err error
		was, err = r.Client.Ledger(ctx)
		return err == nil && was.Open == 5
	})
	d := startDrill(t, drillMove)
	d.runNext(ctx, old)
	queueFrom(ctx, t, r, "shop", "later", 5)
	d.runNext(ctx, old)
	d.runNext(ctx, old)
	settings, err := os.ReadFile(old.here("/etc/waypost/cluster.env"))
	if err != nil {
		t.Fatal(err)
	}
	start := d.next("sh")
	for _, n := range nodes {
		// Brought over: the paths are the same there.
		text := strings.ReplaceAll(string(settings), old.dir, n.dir)
		n.write(t, "/etc/waypost/waypost.env", text+"WAYPOST_ADDR='"+n.addr+"'\n")
		n.write(t, "/etc/waypost/token", drillNewToken+"\n")
		if out, err := n.shell(ctx, d.setUp+start.text); err != nil {
			t.Fatalf("%s: %v: %s; the log ends: %s", n.name, err, out, n.tail())
		}
	}
	d.sees(ctx, "log", nodes...)
	mustControl(ctx, t, r, map[string]any{"webhook_url": "http://" + nodes[0].addr + "/webhooks/whatsapp"})
	var now ledgerAnswer
	d.queryNextUntil(ctx, nodes[1], "the books are there", &now, func() bool {
		return now.Ledger.Balanced && now.Ledger.Accepted == was.Accepted+5 && now.Ledger.Read == was.Read
	})
	if output := d.runNext(ctx, nodes[2]); !strings.Contains(output, " 0 differ") {
		t.Errorf("verify says %s", output)
	}

	// The sender's own token and the sealed data moved along, and the queue continues.
	r.Client.URL = "http://" + nodes[2].addr + "/graphql"
	mustDo(ctx, t, r, `mutation { resumeSender(id: "shop") { id } }`, nil)
	awaitRead(ctx, t, r, was.Read+10)
	var sealed struct {
		Messages struct {
			Edges []struct{ Node struct{ To *string } }
		}
	}
	mustDo(ctx, t, r, `{ messages(filter: { senderId: "shop" }, first: 50) { edges { node { to } } } }`, &sealed)
	for _, e := range sealed.Messages.Edges {
		if e.Node.To == nil {
			t.Error("a message has lost its recipient: the data keys did not come along")
		}
	}
	if stats, err := r.Stats(ctx); err != nil || stats.Duplicates != 0 {
		t.Errorf("%d messages were sent twice, %v", stats.Duplicates, err)
	}
}

// Three machines on a given event store and Postgres, all with every role, behind a
// load balancer and under load: they are upgraded, one is lost, and the queue stops.
func TestRunbookOnThreeMachines(t *testing.T) {
	if testing.Short() {
		t.Skip("takes three nodes through three drills")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), runbookTimeout)
	defer cancel()
	dir := t.TempDir()
	postgrestest.CopyCluster(t, filepath.Join(dir, "postgres"))
	stores, err := harness.StartSharedStores(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the nodes
		if err := stores.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	nodes := startNodes(t, 3)
	balancer := startBalancer(ctx, t, nodes)
	r := startDrillWhatsApp(ctx, t, balancer)
	mustControl(ctx, t, r, map[string]any{"rate": drillRate})
	for _, n := range nodes {
		n.configure(t, slices.Concat(drillSettings(r), stores.Env(), []string{"WAYPOST_ADMIN_KEY=" + harness.AdminKey})...)
		n.write(t, "/etc/waypost/token", drillNewToken+"\n")
		if err := n.startService(); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		if err := n.service.Ready(ctx, "http://"+n.addr+"/readyz"); err != nil {
			t.Fatal(err)
		}
	}
	e2etest.Await(ctx, t, "the load balancer has found the nodes", func() bool { _, err := r.Client.Ledger(ctx); return err == nil })
	for i := range drillSenders {
		if err := r.Client.RegisterSender(ctx, bench.SenderID(i), bench.SenderNumber(i), drillRate); err != nil {
			t.Fatal(err)
		}
	}
	for _, story := range []struct {
		name string
		run  func(context.Context, *testing.T, *harness.TestEnv, []*node)
	}{
		{drillUpgrade, runUpgrade}, {drillMachine, runLostMachine}, {drillQueue, runStoppedQueue},
	} {
		begun := time.Now()
		if !t.Run(story.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(ctx, storyTimeout)
			t.Cleanup(cancel) // after what the story has started is stopped
			story.run(ctx, t, r, nodes)
		}) {
			t.FailNow()
		}
		t.Logf("%s: %s", story.name, time.Since(begun).Round(100*time.Millisecond))
	}
}

// The load of the drills on three nodes: each sender at half of its rate, so that a
// hand-over is made up for.
const (
	drillSenders = 6
	drillRate    = 14
	drillBatch   = drillSenders * drillRate / 2 / 10
	drillTick    = 100 * time.Millisecond
)

// underLoad queues messages while do runs, then waits until every one of them is
// read.
func underLoad(ctx context.Context, t *testing.T, r *harness.TestEnv, campaign string, do func()) {
	t.Helper()
	before, err := r.Client.Ledger(ctx)
	if err != nil {
		t.Fatal(err)
	}
	loading, enough := context.WithCancel(ctx)
	defer enough() // also when do ends the test
	queued := make(chan int64, 1)
	go func() { queued <- queueUntil(loading, ctx, r, campaign) }()
	for _, step := range []func(){func() { _ = retry.Sleep(ctx, time.Second) }, do, func() { _ = retry.Sleep(ctx, time.Second) }} {
		step()
	}
	enough()
	want := before.Accepted + <-queued
	e2etest.Await(ctx, t, "all that was accepted is read", func() bool {
		b, err := r.Client.Ledger(ctx)
		return err == nil && b.Balanced && b.Accepted == want && b.Read == want
	})
}

// queueUntil queues a batch each tick until enough is done, and returns how many
// messages were accepted. A batch that gets no answer is queued again, as callers
// do: its keys are the same.
func queueUntil(enough, ctx context.Context, r *harness.TestEnv, campaign string) (accepted int64) {
	tick := time.NewTicker(drillTick)
	defer tick.Stop()
	for n := 0; enough.Err() == nil; n += drillBatch {
		var batch []map[string]any
		for i := n; i < n+drillBatch; i++ {
			batch = append(batch, harness.Message(bench.SenderID(i%drillSenders), fmt.Sprintf("%s-%d", campaign, i), i))
		}
		for {
			if _, err := r.Client.QueueMessages(ctx, batch); err == nil {
				accepted += drillBatch
				break
			}
			if retry.Sleep(ctx, drillTick) != nil {
				return accepted
			}
		}
		<-tick.C
	}
	return accepted
}

// checkPaces fails if a sender was called above its rate by the stamps of all nodes
// together.
func checkPaces(ctx context.Context, t *testing.T, r *harness.TestEnv, nodes []*node) {
	t.Helper()
	most, longest := largestSeconds(t, nodes)
	for sender, calls := range most {
		if calls > drillRate {
			t.Errorf("%s: %d calls in a second, allowed are %d", sender, calls, drillRate)
		}
	}
	stats, err := r.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if stats.DuplicatesAfterEcho != 0 {
		t.Errorf("%d messages were sent again after their status had come", stats.DuplicatesAfterEcho)
	}
	t.Logf("%d messages, %d twice; most in a second %v; longest stand-still %s", stats.Messages, stats.Duplicates, most, longest.Round(10*time.Millisecond))
}

func runUpgrade(ctx context.Context, t *testing.T, r *harness.TestEnv, nodes []*node) {
	d := startDrill(t, drillUpgrade)
	underLoad(ctx, t, r, "upgrade", func() {
		d.runNext(ctx, nodes[0])
		b := d.next("sh")
		for _, n := range nodes {
			n.mark()
			if out, err := n.shell(ctx, d.setUp+b.text); err != nil || !strings.Contains(out, `"ready":true`) {
				t.Fatalf("%s: %v: %s; the log ends: %s", n.name, err, out, n.tail())
			}
		}
		d.sees(ctx, "log", nodes[2])
	})
	var over ledgerAnswer
	d.queryNext(ctx, nodes[1], &over)
	if b := over.Ledger; !b.Balanced || b.Ambiguous != 0 || b.DeadLettered != 0 || b.SentTwice != 0 {
		t.Errorf("after the upgrade: %v, %d sent twice", b, b.SentTwice)
	}
	checkPaces(ctx, t, r, nodes)
	// How many calls WhatsApp throttles is not asked: some arrive closer together than
	// they left, and the stamps above are exact.
	if stats, err := r.Stats(ctx); err != nil || stats.Duplicates != 0 {
		t.Errorf("%d messages were sent twice, %v", stats.Duplicates, err)
	}
}

func runLostMachine(ctx context.Context, t *testing.T, r *harness.TestEnv, nodes []*node) {
	d := startDrill(t, drillMachine)
	lost, others := nodes[2], nodes[:2]
	underLoad(ctx, t, r, "loss", func() {
		e2etest.Await(ctx, t, "the machine sends for some senders", func() bool { return lost.countLogged("sends for more senders") > 0 })
		for _, n := range others {
			n.mark()
		}
		lost.dies()
		if err := os.RemoveAll(lost.dataDir()); err != nil {
			t.Fatal(err)
		}
		d.sees(ctx, "log", others...)
		d.runNextUntil(ctx, others[0], "the first of the others is ready", func(output string) bool {
			return strings.Contains(output, `{"ready":true}`)
		})
		d.queryNext(ctx, others[0], new(ledgerAnswer))
		d.runNext(ctx, lost)
	})
	var over ledgerAnswer
	d.queryNextUntil(ctx, lost, "nothing is ambiguous", &over, func() bool { return over.Ledger.Ambiguous == 0 && over.Ledger.Balanced })
	if b := over.Ledger; b.Open != 0 || b.DeadLettered != 0 {
		t.Errorf("after the loss: %v", b)
	}
	checkPaces(ctx, t, r, nodes)
}

func runStoppedQueue(ctx context.Context, t *testing.T, r *harness.TestEnv, nodes []*node) {
	// The rule is as it is by default, but ten seconds are enough instead of two minutes.
	mustDo(ctx, t, r, `mutation { setAlertRule(input: { id: "queue-stalled", kind: QUEUE_STALLED, threshold: 10 }) { id } }`, nil)
	mustDo(ctx, t, r, `mutation { registerSender(input: { id: "shop", name: "Shop", phoneNumberId: "200000000001" }) { id } }`, nil)
	before, err := r.Client.Ledger(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d := startDrill(t, drillQueue)
	e2etest.Await(ctx, t, "a node sends for it", func() bool { // a rate of 0 is then that of a paused lane
		var is struct{ Sender senderAnswer }
		mustDo(ctx, t, r, `{ sender(id: "shop") { effectiveRate } }`, &is)
		return is.Sender.EffectiveRate > 0
	})
	pauseShop(ctx, t, r)
	queueFrom(ctx, t, r, "shop", "paused", 3)
	d.sees(ctx, "metrics", nodes...)
	look := d.next("graphql")
	var is struct {
		Sender senderAnswer
	}
	d.until(ctx, nodes[0], look, "the sender is paused", &is, func() bool { // another node knows within a second
		return is.Sender.State == "PAUSED" && strings.Contains(is.Sender.StateReason, "wrong prices") && is.Sender.QueueDepth == 3
	})
	var who struct {
		Events struct {
			Edges []struct {
				Node struct{ By struct{ Kind, ID string } }
			}
		}
	}
	if d.queryNext(ctx, nodes[0], &who); len(who.Events.Edges) != 1 || who.Events.Edges[0].Node.By.ID != graph.AdminKeyID {
		t.Errorf("who paused it is %+v", who)
	}
	d.queryNext(ctx, nodes[0], new(struct{}))
	awaitRead(ctx, t, r, before.Read+3)

	// Only the second node sends, and it is not there.
	nodes[2].dies()
	nodes[1].dies()
	env, err := os.ReadFile(nodes[0].here("/etc/waypost/waypost.env"))
	if err != nil {
		t.Fatal(err)
	}
	nodes[0].write(t, "/etc/waypost/waypost.env", string(env)+"WAYPOST_ROLES='api,webhook,project,alert'\n")
	if err := nodes[0].control("restart waypost"); err != nil {
		t.Fatal(err)
	}
	e2etest.Await(ctx, t, "the first node is there", func() bool { return nodes[0].ready(ctx) })
	e2etest.Await(ctx, t, "the load balancer has found it", func() bool { _, err := r.Client.Ledger(ctx); return err == nil })
	queueFrom(ctx, t, r, "shop", "stopped", 3)
	openAlert(ctx, t, r, "QUEUE_STALLED", "CRITICAL")
	is.Sender = senderAnswer{}
	d.until(ctx, nodes[0], look, "no process sends", &is, func() bool {
		s := is.Sender
		return s.State == "ACTIVE" && s.EffectiveRate == 0 && s.ThrottledUntil == nil && s.QueueDepth == 3
	})
	if output := d.runNext(ctx, nodes[1]); !strings.Contains(output, "not there") {
		t.Errorf("a node that is down says %s", output)
	}
	nodes[1].mark()
	d.runNext(ctx, nodes[1])
	d.sees(ctx, "log", nodes[1])
	var over struct {
		Sender senderAnswer
		alertsAnswer
	}
	d.queryNextUntil(ctx, nodes[0], "the queue is empty", &over, func() bool {
		return over.Sender.QueueDepth == 0 && over.Sender.EffectiveRate > 0 && len(over.Alerts.Edges) == 0
	})
	awaitRead(ctx, t, r, before.Read+6)
}
