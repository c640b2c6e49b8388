package e2e

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// sendRig is a platform with a sender, whose send command is run as from a shell.
func sendRig(ctx context.Context, t *testing.T) *harness.TestEnv {
	t.Helper()
	r := e2etest.Start(ctx, t, nil, nil)
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 1000); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WAYPOST_URL", "http://"+r.Addr)
	t.Setenv("WAYPOST_API_KEY", harness.AdminKey)
	return r
}

func acceptedBy(ctx context.Context, t *testing.T, r *harness.TestEnv) int64 {
	t.Helper()
	var counts harness.LedgerCounts
	e2etest.Await(ctx, t, "the ledger balances", func() bool {
		var err error
		counts, err = r.Client.Ledger(ctx)
		return err == nil && counts.Balanced
	})
	return counts.Accepted
}

// awaitAccepted waits until the read models have as many messages as that, and
// fails for more.
func awaitAccepted(ctx context.Context, t *testing.T, r *harness.TestEnv, want int64) {
	t.Helper()
	e2etest.Await(ctx, t, fmt.Sprintf("%d messages are accepted", want), func() bool {
		got := acceptedBy(ctx, t, r)
		if got > want {
			t.Fatalf("%d messages were accepted, want %d", got, want)
		}
		return got == want
	})
}

