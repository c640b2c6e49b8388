package recovery

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
	"github.com/waypost/waypost/cmd/waypost/internal/bench"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// The runbook, and the unit of systemd whose paths it uses.
const (
	runbookPath = "../../../../../docs/operations.md"
	unitPath    = "../../../../../docs/ops/waypost.service"
)

// runbookPreparation is the section that all drills build upon; its first block
// comes before every command.
const runbookPreparation = "Before anything else"

// runbookBlock is a fenced block of the runbook.
type runbookBlock struct {
	lang, text string
	line       int
}

// readRunbook is the fenced blocks of the runbook by section.
func readRunbook(t *testing.T) map[string][]runbookBlock {
	t.Helper()
	text, err := os.ReadFile(runbookPath)
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string][]runbookBlock)
	var section string
	var open *runbookBlock
	line := 0
	for raw := range strings.Lines(string(text)) {
		line++
		fence, isFence := strings.CutPrefix(strings.TrimSpace(raw), "```")
		switch {
		case open != nil && isFence:
			sections[section] = append(sections[section], *open)
			open = nil
		case open != nil:
			open.text += raw
		case isFence:
			open = &runbookBlock{lang: fence, line: line}
		case strings.HasPrefix(raw, "## "):
			section = strings.TrimSpace(strings.TrimPrefix(raw, "## "))
			sections[section] = nil
		}
	}
	return sections
}

// drill goes through one section of the runbook, block by block, in its order.
type drill struct {
	t       *testing.T
	setUp   string
	section string
	left    []runbookBlock
	// paste has the values of the words that begin with PASTE.
	paste map[string]string
}

// startDrill begins a section. The test fails if blocks of it are left at its end:
// everything in the runbook must be run.
func startDrill(t *testing.T, section string) *drill {
	t.Helper()
	sections := readRunbook(t)
	blocks, setUp := sections[section], sections[runbookPreparation]
	if len(blocks) == 0 || len(setUp) == 0 {
		t.Fatalf("the runbook has no section %q with something to run, or no %q", section, runbookPreparation)
	}
	d := &drill{t: t, setUp: setUp[0].text, section: section, left: blocks, paste: make(map[string]string)}
	t.Cleanup(func() {
		if !t.Failed() && len(d.left) > 0 {
			t.Errorf("%s: the block at line %d and %d more were not run", section, d.left[0].line, len(d.left)-1)
		}
	})
	return d
}

// next is the section's next block; it must be of the language.
func (d *drill) next(lang string) runbookBlock {
	d.t.Helper()
	if len(d.left) == 0 || d.left[0].lang != lang {
		d.t.Fatalf("%s: the runbook has no further block of %s here; left: %+v", d.section, lang, d.left)
	}
	b := d.left[0]
	d.left = d.left[1:]
	for word, value := range d.paste {
		b.text = strings.ReplaceAll(b.text, word, value)
	}
	if strings.Contains(b.text, "PASTE") && lang != "log" {
		d.t.Fatalf("%s, line %d: nothing to paste into %s", d.section, b.line, b.text)
	}
	return b
}

// runNext runs the next shell block on a node, as root.
func (d *drill) runNext(ctx context.Context, n *node) string {
	d.t.Helper()
	return d.runBlock(ctx, n, d.next("sh"))
}

// runNextUntil runs the next shell block on a node until its output is as expected.
func (d *drill) runNextUntil(ctx context.Context, n *node, what string, so func(output string) bool) {
	d.t.Helper()
	b := d.next("sh")
	e2etest.Await(ctx, d.t, d.section+": "+what, func() bool {
		if so(d.runBlock(ctx, n, b)) {
			return true
		}
		_ = retry.Sleep(ctx, personPoll) // await sees the end of ctx
		return false
	})
}

// runBlock runs a shell block on a node.
func (d *drill) runBlock(ctx context.Context, n *node, b runbookBlock) string {
	d.t.Helper()
	out, err := n.shell(ctx, d.setUp+b.text)
	if err != nil {
		d.t.Fatalf("%s, line %d on %s: %v\n%s\n%s; the log ends: %s", d.section, b.line, n.name, err, b.text, out, n.tail())
	}
	return out
}

// queryNext passes the next GraphQL block to `waypost query` on a node and decodes the
// data of the response.
func (d *drill) queryNext(ctx context.Context, n *node, into any) {
	d.t.Helper()
	d.queryBlock(ctx, n, d.next("graphql"), into)
}

// queryBlock does the same with a given block.
func (d *drill) queryBlock(ctx context.Context, n *node, b runbookBlock, into any) {
	d.t.Helper()
	out, err := n.shell(ctx, d.setUp+"waypost query <<'END'\n"+b.text+"END\n")
	if err == nil {
		err = json.Unmarshal([]byte(out), into)
	}
	if err != nil {
		d.t.Fatalf("%s, line %d on %s: %v\n%s\n%s; the log ends: %s", d.section, b.line, n.name, err, b.text, out, n.tail())
	}
}

