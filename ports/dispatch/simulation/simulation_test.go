package simulation_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/waypost/waypost/ports/dispatch/simulation"
)

var (
	seed   = flag.Uint64("seed", 0, "run only this seed, and print its history")
	digest = flag.String("digest", "", "repeat the seed until its history has this digest")
	first  = flag.Uint64("first", 0, "first seed to run; 0 chooses one, so that each test run covers other seeds")
	runs   = flag.Uint64("runs", 1_000, "number of seeds to run")
)

const (
	// shortRuns is the number of seeds under the race detector, where each takes ten times
	// as long.
	shortRuns = 60
	// enough is the number of seeds in which everything must have happened.
	enough = 200
	// One seed in twice is run a second time, and one in mayDiffer of those can have another
	// history: Go chooses at random between two channels that are ready.
	twice     = 10
	mayDiffer = 50
	// replays is how often a seed is run until its history has the wanted digest.
	replays = 2000
	// tries is the number of seeds that must be enough to detect a defect.
	tries = 300
)

// play runs a seed in a bubble.
func play(t *testing.T, seed uint64, d simulation.Defect) (r simulation.Report) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { r = simulation.Run(t.Context(), seed, d) })
	return r
}

func report(t *testing.T, r simulation.Report) {
	t.Helper()
	t.Errorf("seed %d: %s\nreplay with: go test ./ports/dispatch/simulation -v -run TestSeeds -seed %d -digest %x",
		r.Seed, strings.Join(r.Violations, "\n"), r.Seed, r.Digest)
}

// replay runs one seed. If a digest is given, it repeats that until the history has it.
func replay(t *testing.T) {
	t.Helper()
	for n := range replays {
		r := play(t, *seed, simulation.NoDefect)
		if *digest != "" && fmt.Sprintf("%x", r.Digest) != *digest {
			continue
		}
		t.Logf("%s\n%+v, digest %x, play %d", r.History(), r.Stats, r.Digest, n+1)
		if len(r.Violations) > 0 {
			report(t, r)
		}
		return
	}
	t.Errorf("seed %d did not reach digest %s in %d runs: the code has changed since", *seed, *digest, replays)
}

// Whatever fails, Waypost's guarantees hold, and a seed has the same history each time. The
// test runs on one processor: the order of events within one instant depends on it. It also
// depends on the scheduler, which runs goroutines in random order under the race detector, so
// a short run plays each seed once.
func TestSeeds(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if *seed != 0 {
		replay(t)
		return
	}
	n := *runs
	if testing.Short() {
		n = min(n, shortRuns)
	}
	begin := *first
	if begin == 0 {
		begin = 1 + rand.Uint64N(1<<40)
	}
	var total simulation.Stats
	again, differ := 0, 0
	for s := begin; s < begin+n; s++ {
		r := play(t, s, simulation.NoDefect)
		if len(r.Violations) > 0 {
			report(t, r)
		}
		if s%twice == 0 && !testing.Short() {
			again++
			if play(t, s, simulation.NoDefect).Digest != r.Digest {
				differ++
				t.Logf("seed %d can have two histories", s)
			}
		}
		total = total.Add(r.Stats)
	}
	if differ > again/mayDiffer {
		t.Errorf("%[2]d of %[1]d seeds that were run twice differ", again, differ)
	}
	t.Logf("%d seeds from %d, %s of virtual time: %+v", n, begin, total.Took, total)
	if n < enough {
		return
	}
	for what, count := range map[string]int{
		"calls": total.Calls, "lost responses": total.Lost, "refusals": total.Refused, "calls not made": total.NotCalled,
		"crashes": total.Crashes, "dead letters": total.DeadLetters, "messages taken twice": total.TakenTwice,
		"messages known to be sent twice": total.SentTwice, "webhooks": total.Acknowledged,
		"suppressed messages": total.Suppressed, "fallbacks": total.Substituted, "messages of paused campaigns": total.Paused,
	} {
		if count == 0 {
			t.Errorf("no %s in %d runs, so they prove little", what, n)
		}
	}
}

// The checks detect the defects that they are for.
func TestDefectsAreSeen(t *testing.T) {
	t.Parallel()
	if *seed != 0 {
		t.Skip("only one seed is run")
	}
	sees := map[simulation.Defect]string{
		simulation.DefectSharedLanes:        "its rate is",
		simulation.DefectNoRevisions:        "begins while it is SENDING",
		simulation.DefectForgetfulStore:     "no SendAttempted is recorded",
		simulation.DefectIgnoredEchoes:      "was acknowledged",
		simulation.DefectRepeatingTransport: "is written twice",
		simulation.DefectEarlyStamps:        "its rate is",
		simulation.DefectLostItem:           "not in the work list",
		simulation.DefectDeafToPauses:       "after its sender was paused",
		simulation.DefectDeafToOptOuts:      "after its recipient opted out",
		simulation.DefectDeafToCampaigns:    "after its campaign was paused",
		simulation.DefectFastClock:          "its delay is",
	}
	for _, d := range simulation.Defects() {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			want := sees[d]
			if want == "" {
				t.Fatal("no violation is defined for this defect")
			}
			for s := uint64(1); s <= tries; s++ {
				for _, v := range play(t, s, d).Violations {
					if strings.Contains(v, want) {
						t.Logf("seed %d: %s", s, strings.TrimSpace(v))
						return
					}
				}
			}
			t.Errorf("no violation with %[2]q in %[1]d seeds", tries, want)
		})
	}
}