func writeFile(t *testing.T, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readCSV(t *testing.T, path string, comma rune) [][]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	r.Comma, r.FieldsPerRecord = comma, -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestSendOfACSVFileSendsNothingTwice(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := sendRig(ctx, t)
	lines := []string{"\xef\xbb\xbfTo,param.1,param.2,label.campaign,priority,send_at"}
	for n := range 450 {
		lines = append(lines, fmt.Sprintf("+9198%08d,Anna,\"Monday, %d\",spring,BULK,", n, n))
	}
	lines = append(lines,
		"+919800000001,Anna,\"Monday, 1\",spring,BULK,", // a duplicate, which is sent twice
		"12,Anna,Monday,spring,BULK,",                   // line 453: no number
		"+919800000002,,Monday,spring,BULK,",            // no first variable
		"+919800000003,Anna,Monday,spring,BULK,tomorrow",
	)
	path := writeFile(t, "spring.csv", lines...)
	args := []string{"send", path, "--sender", "shop", "--template", "booking_reminder", "--language", "en_US", "--label", "by=send"}

	exit, out, errs := e2etest.Run(args...)
	if exit != e2etest.ExitFailed || out != "454 of 454 lines: 451 queued, 0 queued before, 3 refused\n" || !strings.Contains(errs, "spring.rejected.csv") {
		t.Fatalf("exit %d, %q, %q", exit, out, errs)
	}
	awaitAccepted(ctx, t, r, 451)
	rejected := strings.Replace(path, ".csv", ".rejected.csv", 1)
	rows := readCSV(t, rejected, ',')
	if len(rows) != 4 || !slices.Equal(rows[0], []string{"to", "param.1", "param.2", "label.campaign", "priority", "send_at", "key", "rejected_line", "rejected_reason"}) {
		t.Fatalf("refused lines: %q", rows)
	}
	for i, want := range []struct{ line, reason string }{{"453", "to: "}, {"454", "param.1"}, {"455", "RFC 3339"}} {
		if row := rows[i+1]; row[7] != want.line || !strings.Contains(row[8], want.reason) || !strings.HasPrefix(row[6], "sent-") {
			t.Errorf("refused line: %q, want %+v", row, want)
		}
	}

	// Again, with two lines more.
	lines = append(lines, "+919800009991,Bo,Tuesday,spring,OTP,", "+919800009992,Bo,Tuesday,spring,OTP,")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if exit, out, _ = e2etest.Run(args...); exit != e2etest.ExitFailed || out != "456 of 456 lines: 2 queued, 451 queued before, 3 refused\n" {
		t.Fatalf("again: exit %d, %q", exit, out)
	}
	awaitAccepted(ctx, t, r, 453)
	if rows := readCSV(t, strings.Replace(path, ".csv", ".rejected-2.csv", 1), ','); len(rows) != 4 {
		t.Errorf("refused lines again: %q", rows)
	}

	// The refused lines, fixed.
	rows[1][0], rows[2][1], rows[3][5] = "+919800009993", "Anna", ""
	var fixed bytes.Buffer
	if err := csv.NewWriter(&fixed).WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(rejected, fixed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3 queued, 0 queued before, 0 refused", "0 queued, 3 queued before, 0 refused"} {
		args[1] = rejected
		if exit, out, errs = e2etest.Run(args...); exit != e2etest.ExitDone || !strings.Contains(out, want) {
			t.Fatalf("fixed: exit %d, %q, %q; want %s", exit, out, errs, want)
		}
	}
	awaitAccepted(ctx, t, r, 456)

	var data struct {
		Messages struct {
			Edges []struct {
				Node struct {
					Type     string          `json:"type"`
					Priority string          `json:"priority"`
					Content  json.RawMessage `json:"content"`
				} `json:"node"`
			} `json:"edges"`
		} `json:"messages"`
	}
	if err := r.Client.Do(ctx, `{ messages(filter: {priority: OTP}, first: 1) { edges { node { type priority content } } } }`, nil, &data); err != nil || len(data.Messages.Edges) != 1 {
		t.Fatalf("%+v, %v", data, err)
	}
	if node := data.Messages.Edges[0].Node; node.Type != "TEMPLATE" || !strings.Contains(string(node.Content), `"text":"Bo"`) ||
		strings.Index(string(node.Content), "Bo") > strings.Index(string(node.Content), "Tuesday") {
		t.Errorf("%s %s", node.Type, node.Content)
	}
}

func TestSendOfJSONLinesTakesEveryKindOfContent(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := sendRig(ctx, t)
	path := writeFile(t, "mixed.jsonl",
		`{"to":"+919800000001","content":{"location":{"latitude":52.52,"longitude":13.405}}}`,
		``,
		`{"to":"+919800000002","idempotencyKey":"k-1","content":{"interactive":{"kind":"button","object":{"body":{"text":"b"},"action":{"buttons":[{"type":"reply","reply":{"id":"1","title":"Yes"}}]}}}}}`,
		`{"to":"+919800000003","contents":{"text":{"body":"x"}}}`,
		`{"to":"+919800000004"`,
		`{"to":"+919800000005","content":{"text":{"body":""}}}`,
		`{"to":"+919800000006"}`,
		`{"to":"+919800000007","content":{"contacts":[{"contact":{"name":{"formatted_name":"A B","first_name":"A"}}}]},"labels":[{"name":"n","value":"1"}]}`,
	)
	args := []string{"send", path, "--sender", "shop", "--text", "Hello", "--priority", "OTP"}
	exit, out, errs := e2etest.Run(args...)
	if exit != e2etest.ExitFailed || out != "7 of 7 lines: 4 queued, 0 queued before, 3 refused\n" {
		t.Fatalf("exit %d, %q, %q", exit, out, errs)
	}
	text, err := os.ReadFile(strings.Replace(path, ".jsonl", ".rejected.jsonl", 1))
	if err != nil {
		t.Fatal(err)
	}
	want := map[float64]string{4: "contents", 5: "JSON object", 6: "text.body"}
	for line := range strings.Lines(string(text)) {
		var refused struct {
			IdempotencyKey string
			Rejected       struct {
				Line                 float64
				Code, Field, Message string
				Text                 string
			}
		}
		if err := json.Unmarshal([]byte(line), &refused); err != nil {
			t.Fatal(err)
		}
		got := refused.Rejected
		if got.Code != "INVALID_INPUT" || want[got.Line] == "" || !strings.Contains(got.Field+got.Message, want[got.Line]) || (refused.IdempotencyKey == "") != (got.Text != "") {
			t.Errorf("refused line: %s", line)
		}
		delete(want, got.Line)
	}
	if len(want) > 0 {
		t.Errorf("not refused, or not written down: %v", want)
	}
	if _, out, _ := e2etest.Run(args...); out != "7 of 7 lines: 0 queued, 4 queued before, 3 refused\n" {
		t.Errorf("again: %q", out)
	}
	// Another campaign is another message, except under a key of its own.
	if _, out, _ := e2etest.Run(append(args, "--campaign", "second")...); out != "7 of 7 lines: 3 queued, 1 queued before, 3 refused\n" {
		t.Errorf("another campaign: %q", out)
	}
	awaitAccepted(ctx, t, r, 7)
}

// sendGate is a proxy between the send command and a platform. It lets some requests pass and holds the others, so that a
// test acts in the middle of a file, no matter how fast it is sent.
type sendGate struct {
	*httptest.Server
	proxy *httputil.ReverseProxy

	mu     sync.Mutex
	pass   int           // requests that still pass
	held   chan struct{} // closed when the first request is held
	ended  chan struct{} // closed when no request is held anymore
	broken bool          // requests end with their connection, once ended is closed
}

func newSendGate(t *testing.T, addr string) *sendGate {
	t.Helper()
	g := &sendGate{proxy: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: addr}) },
		// The connection breaks as that of a killed platform does.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}}
	g.Server = httptest.NewServer(http.HandlerFunc(g.serve))
	t.Cleanup(func() {
		g.CloseClientConnections() // ends the requests that are held
		g.Close()
	})
	return g
}