// queryNextUntil repeats the next GraphQL block until so returns true. into is decoded
// again each time.
func (d *drill) queryNextUntil(ctx context.Context, n *node, what string, into any, so func() bool) {
	d.t.Helper()
	d.until(ctx, n, d.next("graphql"), what, into, so)
}

// until repeats a given block until so returns true.
func (d *drill) until(ctx context.Context, n *node, b runbookBlock, what string, into any, so func() bool) {
	d.t.Helper()
	e2etest.Await(ctx, d.t, d.section+": "+what, func() bool {
		d.queryBlock(ctx, n, b, into)
		if so() {
			return true
		}
		_ = retry.Sleep(ctx, personPoll) // await sees the end of ctx
		return false
	})
}

// personPoll is the time after which an operator who waits repeats a command.
const personPoll = 200 * time.Millisecond

// sees waits until every line of the next block is in the log of one of the
// nodes, since their marks, or in its metrics.
func (d *drill) sees(ctx context.Context, lang string, nodes ...*node) {
	d.t.Helper()
	b := d.next(lang)
	for line := range strings.Lines(b.text) {
		want := strings.Split(strings.TrimSpace(line), " … ")
		e2etest.Await(ctx, d.t, fmt.Sprintf("%s, line %d: %s", d.section, b.line, line), func() bool {
			return slices.ContainsFunc(nodes, func(n *node) bool {
				if lang == "metrics" {
					return hasLine(n.metrics(ctx), want, strings.HasPrefix)
				}
				return hasLine(n.logged(), want, strings.Contains)
			})
		})
	}
}

// hasLine reports whether a line has all parts, in their order.
func hasLine(text string, parts []string, begins func(line, part string) bool) bool {
	for line := range strings.Lines(text) {
		rest, found := line, begins(line, parts[0])
		for _, p := range parts {
			_, after, there := strings.Cut(rest, p)
			rest, found = after, found && there
		}
		if found {
			return true
		}
	}
	return false
}

// node is a machine of the runbook: a directory that represents its file system, and
// a systemd that knows the one service.
type node struct {
	name, dir, addr string
	marked          int64 // how much of the log is known already

	mu      sync.Mutex
	service *harness.Child
	systemd *httptest.Server
}

// startNodes makes n nodes, with the service not started on any of them.
func startNodes(t *testing.T, n int) []*node {
	t.Helper()
	var nodes []*node
	for i := range n {
		m := &node{name: fmt.Sprintf("node%d", i+1), dir: t.TempDir()}
		var err error
		if m.addr, err = loopback.FreeAddr(); err != nil {
			t.Fatal(err)
		}
		m.install(t)
		m.systemd = httptest.NewServer(http.HandlerFunc(m.serveSystemd))
		t.Cleanup(func() {
			m.systemd.Close()
			if err := m.stopService(); err != nil {
				t.Errorf("%s: %v", m.name, err)
			}
		})
		nodes = append(nodes, m)
	}
	return nodes
}

// systemctl asks the node's systemd, as far as the runbook needs it.
const systemctl = `#!/bin/sh
exec curl -fsS --max-time 60 --data-binary "$*" "$DRILL_SYSTEMD"
`

// install puts the program and systemctl where a shell finds them, and makes the
// directories that a package would create.
func (n *node) install(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"bin", "etc", "backups"} {
		if err := os.Mkdir(filepath.Join(n.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(harness.Program, filepath.Join(n.dir, "bin", "waypost")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(n.dir, "bin", "systemctl"), []byte(systemctl), 0o700); err != nil {
		t.Fatal(err)
	}
}

// here replaces the paths of the runbook with the node's directories.
func (n *node) here(text string) string {
	return strings.NewReplacer(
		"/etc/waypost", filepath.Join(n.dir, "etc"), "/var/lib/waypost", n.dataDir(), "/var/backups/waypost", filepath.Join(n.dir, "backups"),
	).Replace(text)
}

func (n *node) dataDir() string { return filepath.Join(n.dir, "data") }

// configure writes waypost.env. Settings are VARIABLE=value with the runbook's paths.
func (n *node) configure(t *testing.T, settings ...string) {
	t.Helper()
	var text strings.Builder
	for _, s := range slices.Concat([]string{"WAYPOST_ADDR=" + n.addr, "WAYPOST_DATA_DIR=/var/lib/waypost"}, settings) {
		name, value, _ := strings.Cut(s, "=")
		fmt.Fprintf(&text, "%s='%s'\n", name, n.here(value))
	}
	n.write(t, "/etc/waypost/waypost.env", text.String())
}

func (n *node) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(n.here(path), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shell runs a script on the node.
func (n *node) shell(ctx context.Context, script string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-euc", n.here(script))
	cmd.Dir = n.dir
	cmd.Env = append(harness.ChildEnv(), "PATH="+filepath.Join(n.dir, "bin")+":"+os.Getenv("PATH"), "DRILL_SYSTEMD="+n.systemd.URL)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%w: %s", err, stderr.String())
	}
	return stdout.String(), nil
}

// serveSystemd does what systemctl was asked for.
func (n *node) serveSystemd(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err == nil {
		err = n.control(string(text))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (n *node) control(command string) error {
	switch command {
	case "start waypost":
		return n.startService()
	case "stop waypost", "disable --now waypost":
		return n.stopService()
	case "restart waypost":
		if err := n.stopService(); err != nil {
			return err
		}
		return n.startService()
	}
	return fmt.Errorf("systemctl %s: this systemd does not know how", command)
}

// startService starts what the unit says, with the settings that it names.
func (n *node) startService() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	unit, err := os.ReadFile(unitPath)
	if err != nil {
		return err
	}
	var args []string
	var env []string
	for line := range strings.Lines(string(unit)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "ExecStart":
			args = strings.Fields(value)[1:]
		case "EnvironmentFile":
			if env, err = environmentFile(n.here(value)); err != nil {
				return err
			}
		}
	}
	n.service, err = harness.StartChild(n.dir, "waypost", env, args...)
	return err
}

// environmentFile reads what EnvironmentFile= of systemd reads; the last of a
// variable counts.
func environmentFile(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var env []string
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), "="); found {
			env = append(env, name+"="+strings.Trim(value, "'"))
		}
	}
	return env, nil
}

