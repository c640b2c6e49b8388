package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sendRig is a platform with a sender, whose send command is run as from a shell.
func sendRig(ctx context.Context, t *testing.T) *rig {
	t.Helper()
	r := startTestRig(ctx, t, nil, nil)
	if err := r.client.registerSender(ctx, "shop", "100000000001", 1000); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WAYPOST_URL", "http://"+r.addr)
	t.Setenv("WAYPOST_API_KEY", rigAdminKey)
	return r
}

func waypost(args ...string) (exit int, stdout, stderr string) {
	var out, errs bytes.Buffer
	exit = run(args, &out, &errs)
	return exit, out.String(), errs.String()
}

func (r *rig) accepted(ctx context.Context, t *testing.T) int64 {
	t.Helper()
	for {
		books, err := r.client.ledger(ctx)
		if err == nil && books.Balanced {
			return books.Accepted
		}
		if ctx.Err() != nil {
			t.Fatalf("no balanced ledger: %+v, %v", books, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// awaitAccepted waits until the read models have as many messages as that, and
// fails for more.
func (r *rig) awaitAccepted(ctx context.Context, t *testing.T, want int64) {
	t.Helper()
	for {
		switch got := r.accepted(ctx, t); {
		case got == want:
			return
		case got > want, ctx.Err() != nil:
			t.Fatalf("%d messages were accepted, want %d", got, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func writeFile(t *testing.T, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readCSV(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestSendOfACSVFileSendsNothingTwice(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	r := sendRig(ctx, t)
	lines := []string{"\xef\xbb\xbfTo,param.1,param.2,label.campaign,priority,send_at"}
	for n := range 450 {
		lines = append(lines, fmt.Sprintf("+9198%08d,Anna,\"Monday, %d\",spring,BULK,", n, n))
	}
	lines = append(lines,
		"+919800000001,Anna,\"Monday, 1\",spring,BULK,", // stands twice, and is sent twice
		"12,Anna,Monday,spring,BULK,",                   // line 453: no number
		"+919800000002,,Monday,spring,BULK,",            // no first variable
		"+919800000003,Anna,Monday,spring,BULK,tomorrow",
	)
	path := writeFile(t, "spring.csv", lines...)
	args := []string{"send", path, "--sender", "shop", "--template", "booking_reminder", "--language", "en_US", "--label", "by=send"}

	exit, out, errs := waypost(args...)
	if exit != exitFailed || out != "454 of 454 lines: 451 queued, 0 queued before, 3 refused\n" || !strings.Contains(errs, "spring.rejected.csv") {
		t.Fatalf("exit %d, %q, %q", exit, out, errs)
	}
	r.awaitAccepted(ctx, t, 451)
	rejected := strings.Replace(path, ".csv", ".rejected.csv", 1)
	rows := readCSV(t, rejected)
	if len(rows) != 4 || !slices.Equal(rows[0], []string{"to", "param.1", "param.2", "label.campaign", "priority", "send_at", "key", "rejected_line", "rejected_reason"}) {
		t.Fatalf("refused lines: %q", rows)
	}
	slices.SortFunc(rows[1:], func(a, b []string) int { return strings.Compare(a[7], b[7]) })
	for i, want := range []struct{ line, says string }{{"453", "to: "}, {"454", "param.1"}, {"455", "RFC 3339"}} {
		if row := rows[i+1]; row[7] != want.line || !strings.Contains(row[8], want.says) || !strings.HasPrefix(row[6], "send-") {
			t.Errorf("refused line: %q, want %+v", row, want)
		}
	}

	// Again, with two lines more.
	lines = append(lines, "+919800009991,Bo,Tuesday,spring,OTP,", "+919800009992,Bo,Tuesday,spring,OTP,")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if exit, out, _ = waypost(args...); exit != exitFailed || out != "456 of 456 lines: 2 queued, 451 queued before, 3 refused\n" {
		t.Fatalf("again: exit %d, %q", exit, out)
	}
	r.awaitAccepted(ctx, t, 453)
	if rows := readCSV(t, strings.Replace(path, ".csv", ".rejected-2.csv", 1)); len(rows) != 4 {
		t.Errorf("refused lines again: %q", rows)
	}

	// The refused lines, mended.
	rows[1][0], rows[2][1], rows[3][5] = "+919800009993", "Anna", ""
	var mended bytes.Buffer
	if err := csv.NewWriter(&mended).WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(rejected, mended.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3 queued, 0 queued before, 0 refused", "0 queued, 3 queued before, 0 refused"} {
		args[1] = rejected
		if exit, out, errs = waypost(args...); exit != exitDone || !strings.Contains(out, want) {
			t.Fatalf("mended: exit %d, %q, %q; want %s", exit, out, errs, want)
		}
	}
	r.awaitAccepted(ctx, t, 456)

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
	if err := r.client.do(ctx, `{ messages(filter: {priority: OTP}, first: 1) { edges { node { type priority content } } } }`, nil, &data); err != nil || len(data.Messages.Edges) != 1 {
		t.Fatalf("%+v, %v", data, err)
	}
	if node := data.Messages.Edges[0].Node; node.Type != "TEMPLATE" || !strings.Contains(string(node.Content), `"text":"Bo"`) ||
		strings.Index(string(node.Content), "Bo") > strings.Index(string(node.Content), "Tuesday") {
		t.Errorf("%s %s", node.Type, node.Content)
	}
}

func TestSendOfJSONLinesTakesEveryKindOfContent(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
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
	exit, out, errs := waypost(args...)
	if exit != exitFailed || out != "7 of 7 lines: 4 queued, 0 queued before, 3 refused\n" {
		t.Fatalf("exit %d, %q, %q", exit, out, errs)
	}
	text, err := os.ReadFile(strings.Replace(path, ".jsonl", ".rejected.jsonl", 1))
	if err != nil {
		t.Fatal(err)
	}
	want := map[float64]string{4: "contents", 5: "no JSON object", 6: "text.body"}
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
	if _, out, _ := waypost(args...); out != "7 of 7 lines: 0 queued, 4 queued before, 3 refused\n" {
		t.Errorf("again: %q", out)
	}
	// Another campaign is another message, except under a key of its own.
	if _, out, _ := waypost(append(args, "--campaign", "second")...); out != "7 of 7 lines: 3 queued, 1 queued before, 3 refused\n" {
		t.Errorf("another campaign: %q", out)
	}
	r.awaitAccepted(ctx, t, 7)
}

// The platform is killed while a file is sent, and the command is interrupted:
// in the end each line is there once.
func TestSendGoesOnAfterAKillAndAnInterrupt(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	r := sendRig(ctx, t)
	lines := []string{"to,text,send_at"}
	tomorrow := time.Now().Add(24 * time.Hour).Format(time.RFC3339)
	for n := range 12_000 {
		lines = append(lines, fmt.Sprintf("+9198%08d,Hello,%s", n, tomorrow))
	}
	path := writeFile(t, "many.csv", lines...)
	send := func(ctx context.Context) (string, error) {
		var out, errs bytes.Buffer
		c := &sendCommand{
			File: path, URL: "http://" + r.addr, APIKey: rigAdminKey, Patience: e2eTimeout, messageFlags: messageFlags{Sender: "shop"},
		}
		err := c.Run(&environment{ctx: ctx, stdout: &out, stderr: &errs})
		return out.String(), err
	}
	some := func() {
		t.Helper()
		for before := r.accepted(ctx, t); r.accepted(ctx, t) < before+200; {
			time.Sleep(10 * time.Millisecond)
		}
	}
	interrupted, interrupt := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { _, err := send(interrupted); ended <- err }()
	some()
	interrupt()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Fatalf("interrupted: %v", err)
	}
	if n := r.accepted(ctx, t); n >= 12_000 {
		t.Fatalf("the interrupt came too late: %d", n)
	}
	type result struct {
		out string
		err error
	}
	done := make(chan result, 1)
	go func() { out, err := send(ctx); done <- result{out, err} }()
	some()
	r.serve.kill()
	if err := r.startServe(ctx); err != nil {
		t.Fatal(err)
	}
	got := <-done
	if got.err != nil || !strings.Contains(got.out, "12000 of 12000 lines") || !strings.Contains(got.out, " 0 refused") {
		t.Fatalf("over a kill: %q, %v", got.out, got.err)
	}
	t.Log(got.out)
	if out, err := send(ctx); err != nil || !strings.Contains(out, ": 0 queued, 12000 queued before, 0 refused") {
		t.Errorf("a last time: %q, %v", out, err)
	}
	r.awaitAccepted(ctx, t, 12_000)
}

func TestSendOfOneMessage(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	r := sendRig(ctx, t)
	args := []string{"send", "--sender", "shop", "--to", "+919800000001", "--key", "order-1"}
	text := append(slices.Clone(args), "--text", "Your table, it is ready")
	exit, out, errs := waypost(text...)
	if exit != exitDone || !strings.HasSuffix(out, "  queued\n") {
		t.Fatalf("exit %d, %q, %q", exit, out, errs)
	}
	if exit, again, _ := waypost(text...); exit != exitDone || again != strings.Replace(out, "queued", "queued before", 1) {
		t.Errorf("again: exit %d, %q", exit, again)
	}
	if exit, _, errs := waypost(append(slices.Clone(args), "--text", "other")...); exit != exitFailed || !strings.Contains(errs, "CONFLICT") {
		t.Errorf("other text: exit %d, %q", exit, errs)
	}
	if exit, _, errs := waypost("send", "--sender", "nobody", "--to", "+919800000001", "--text", "x"); exit != exitFailed || !strings.Contains(errs, "senderId") {
		t.Errorf("unknown sender: exit %d, %q", exit, errs)
	}
	if exit, _, errs := waypost("send", "--sender", "shop", "--to", "+919800000001", "--template", "hello", "--language", "en", "--named-param", "first_name=Ada, of B", "--label", "a=b"); exit != exitDone {
		t.Errorf("template: exit %d, %q", exit, errs)
	}
	if exit, _, errs := waypost("send", "--sender", "shop", "--to", "+919800000001", "--content", `{"sticker":{"id":"1"}}`); exit != exitDone {
		t.Errorf("content: exit %d, %q", exit, errs)
	}
	r.awaitAccepted(ctx, t, 3)
	t.Setenv("WAYPOST_API_KEY", "wpk_wrong")
	if exit, _, errs := waypost(text...); exit != exitFailed || !strings.Contains(errs, "UNAUTHENTICATED") {
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
		says string
	}{
		"nothing":            {nil, exitUsage, "give a file"},
		"no recipient":       {[]string{"--sender", "s", "--text", "x"}, exitUsage, "--to"},
		"a file that is not": {[]string{"nowhere.csv"}, exitUsage, "nowhere.csv"},
		"unknown format":     {[]string{writeFile(t, "a.txt", "x")}, exitUsage, ".jsonl"},
		"file and recipient": {[]string{good, "--to", "+1"}, exitUsage, "--to"},
		"file and key":       {[]string{good, "--key", "k"}, exitUsage, "--key"},
		"two contents":       {[]string{"--sender", "s", "--to", "+1", "--text", "x", "--template", "t"}, exitUsage, "only one"},
		"no time":            {[]string{"--sender", "s", "--to", "+1", "--text", "x", "--send-at", "noon"}, exitUsage, "--send-at"},
		"no priority":        {[]string{"--sender", "s", "--to", "+1", "--text", "x", "--priority", "HIGH"}, exitUsage, "--priority"},
		"no URL":             {[]string{"--sender", "s", "--to", "+1", "--text", "x", "--url", "here"}, exitUsage, "--url"},
		"patience":           {[]string{"--sender", "s", "--to", "+1", "--text", "x", "--patience", "-1s"}, exitUsage, "--patience"},
		"no content":         {[]string{"--sender", "s", "--to", "+1", "--content", "[]"}, exitUsage, "JSON object"},
		"unknown column":     {[]string{writeFile(t, "a.csv", "to,body", "+1,x")}, exitFailed, `"body"`},
		"column twice":       {[]string{writeFile(t, "a.csv", "to,text,text", "+1,x,y")}, exitFailed, "twice"},
		"no column to":       {[]string{writeFile(t, "a.csv", "text", "x")}, exitFailed, "column to"},
		"empty file":         {[]string{writeFile(t, "a.csv")}, exitFailed, "header"},
		"cells missing":      {[]string{writeFile(t, "a.csv", "to,text", "+1,x", "+2")}, exitFailed, "line 3"},
		"open quote":         {[]string{writeFile(t, "a.csv", "to,text", `+1,"x`)}, exitFailed, "quote"},
		"endless line":       {[]string{writeFile(t, "a.jsonl", strings.Repeat("x", maxLine+1))}, exitFailed, "line 1"},
		"platform away":      {[]string{good, "--sender", "s", "--patience", "0s"}, exitFailed, "run the same command again"},
	} {
		t.Run(name, func(t *testing.T) {
			exit, _, errs := waypost(append([]string{"send"}, c.args...)...)
			if exit != c.exit || !strings.Contains(errs, c.says) {
				t.Errorf("exit %d, %q; want %d, saying %q", exit, errs, c.exit, c.says)
			}
		})
	}
	t.Setenv("WAYPOST_API_KEY", "")
	if exit, _, errs := waypost("send", "--sender", "s", "--to", "+1", "--text", "x"); exit != exitFailed || !strings.Contains(errs, "WAYPOST_API_KEY") {
		t.Errorf("no key: exit %d, %q", exit, errs)
	}
}

// A line's key is that of its text and of how often it stood before, whatever
// lines come after or before it.
func TestKeysOfLinesStayTheSame(t *testing.T) {
	keys := func(campaign string, lines ...string) []string {
		t.Helper()
		l, err := newLineReader(strings.NewReader("to;text\n"+strings.Join(lines, "\n")), formatCSV, campaign, nil)
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for range lines {
			line, err := l.next()
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, line.input["idempotencyKey"].(string))
		}
		return keys
	}
	first := keys("c", "+1;a", "+2;a", "+1;a")
	if slices.Contains(first[:2], first[2]) || first[0] == first[1] {
		t.Errorf("keys repeat: %v", first)
	}
	if again := keys("c", "+3;a", "+2;a", "+1;a", "+1;a", "+1;b"); again[1] != first[1] || again[2] != first[0] || again[3] != first[2] {
		t.Errorf("keys change: %v, then %v", first, again)
	}
	if other := keys("d", "+1;a"); other[0] == first[0] {
		t.Error("campaigns share a key")
	}
}