// holdAfter lets n requests pass and holds those after them.
func (g *sendGate) holdAfter(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pass, g.held, g.ended, g.broken = n, make(chan struct{}), make(chan struct{}), false
}

// open lets all requests pass, also those that are held.
func (g *sendGate) open() { close(g.ended) }

// breakAll breaks the connections of all requests, also of those that are held.
func (g *sendGate) breakAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broken = true
	close(g.ended)
}

func (g *sendGate) isBroken() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.broken
}

func (g *sendGate) serve(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	passes, ended := g.pass > 0, g.ended
	if g.pass--; g.pass == -1 {
		close(g.held)
	}
	g.mu.Unlock()
	if !passes {
		select {
		case <-ended:
		case <-r.Context().Done():
			return
		}
	}
	if g.isBroken() {
		panic(http.ErrAbortHandler)
	}
	g.proxy.ServeHTTP(w, r)
}

// The platform is killed while a file is sent, and the command is interrupted:
// in the end each line is there once.
func TestSendGoesOnAfterAKillAndAnInterrupt(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := sendRig(ctx, t)
	gate := newSendGate(t, r.Addr)
	t.Setenv("WAYPOST_URL", gate.URL)
	const total = 5000
	lines := []string{"to,text,send_at"}
	tomorrow := time.Now().Add(24 * time.Hour).Format(time.RFC3339)
	for n := range total {
		lines = append(lines, fmt.Sprintf("+9198%08d,Hello,%s", n, tomorrow))
	}
	path := writeFile(t, "many.csv", lines...)
	args := []string{"send", path, "--sender", "shop", "--patience", e2etest.Timeout.String()}
	// start starts the command and returns while it has some requests in flight.
	start := func() (c *exec.Cmd, stdout, stderr *bytes.Buffer) {
		t.Helper()
		c, stdout, stderr = e2etest.Command(ctx, args...), new(bytes.Buffer), new(bytes.Buffer)
		c.Stdout, c.Stderr = stdout, stderr
		gate.holdAfter(6)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-gate.held:
		case <-ctx.Done():
			t.Fatalf("the command made too few requests: %s", stderr)
		}
		return c, stdout, stderr
	}
	c, _, stderr := start()
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	gate.breakAll() // otherwise, the requests in flight would be waited for
	if err := c.Wait(); err == nil || !strings.Contains(stderr.String(), "interrupted") {
		t.Fatalf("interrupted: %v, %s", err, stderr)
	}
	if n := acceptedBy(ctx, t, r); n == 0 || n >= total {
		t.Fatalf("%d of %d messages were accepted before the interrupt", n, total)
	}
	c, stdout, stderr := start()
	r.Serve.Kill()
	gate.open()
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil || !strings.Contains(stdout.String(), fmt.Sprintf("%d of %[1]d lines", total)) || !strings.Contains(stdout.String(), " 0 refused") {
		t.Fatalf("over a kill: %q, %v, %s", stdout, err, stderr)
	}
	t.Log(stdout)
	if code, out, errs := e2etest.Run(args...); code != e2etest.ExitDone || !strings.Contains(out, fmt.Sprintf(": 0 queued, %d queued before, 0 refused", total)) {
		t.Errorf("a last time: exit code %d, %q, %s", code, out, errs)
	}
	awaitAccepted(ctx, t, r, total)
}

