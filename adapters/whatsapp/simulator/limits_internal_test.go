package simulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// seconds returns, for each stamp, the number of stamps in the second that ends with it.
func seconds(stamps []time.Duration) []int {
	sorted := slices.Sorted(slices.Values(stamps))
	counts := make([]int, len(sorted))
	for last, end := range sorted {
		for _, stamp := range sorted[:last+1] {
			if stamp > end-time.Second {
				counts[last]++
			}
		}
	}
	return counts
}

// lateCalls draws when calls are noticed, and how long before that each one arrived.
func lateCalls(t *rapid.T) (noticed, ago []time.Duration) {
	now := time.Minute
	for range rapid.IntRange(1, 200).Draw(t, "calls") {
		now += time.Duration(rapid.IntRange(0, 60).Draw(t, "step in ms")) * time.Millisecond
		late := rapid.SampledFrom([]int{0, 0, 0, 3, 40, 999}).Draw(t, "late in ms")
		noticed, ago = append(noticed, now), append(ago, time.Duration(late)*time.Millisecond)
	}
	return noticed, ago
}

// The statistics of a number equal those computed from all arrivals, in whatever order they are noticed.
func TestNumberCountsSlidingSeconds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := DefaultControl()
		c.Rate = rapid.IntRange(1, 40).Draw(t, "rate")
		s := newSettings(c)
		s.limit = 0
		n := &number{}
		var all []time.Duration
		noticed, ago := lateCalls(t)
		for i, now := range noticed {
			at, _ := n.arrive(func() time.Duration { return now }, ago[i], s)
			if at != now-ago[i] {
				t.Fatalf("a call that arrived %s before %s is stamped %s", ago[i], now, at)
			}
			all = append(all, at)
		}
		counts := seconds(all)
		over := int64(0)
		for _, inSecond := range counts {
			if inSecond > c.Rate {
				over++
			}
		}
		if got := n.figures; got.LargestSecond != slices.Max(counts) || got.CallsOverRate != over {
			t.Fatalf("%d in the largest second and %d calls over the rate, want %d and %d",
				got.LargestSecond, got.CallsOverRate, slices.Max(counts), over)
		}
	})
}

// However calls are distributed and noticed, no second lets through more than the limit, and no call that would have
// fit is stopped.
func TestNumberThrottlesTheSlidingSecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := DefaultControl()
		c.Rate = rapid.IntRange(1, 40).Draw(t, "rate")
		s := newSettings(c)
		limit := c.Rate * 105 / 100
		n := &number{}
		var passed []time.Duration
		noticed, ago := lateCalls(t)
		for i, now := range noticed {
			at, throttled := n.arrive(func() time.Duration { return now }, ago[i], s)
			with := append(slices.Clone(passed), at)
			if fits := slices.Max(seconds(with)) <= limit; fits == throttled {
				t.Fatalf("a limit of %d: fits %t, throttled %t", limit, fits, throttled)
			}
			if !throttled {
				passed = with
			}
		}
	})
}

func TestPairLimitIsABucket(t *testing.T) {
	var p pairs
	pass := func(at time.Duration, n int) (passed int) {
		for range n {
			if p.admit("1", at) {
				passed++
			}
		}
		return passed
	}
	if got := pass(0, 100); got != pairBurst {
		t.Errorf("%d passed at once", got)
	}
	if got := pass(6*time.Second-1, 1); got != 0 {
		t.Error("one passed before 6 s were over")
	}
	if got := pass(60*time.Second, 100); got != 10 {
		t.Errorf("%d passed after a minute", got)
	}
	if got := pass(time.Hour, 100); got != pairBurst {
		t.Errorf("%d passed at once after an hour", got)
	}
	for i := range 100_000 {
		p.admit(fmt.Sprint(i), time.Hour+time.Duration(i)*time.Millisecond)
	}
	if len(p.fullAt) > 20_000 {
		t.Errorf("%d recipients remembered for 6 s at 1,000 per second", len(p.fullAt))
	}
}

