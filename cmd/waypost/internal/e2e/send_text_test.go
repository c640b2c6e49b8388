package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
)

// sendStdin sends text from standard input. It returns an error if the command does not exit with ExitDone.
func sendStdin(flags []string, text string) (stdout string, err error) {
	args := append([]string{"send", "-", "--sender", "shop", "--campaign", "spring", "--patience", e2etest.Timeout.String()}, flags...)
	code, stdout, stderr := e2etest.RunWithInput(strings.NewReader(text), args...)
	if code != e2etest.ExitDone {
		err = fmt.Errorf("exit code %d: %s", code, stderr)
	}
	return stdout, err
}

// A file with everything that spreadsheets do to files: what can be sent is sent,
// the other lines are written down in their order, and can be fixed and sent.
func TestSendOfAFileFromASpreadsheet(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := sendRig(ctx, t)
	lines := []string{
		"sep=;", "To ;TEXT;Send At;label.Campaign;;", // lines 1 and 2
		"+4915123456700;Grüße;;spring;;",                                   // 3
		"491512345678.0;decimal;;spring;;",                                 // 4
		"=\"+4915123456702\";\"two\r\nlines; and a separator\"; ;spring;;", // 5 and 6
		";;;;;",                              // 7, blank
		"+4915123456703;short",               // 8
		"",                                   // 9, empty
		"+4915123456704;long;;spring;;;more", // 10
		"+49151\u200b23456705;invisible;;spring;;",                                 // 11
		"+4915123456706;no name;;spring;value;",                                    // 12
		" +49 151 23456707 ;spaces; 2099-01-01T12:00:00Z;spring",                   // 13: a year is too far
		"+4915123456708;\u2026;;spring;;",                                          // 14
		"4,91512E+11;scientific;;spring;;", "  ; ;;;;", "+4915123456709;ok;;;;;;;", // 15, 16 blank, 17
	}
	for n := range 600 { // so that batches end in any order
		to := "+4915123457" + strings.Repeat("0", 3-len(strconv.Itoa(n))) + strconv.Itoa(n)
		if n%7 == 0 {
			to = "invalid"
		}
		lines = append(lines, to+";"+strconv.Itoa(n)+";;spring;;")
	}
	text, _, err := transform.String(charmap.Windows1252.NewEncoder(), strings.ReplaceAll(strings.Join(lines, "\r\n"), "\u200b", ""))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "list.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if exit, _, errs := e2etest.Run("send", path, "--sender", "shop"); exit != e2etest.ExitFailed || !strings.Contains(errs, "line 3: the byte 0xFC") {
		t.Fatalf("without its encoding: exit %d, %q", exit, errs)
	}
	// In UTF-16, as Excel's "Unicode text", which has room for an invisible character.
	utf16, _, err := transform.String(unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder(), strings.Join(lines, "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(utf16), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"send", path, "--sender", "shop", "--encoding", "windows-1252", "--label", "by=send"}
	const total, bad = 611, 7 + 86
	dryRun := append(slices.Clone(args), "--dry-run")
	exit, out, errs := e2etest.Run(dryRun...)
	if exit != e2etest.ExitFailed || !strings.Contains(out, "611 of 611 lines: 518 would be queued, 0 queued before, 93 would be refused\n") ||
		!strings.Contains(out, "518 × text from shop\n") || !strings.Contains(errs, "blank lines are skipped: 2, at line 7, 16\n") ||
		!strings.Contains(errs, "line 11: INVALID_INPUT: to: ") || !strings.Contains(errs, "U+200B") {
		t.Fatalf("dry run: exit %d, %q, %q", exit, out, errs)
	}
	if files, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.rejected*")); len(files) > 0 {
		t.Errorf("a dry run wrote %v", files)
	}
	if n := acceptedBy(ctx, t, r); n != 0 {
		t.Fatalf("a dry run queued %d messages", n)
	}
	exit, out, errs = e2etest.Run(args...)
	if exit != e2etest.ExitFailed || out != "611 of 611 lines: 518 queued, 0 queued before, 93 refused\n" {
		t.Fatalf("exit %d, %q, %q", exit, out, errs)
	}
	rejected := strings.Replace(path, ".csv", ".rejected.csv", 1)
	written, err := os.ReadFile(rejected)
	if err != nil || !bytes.HasPrefix(written, []byte("\ufeff")) {
		t.Fatalf("refused lines: %q, %v", written, err)
	}
	rows := readCSV(t, rejected, ';')
	if len(rows) != 1+bad || !slices.Equal(rows[0], []string{"to", "text", "send_at", "label.campaign", "", "", "key", "rejected_line", "rejected_reason"}) {
		t.Fatalf("refused lines: %q", rows)
	}
	last := 0
	for i, row := range rows[1:] {
		want := map[int][2]string{
			0: {"4", "two numbers"}, 1: {"8", "2 cells"}, 2: {"10", "7 cells"}, 3: {"11", "U+200B at position 7"},
			4: {"12", "column 5"}, 5: {"13", "sendAt"}, 6: {"15", "scientific"}, 7: {"18", "to: "},
		}[i]
		if want[0] != "" && row[7] != want[0] || !strings.Contains(row[8], want[1]) || !strings.HasPrefix(row[6], "sent-") {
			t.Errorf("refused line %d: %q, want %v", i, row, want)
		}
		line, err := strconv.Atoi(row[7])
		if err != nil {
			t.Fatal(err)
		}
		if line <= last {
			t.Errorf("line %d comes after line %d", line, last)
		}
		last = line
	}
	if row := rows[3]; row[9] != "more" || row[1] != "long" {
		t.Errorf("a line that is too long: %q", row)
	}
	// Fixed by hand and saved by a spreadsheet, sent as the first file was.
	for i, row := range rows[1:] {
		row = row[:9]
		row[0], row[2], row[4] = "+49151234580"+strings.Repeat("0", 2-len(strconv.Itoa(i)))+strconv.Itoa(i), "", ""
		rows[i+1] = row
	}
	var fixed bytes.Buffer
	fixed.WriteString("\ufeff")
	w := csv.NewWriter(&fixed)
	w.Comma = ';'
	if err := w.WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(rejected, fixed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	args[1] = rejected
	for _, want := range []string{"93 queued, 0 queued before, 0 refused", "0 queued, 93 queued before, 0 refused"} {
		if exit, out, errs = e2etest.Run(args...); exit != e2etest.ExitDone || !strings.Contains(out, want) {
			t.Fatalf("fixed: exit %d, %q, %q; want %s", exit, out, errs, want)
		}
	}
	awaitAccepted(ctx, t, r, total)
}

func TestSendOfStandardInput(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := sendRig(ctx, t)
	t.Chdir(t.TempDir())
	if _, err := sendStdin([]string{"--format", "csv"}, "to,text\n+4915123456789,Gr\xfc\xdfe\n"); err == nil ||
		!strings.Contains(err.Error(), "standard input: line 2: the byte 0xFC") {
		t.Errorf("Windows-1252: %v", err)
	}
	for _, want := range []string{"1 queued, 0 queued before", "0 queued, 1 queued before"} {
		out, err := sendStdin([]string{"--format", "csv", "--encoding", "latin1"}, "to,text\n+4915123456789,Gr\xfc\xdfe\nnobody,x\n")
		if err == nil || !strings.Contains(out, want+", 1 refused") {
			t.Errorf("%q, %v", out, err)
		}
	}
	if rows := readCSV(t, "stdin.rejected.csv", ','); len(rows) != 2 {
		t.Errorf("refused lines: %q", rows)
	}
	// JSON, with numbers where strings belong, and with remains of lost characters.
	out, err := sendStdin([]string{"--format", "jsonl"}, strings.Join([]string{
		`{"to":4915123456788,"content":{"text":{"body":"a whole number"}}}`,
		`{"to":491512345678.0,"content":{"text":{"body":"a decimal"}}}`,
		`{"to":4.91512e11,"content":{"text":{"body":"scientific"}}}`,
		`{"to":"+4915123456787","content":{"text":{"body":"Gr` + "\ufffd\ufffd" + `e"}}}`,
		`{"to":"+4915123456786","content":{"text":{"body":"half a character: \ud83d"}}}`,
	}, "\n"))
	if err == nil || !strings.HasPrefix(out, "5 of 5 lines: 1 queued, 0 queued before, 4 refused") {
		t.Fatalf("%q, %v", out, err)
	}
	text, err := os.ReadFile("stdin.rejected.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	written := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(written) != 4 {
		t.Fatalf("refused lines: %s", text)
	}
	for i, want := range []string{"two numbers", "scientific notation", "content: text: body: has U+FFFD at position 3", "U+FFFD at position 19"} {
		if !strings.Contains(written[i], want) {
			t.Errorf("refused line: %s, want %s", written[i], want)
		}
	}
	awaitAccepted(ctx, t, r, 2)
}

// A file that an older version sent in part is completed: messages under the
// plain hashes, which that version used, are repeats. So are files of lines that
// it refused, which contain such keys.
func TestSendCompletesWhatAnOlderVersionSent(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := sendRig(ctx, t)
	path := writeFile(t, "half.csv", "to,text", "+4915123456700,a", "+4915123456701,b", "+4915123456700,a", "+4915123456702,c")
	var refusedBefore string
	for i, cells := range []map[string]string{ // the older version sends the first three, and refuses the last one
		{"to": "+4915123456700", "text": "a"}, {"to": "+4915123456701", "text": "b"}, {"to": "+4915123456700", "text": "a"}, {"to": "+4915123456702", "text": "c"},
	} {
		times := 1
		if i == 2 {
			times = 2
		}
		if refusedBefore = olderKey(t, "half.csv", times, cells); i == 3 {
			break
		}
		input := map[string]any{
			"senderId": "shop", "to": cells["to"], "content": map[string]any{"text": map[string]any{"body": cells["text"]}}, "idempotencyKey": refusedBefore,
		}
		if err := r.Client.Do(ctx, `mutation($in: QueueMessageInput!) { queueMessage(input: $in) { replayed } }`, map[string]any{"in": input}, &struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"4 of 4 lines: 1 queued, 3 queued before, 0 refused\n", "4 of 4 lines: 0 queued, 4 queued before, 0 refused\n"} {
		if exit, out, errs := e2etest.Run("send", path, "--sender", "shop"); exit != e2etest.ExitDone || out != want {
			t.Fatalf("exit %d, %q, %q, want %q", exit, out, errs, want)
		}
	}
	rejected := writeFile(t, "half.rejected.csv", "to,text,key,rejected_line,rejected_reason", "+4915123456702,c,"+refusedBefore+",5,x")
	if exit, out, errs := e2etest.Run("send", rejected, "--sender", "shop"); exit != e2etest.ExitDone || !strings.Contains(out, "0 queued, 1 queued before") {
		t.Fatalf("a refused line: exit %d, %q, %q", exit, out, errs)
	}
	awaitAccepted(ctx, t, r, 4)
	// No message that is queued now has a key that can be derived from a number and a text.
	var data struct {
		Messages struct {
			Edges []struct {
				Node struct{ IdempotencyKey string }
			}
		}
	}
	if err := r.Client.Do(ctx, `{ messages { edges { node { idempotencyKey } } } }`, nil, &data); err != nil {
		t.Fatal(err)
	}
	for _, e := range data.Messages.Edges {
		if e.Node.IdempotencyKey == refusedBefore {
			t.Errorf("a message has the plain key %s", refusedBefore)
		}
	}
}

// olderKey returns the key that older versions gave to a line without one: a plain hash of the campaign, of how often the same
// values came up to this line, and of the values.
func olderKey(t *testing.T, campaign string, times int, cells map[string]string) string {
	t.Helper()
	values, err := json.Marshal(cells)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%s", campaign, times, values))
	return "send-" + base64.RawURLEncoding.EncodeToString(sum[:24])
}