func TestSendOfOneMessage(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := sendRig(ctx, t)
	args := []string{"send", "--sender", "shop", "--to", "+919800000001", "--key", "order-1"}
	text := append(slices.Clone(args), "--text", "Your table, it is ready")
	exit, out, errs := e2etest.Run(text...)
	if exit != e2etest.ExitDone || !strings.HasSuffix(out, "  queued\n") {
		t.Fatalf("exit %d, %q, %q", exit, out, errs)
	}
	if exit, again, _ := e2etest.Run(text...); exit != e2etest.ExitDone || again != strings.Replace(out, "queued", "queued before", 1) {
		t.Errorf("again: exit %d, %q", exit, again)
	}
	if exit, _, errs := e2etest.Run(append(slices.Clone(args), "--text", "other")...); exit != e2etest.ExitFailed || !strings.Contains(errs, "CONFLICT") {
		t.Errorf("other text: exit %d, %q", exit, errs)
	}
	if exit, _, errs := e2etest.Run("send", "--sender", "unknown", "--to", "+919800000001", "--text", "x"); exit != e2etest.ExitFailed || !strings.Contains(errs, "senderId") {
		t.Errorf("unknown sender: exit %d, %q", exit, errs)
	}
	if exit, _, errs := e2etest.Run("send", "--sender", "shop", "--to", "+919800000001", "--template", "hello", "--language", "en", "--named-param", "first_name=Ada, of B", "--label", "a=b"); exit != e2etest.ExitDone {
		t.Errorf("template: exit %d, %q", exit, errs)
	}
	if exit, _, errs := e2etest.Run("send", "--sender", "shop", "--to", "+919800000001", "--content", `{"sticker":{"id":"1"}}`); exit != e2etest.ExitDone {
		t.Errorf("content: exit %d, %q", exit, errs)
	}
	awaitAccepted(ctx, t, r, 3)
	t.Setenv("WAYPOST_API_KEY", "wpk_wrong")
	if exit, _, errs := e2etest.Run(text...); exit != e2etest.ExitFailed || !strings.Contains(errs, "UNAUTHENTICATED") {
		t.Errorf("a wrong key: exit %d, %q", exit, errs)
	}
}

