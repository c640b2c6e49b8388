package eventstored_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
)

// testdata/eventstoredb-23.10.8 contains 36,000 operations with random arguments and the responses of a real EventStoreDB
// 23.10.8 to them, recorded on 2026-11-30:
//
//   - plain: append and batch append with each kind of expected revision, repeated appends, metadata ($maxCount, $tb,
//     $maxAge, $acl), soft delete, tombstone, reads in both directions, links, filtered reads of $all, subscriptions
//   - ids: the same, and event IDs known from other appends or other streams, partly repeated appends
//   - live: the same as plain, and live subscriptions while limits and deletes change what a read would return
//
// Each line is a JSON value. An epoch begins with its own streams, whose names begin with its name. Operations (see
// operation) and their responses in the normal form (see normal) follow.
const recordings = "testdata/eventstoredb-23.10.8/*.jsonl.gz"

// EVENTSTORED_RECORDINGS=all replays all epochs of each recording; by default, and in short runs, the first ones.
const (
	recordingsVariable = "EVENTSTORED_RECORDINGS"
	epochsReplayed     = 2
)

// The rules are the accepted differences. Each one removes a difference from both responses to operations of a kind, or
// of all kinds.
var rules = []struct {
	name, kind string
	apply      func(p *performer, o object)
}{
	// This server sorts the keys when it changes metadata, for example in a delete.
	{"order of the keys of metadata that the server wrote", "", func(_ *performer, o object) {
		meta, _ := o["meta"].(object)
		text, _ := o["data"].(string)
		var keys map[string]json.RawMessage
		if o["id"] == "made-by-server" && meta["type"] == "$metadata" && json.Unmarshal([]byte(text), &keys) == nil {
			o["data"] = keys
		}
	}},
	// A live subscriber can receive a link to a later event when that event has been written. EventStoreDB usually
	// resolves the link before, so that it leads to nothing. This server resolves it when it sends the link.
	{"live links to later events", "sub", func(p *performer, o object) {
		event, isEvent := field(o["event"], "at").(string)
		link, isLink := field(o["link"], "at").(string)
		if isEvent && isLink && p.position[event] > p.position[link] {
			o["event"] = nil
		}
	}},
}

// The embedded store responds as the real EventStoreDB did.
func TestAnswersOfEventStoreDB(t *testing.T) {
	files, err := filepath.Glob(recordings)
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings in %s: %v", recordings, err)
	}
	epochs := epochsReplayed
	switch {
	case os.Getenv(recordingsVariable) == "all":
		epochs = 1 << 20
	case testing.Short():
		epochs = 1
	}
	server := startServer(t)
	conn := dial(t, server.Addr())
	t.Run("replay", func(t *testing.T) { // ends when all files have been replayed
		for _, file := range files {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".jsonl.gz"), func(t *testing.T) {
				t.Parallel()
				replay(t, conn, file, epochs)
			})
		}
	})
}

// recordedLine is a line of a recording.
type recordedLine struct {
	Epoch  string          `json:"epoch"`
	Op     json.RawMessage `json:"op"`
	Answer json.RawMessage `json:"answer"`
}

// maxLine is longer than every line of the recordings.
const maxLine = 1 << 20

func replay(t *testing.T, conn *grpc.ClientConn, file string, epochs int) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var p *performer
	tally, operations, different := map[string]int{}, 0, false
	lines := bufio.NewScanner(unzipped)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var line recordedLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Epoch != "" {
			if epochs--; epochs < 0 {
				break
			}
			operations, different = 0, false
			if p, err = begin(testContext(t), streams.NewStreamsClient(conn), line.Epoch); err != nil {
				t.Fatal(err)
			}
		}
		if len(line.Op) == 0 || different { // the following operations on the same streams can differ because of an earlier difference
			continue
		}
		operations++
		var op operation
		if err := json.Unmarshal(line.Op, &op); err != nil {
			t.Fatal(err)
		}
		verdict, err := p.compare(&op, line.Answer)
		if err != nil {
			t.Fatalf("%s, operation %d: %s\n%v", p.prefix, operations, line.Op, err)
		}
		if different = len(verdict.differences) > 0; different {
			t.Errorf("%s, operation %d: %s\n%s", p.prefix, operations, line.Op, strings.Join(verdict.differences, "\n"))
		}
		tally[verdict.text]++
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	t.Log(tally)
}

// verdict is the result of comparing a response with the recorded one.
type verdict struct {
	text        string // "equal", "different" or the rule that made them equal
	differences []string
}

// operationTimeout limits an operation. No operation should take a noticeable part of it.
const operationTimeout = 20 * time.Second

func (p *performer) compare(o *operation, recorded json.RawMessage) (verdict, error) {
	want, err := decodeJSON(recorded)
	if err != nil {
		return verdict{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
	defer cancel()
	answer, err := p.perform(ctx, o, want)
	if err != nil {
		return verdict{}, err
	}
	got, err := asJSON(answer)
	if err != nil {
		return verdict{}, err
	}
	if reflect.DeepEqual(got, want) {
		return verdict{text: "equal"}, nil
	}
	for _, rule := range rules {
		if rule.kind != "" && rule.kind != o.Kind {
			continue
		}
		eachObject(got, func(o object) { rule.apply(p, o) })
		eachObject(want, func(o object) { rule.apply(p, o) })
		if reflect.DeepEqual(got, want) {
			return verdict{text: rule.name}, nil
		}
	}
	return verdict{text: "different", differences: differences("", got, want)}, nil
}

// eachObject calls f for each object in a value, innermost first.
func eachObject(v any, f func(object)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			eachObject(e, f)
		}
	case object:
		for _, e := range v {
			eachObject(e, f)
		}
		f(v)
	}
}

// maxDifferences limits the differences reported for one response.
const maxDifferences = 6

// differences lists the differences between two values.
func differences(path string, got, want any) (found []string) {
	if reflect.DeepEqual(got, want) {
		return nil
	}
	parts := func(v any) object {
		switch v := v.(type) {
		case object:
			return v
		case []any:
			o := object{}
			for i, e := range v {
				o[fmt.Sprintf("%03d", i)] = e
			}
			return o
		default:
			return nil
		}
	}
	g, w := parts(got), parts(want)
	if g == nil || w == nil {
		return []string{fmt.Sprintf("%s: got %s, want %s", path, brief(got), brief(want))}
	}
	keys := slices.Sorted(func(yield func(string) bool) {
		for k := range g {
			if !yield(k) {
				return
			}
		}
		for k := range w {
			if _, both := g[k]; !both && !yield(k) {
				return
			}
		}
	})
	for _, k := range keys {
		found = append(found, differences(path+"."+k, g[k], w[k])...)
	}
	return found[:min(len(found), maxDifferences)]
}

func brief(v any) string {
	const most = 300
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b[:min(len(b), most)])
}
