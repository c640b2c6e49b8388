package simulator

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// fate contains all random decisions about one call and its statuses. Every draw is made whether it is needed or not,
// so that changing one setting does not affect the decisions of others.
type fate struct {
	latency time.Duration
	code    int // the error of the response; only when fails
	fails   bool

	hangs, empty5xx bool // the response is lost before acceptance,
	lostAccepted    bool // unless this means that it was accepted anyway
	garbled, cut    bool // accepted, then the response is lost

	failCode    int // of the failed status
	failsLater  bool
	reads       bool
	reorders    bool
	drops       [statusKinds]bool
	repeats     [statusKinds]bool
	repeatAfter [statusKinds]time.Duration
	shuffled    [statusKinds]time.Duration // when reorders: replaces the statuses' own delays
	replies     bool                       // the recipient writes back
}

// repeatSpan is the maximum delay of the second copy of an update after the first.
const repeatSpan = 2 * time.Second

// fateKey identifies a call: its callback data without the call number, or, if there is none, its number in the run,
// and the number of earlier calls of the message.
func fateKey(message string, before uint64) uint64 {
	h := fnv.New64a()
	h.Write([]byte(message))
	return h.Sum64() + before*0x9e3779b97f4a7c15
}

func (s *settings) fate(key uint64) fate {
	chance := rand.New(rand.NewPCG(s.Seed, key))
	hits := func(share float64) bool { return chance.Float64() < share }
	pick := func(codes []int) int {
		i := chance.Float64()
		if len(codes) == 0 {
			return 0
		}
		return codes[int(i*float64(len(codes)))]
	}
	span := func(longest time.Duration) time.Duration {
		return time.Duration(chance.Float64() * float64(longest))
	}

	var f fate
	f.latency = max(0, time.Duration(s.Latency-s.LatencyJitter)+span(2*time.Duration(s.LatencyJitter)))
	f.fails, f.code = hits(s.ErrorRate), pick(s.ErrorCodes)
	f.hangs = hits(s.TimeoutRate)
	f.empty5xx = hits(s.Empty5xxRate)
	f.lostAccepted = hits(s.LostAcceptRate)
	f.garbled = hits(s.Garbled200Rate)
	f.cut = hits(s.DropResponseRate)
	f.failsLater, f.failCode = hits(s.FailAfterAcceptRate), pick(s.FailAfterAcceptCodes)
	f.reads = hits(s.ReadRate)
	f.reorders = hits(float64(s.WebhookReorder))
	for kind := range f.drops {
		f.drops[kind] = hits(s.WebhookDropRate)
		f.repeats[kind] = hits(s.WebhookDuplicateRate)
		f.repeatAfter[kind] = span(repeatSpan)
		f.shuffled[kind] = span(time.Duration(statusKinds) * time.Duration(s.WebhookDelay))
	}
	f.replies = hits(s.ReplyRate)
	return f
}