func TestSendThatCannotBe(t *testing.T) {
	t.Setenv("WAYPOST_URL", "http://127.0.0.1:1")
	t.Setenv("WAYPOST_API_KEY", "wpk_some")
	good := writeFile(t, "good.csv", "to,text", "+919800000001,x")
	for name, c := range map[string]struct {
		args []string
		exit int
		want string
	}{
		"nothing":            {nil, e2etest.ExitUsage, "give a file"},
		"no recipient":       {[]string{"--sender", "s", "--text", "x"}, e2etest.ExitUsage, "--to"},
		"a file that is not": {[]string{"nowhere.csv"}, e2etest.ExitUsage, "nowhere.csv"},
		"unknown format":     {[]string{writeFile(t, "a.txt", "x")}, e2etest.ExitUsage, ".jsonl"},
		"file and recipient": {[]string{good, "--to", "+1"}, e2etest.ExitUsage, "--to"},
		"file and key":       {[]string{good, "--key", "k"}, e2etest.ExitUsage, "--key"},
		"two contents":       {[]string{"--sender", "s", "--to", "+1", "--text", "x", "--template", "t"}, e2etest.ExitUsage, "only one"},
		"no time":            {[]string{"--sender", "s", "--to", "+1", "--text", "x", "--send-at", "noon"}, e2etest.ExitUsage, "--send-at"},
		"no priority":        {[]string{"--sender", "s", "--to", "+1", "--text", "x", "--priority", "HIGH"}, e2etest.ExitUsage, "--priority"},
		"no URL":             {[]string{"--sender", "s", "--to", "+1", "--text", "x", "--url", "here"}, e2etest.ExitUsage, "--url"},
		"patience":           {[]string{"--sender", "s", "--to", "+1", "--text", "x", "--patience", "-1s"}, e2etest.ExitUsage, "--patience"},
		"no content":         {[]string{"--sender", "s", "--to", "+1", "--content", "[]"}, e2etest.ExitUsage, "JSON object"},
		"unknown column":     {[]string{writeFile(t, "a.csv", "to,body", "+1,x")}, e2etest.ExitFailed, `"body"`},
		"column twice":       {[]string{writeFile(t, "a.csv", "to,text,text", "+1,x,y")}, e2etest.ExitFailed, "twice"},
		"no column to":       {[]string{writeFile(t, "a.csv", "text", "x")}, e2etest.ExitFailed, "column to"},
		"empty file":         {[]string{writeFile(t, "a.csv")}, e2etest.ExitFailed, "header"},
		"not UTF-8":          {[]string{writeFile(t, "a.csv", "to,text", "+1,x", "+2,Gr\xfc\xdfe")}, e2etest.ExitFailed, "line 3: the byte 0xFC is not UTF-8; give the encoding"},
		"not UTF-8, JSON":    {[]string{writeFile(t, "a.jsonl", `{"to":"+1"}`, "", "{\"to\":\"Gr\xfc\xdfe\"}")}, e2etest.ExitFailed, "line 3: the byte 0xFC"},
		"not UTF-8, header":  {[]string{writeFile(t, "a.csv", "to,t\xe9xt", "+1,x")}, e2etest.ExitFailed, "line 1: the byte 0xE9"},
		"unknown encoding":   {[]string{good, "--encoding", "klingon"}, e2etest.ExitUsage, `"klingon"`},
		"invisible header":   {[]string{writeFile(t, "a.csv", "to,te\u200bxt", "+1,x")}, e2etest.ExitFailed, "U+200B at position 3"},
		"hard space":         {[]string{writeFile(t, "a.csv", "to,text\u00a0", "+1,x")}, e2etest.ExitFailed, "U+00A0 at position 5"},
		"text after a quote": {[]string{writeFile(t, "a.csv", "to,text", `+1,"x"`, `+2,"x" y`)}, e2etest.ExitFailed, "line 3: a cell continues"},
		"quote in a cell":    {[]string{writeFile(t, "a.csv", "to,text", `+1,a "x"`)}, e2etest.ExitFailed, "line 2: a cell has a"},
		"input, no campaign": {[]string{"-", "--format", "csv"}, e2etest.ExitUsage, "--campaign"},
		"input, no format":   {[]string{"-", "--campaign", "c"}, e2etest.ExitUsage, "--format"},
		"lost characters":    {[]string{"--sender", "s", "--to", "+1", "--text", "Gr\ufffd\ufffde"}, e2etest.ExitUsage, "--text: has U+FFFD at position 3"},
		"bytes in a flag":    {[]string{"--sender", "s", "--to", "+1", "--text", "Gr\xfc\xdfe"}, e2etest.ExitUsage, "--text: has U+FFFD at position 3"},
		"open quote":         {[]string{writeFile(t, "a.csv", "to,text", `+1,"x`)}, e2etest.ExitFailed, "quote"},
		"endless line":       {[]string{writeFile(t, "a.jsonl", strings.Repeat("x", 4<<20+1))}, e2etest.ExitFailed, "line 1"},
		"platform away":      {[]string{good, "--sender", "s", "--patience", "0s"}, e2etest.ExitFailed, "run the same command again"},
	} {
		t.Run(name, func(t *testing.T) {
			exit, _, errs := e2etest.Run(append([]string{"send"}, c.args...)...)
			if exit != c.exit || !strings.Contains(errs, c.want) {
				t.Errorf("exit %d, %q; want %d, saying %q", exit, errs, c.exit, c.want)
			}
		})
	}
	t.Setenv("WAYPOST_API_KEY", "")
	if exit, _, errs := e2etest.Run("send", "--sender", "s", "--to", "+1", "--text", "x"); exit != e2etest.ExitFailed || !strings.Contains(errs, "WAYPOST_API_KEY") {
		t.Errorf("no key: exit %d, %q", exit, errs)
	}
}