func TestLedgerForgetsTheOldest(t *testing.T) {
	l := newLedger()
	first := l.key("wp1:first:1")
	l.call(first, 1)
	l.accept(first, false)
	for key := range uint64(ledgerGeneration) {
		l.put(key+1, entry{})
	}
	if before, _ := l.call(first, 2); before != 1 {
		t.Error("forgotten after one generation")
	}
	for range 2 {
		l.young, l.old = map[uint64]entry{}, l.young
	}
	if before, _ := l.call(first, 3); before != 0 {
		t.Error("remembered forever")
	}
	if l.key("") != 0 || l.key("wp1:first:1") != l.key("wp1:first:2") || l.key("wp1:first:1") == l.key("wp1:second:1") {
		t.Error("keys do not distinguish messages")
	}
}

func TestCallLogKeepsTheLatest(t *testing.T) {
	var l callLog
	for range callLogSize + 10 {
		l.add(Call{})
	}
	page := l.after(0, make([]Call, 0, 5))
	if len(page) != 5 || page[0].Seq != 11 || page[4].Seq != 15 {
		t.Errorf("the oldest are %+v", page)
	}
	if page = l.after(callLogSize+8, make([]Call, 0, 5)); len(page) != 2 || page[1].Seq != callLogSize+10 {
		t.Errorf("the latest are %+v", page)
	}
}

// The defaults in the flags' tags are the real ones.
func TestDefaultTags(t *testing.T) {
	defaults := reflect.ValueOf(DefaultControl())
	for i := range defaults.NumField() {
		field := defaults.Type().Field(i)
		if field.Name == "WebhookURL" {
			continue
		}
		want := fmt.Sprint(defaults.Field(i))
		if d, ok := defaults.Field(i).Interface().(Duration); ok {
			want = time.Duration(d).String()
		}
		want = strings.Trim(strings.TrimPrefix(want, "map"), "[]")
		if got := field.Tag.Get("default"); got != want {
			t.Errorf("%s: the tag says %q, it is %q", field.Name, got, want)
		}
		if field.Tag.Get("help") == "" || field.Tag.Get("json") == "" {
			t.Errorf("%s has no name or no help", field.Name)
		}
	}
}

func TestStringsAreJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.String().Draw(t, "string")
		var got string
		if err := json.Unmarshal(appendString(nil, want), &got); err != nil {
			t.Fatal(err)
		}
		if valid := strings.ToValidUTF8(want, "\ufffd"); got != valid && got != want {
			t.Fatalf("%q became %q", want, got)
		}
	})
}

func TestWamidHasMetasForm(t *testing.T) {
	for want, got := range map[string]string{
		"wamid.HBgLMTIwMjU1NTAxNDMVAgARGBI3RDMxQTkwQzU1RTJGMDRCMUEA":     newWamid(recipient{waID: "12025550143"}, false, 0x7D31A90C, 0x55E2F04B1A),
		"wamid.HBgLMTIwMjU1NTAxNDMVAgASGBQzRUIwRjAwRENBRkUwQTFCMkMzRAA=": newWamid(recipient{waID: "12025550143"}, true, 0xB0F00DCA, 0xFE0A1B2C3D),
	} {
		a, errA := base64.StdEncoding.DecodeString(strings.TrimPrefix(want, "wamid."))
		b, errB := base64.StdEncoding.DecodeString(strings.TrimPrefix(got, "wamid."))
		if errA != nil || errB != nil || len(a) != len(b) {
			t.Errorf("%s has another shape than %s: %q, %q", got, want, b, a)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"messaging_product":"whatsapp","to":"+12025550143","type":"text","text":{"body":"x"}}`))
	f.Add([]byte(`{"messaging_product":"whatsapp","to":"+12025550143","type":"interactive","interactive":{"type":"list","body":{"text":"x"},"action":{"sections":[{}]}}}`))
	f.Add([]byte(`{"template":{"components":[{"parameters":[{"type":"location","location":{"latitude":{}}}]}]}}`))
	from := &number{display: "15550100000"}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseRequest(body)
		if err != nil {
			if !json.Valid(err.body("trace")) {
				t.Error("the error is not JSON")
			}
			return
		}
		to, refused := r.validate(from)
		if refused == nil && to.key() == "" {
			t.Error("accepted without a recipient")
		}
		if refused == nil && !json.Valid(appendSuccess(nil, r, to, "wamid.x")) {
			t.Error("the response is not JSON")
		}
	})
}