func (n *node) stopService() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.service == nil {
		return nil
	}
	c := n.service
	n.service = nil
	return c.Stop()
}

// dies is the end of the machine, or of the process at least: nothing is drained.
func (n *node) dies() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.service.Kill()
	n.service = nil
}

func (n *node) logPath() string { return filepath.Join(n.dir, "waypost.log") }

// mark makes logged begin at what comes from now on.
func (n *node) mark() {
	if info, err := os.Stat(n.logPath()); err == nil {
		n.marked = info.Size()
	}
}

func (n *node) logged() string {
	text, err := os.ReadFile(n.logPath())
	if err != nil {
		return ""
	}
	return string(text[min(n.marked, int64(len(text))):])
}

func (n *node) tail() string {
	text := n.logged()
	return text[max(0, len(text)-harness.LogTail):]
}

// metrics is what Prometheus would read.
func (n *node) metrics(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.addr+"/metrics", nil)
	if err != nil {
		return ""
	}
	key := []byte(harness.AdminKey) // of nodes that share their settings
	if made, err := os.ReadFile(filepath.Join(n.dataDir(), "admin.key")); err == nil {
		key = bytes.TrimSpace(made)
	}
	req.Header.Set("Authorization", "Bearer "+string(key))
	text, _ := apiclient.RoundTrip(http.DefaultClient, req) // the waiting caller repeats it
	return string(text)
}

// ready reports whether a load balancer would send requests here.
func (n *node) ready(ctx context.Context) bool {
	_, err := harness.GetOK(ctx, "http://"+n.addr+"/readyz")
	return err == nil
}

// largestSeconds is the most calls that all nodes together wrote within a sliding
// second, by sender, and the longest time that a sender stopped.
func largestSeconds(t *testing.T, nodes []*node) (most map[string]int, longest time.Duration) {
	t.Helper()
	times := make(map[string][]time.Duration)
	for _, n := range nodes {
		if err := harness.ReadWritten(n.logPath(), times); err != nil {
			t.Fatal(err)
		}
	}
	most = make(map[string]int)
	for sender, list := range times {
		slices.Sort(list)
		most[sender] = bench.LargestSecond(list)
		longest = max(longest, bench.LongestGap(list))
	}
	return most, longest
}

// balancerEvery is how often the load balancer asks its nodes whether they are ready.
const balancerEvery = 100 * time.Millisecond

// startBalancer is the load balancer in front of the nodes: it asks /readyz and hands
// each request to a node that is, in turn. It repeats nothing.
func startBalancer(ctx context.Context, t *testing.T, nodes []*node) (addr string) {
	t.Helper()
	var mu sync.Mutex
	var up []*node
	turn := 0
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for retry.Sleep(watching, balancerEvery) == nil {
			var now []*node
			for _, n := range nodes {
				if n.ready(watching) {
					now = append(now, n)
				}
			}
			mu.Lock()
			up = now
			mu.Unlock()
		}
	}()
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			mu.Lock()
			defer mu.Unlock()
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "127.0.0.1:0" // no process listens there
			if len(up) > 0 {
				turn++
				r.Out.URL.Host = up[turn%len(up)].addr
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(func() {
		server.Close()
		stop()
		<-watched
	})
	return strings.TrimPrefix(server.URL, "http://")
}

// countLogged counts the lines of a node's log with a word, since its mark.
func (n *node) countLogged(word string) int {
	count := 0
	lines := bufio.NewScanner(strings.NewReader(n.logged()))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.Contains(lines.Text(), word) {
			count++
		}
	}
	return count
}
