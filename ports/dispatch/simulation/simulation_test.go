package simulation_test

import (
	"flag"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/waypost/waypost/ports/dispatch/simulation"
)

var (
	seed   = flag.Uint64("seed", 0, "play this seed alone, and print its history")
	digest = flag.String("digest", "", "play the seed until it comes to this digest: the very same history")
	first  = flag.Uint64("first", 1, "the first of the seeds that are played")
	runs   = flag.Uint64("runs", 10_000, "how many seeds are played")
)

const (
	// shortRuns are played where each takes ten times as long, under the detector.
	shortRuns = 200
	// twice is of how many seeds one is played a second time. Of those, one in
	// mayDiffer may go another way, and of a few always mayDifferOfFew: of the 20 of a
	// short run not even one could.
	twice          = 10
	mayDiffer      = 50
	mayDifferOfFew = 2
	// replays is how often a seed is played until it comes to a digest.
	replays = 2000
	// tries is how many seeds a defect may take to show.
	tries = 300
)

// play plays a seed in a bubble.
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

// replay plays one seed, until it comes to the digest if one is given.
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
	t.Errorf("seed %d did not come to %s in %d plays: the code is not that of then", *seed, *digest, replays)
}

// Whatever breaks, what the platform promises holds, and a seed plays as it did
// before. It runs on one processor, the one thing that the order of what happens at
// one instant hangs on which can be chosen.
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
	var total simulation.Stats
	again, differ := 0, 0
	for s := *first; s < *first+n; s++ {
		r := play(t, s, simulation.NoDefect)
		if len(r.Violations) > 0 {
			report(t, r)
		}
		if s%twice == 0 {
			again++
			if play(t, s, simulation.NoDefect).Digest != r.Digest {
				differ++
				t.Logf("seed %d can go two ways", s)
			}
		}
		total = total.Add(r.Stats)
	}
	if differ > max(mayDifferOfFew, again/mayDiffer) {
		t.Errorf("of %d seeds played twice %d differ", again, differ)
	}
	t.Logf("%d runs, %s of virtual time: %+v", n, total.Took, total)
	if n < shortRuns {
		return
	}
	for what, count := range map[string]int{
		"calls": total.Calls, "lost answers": total.Lost, "refusals": total.Refused, "calls not made": total.NotCalled,
		"crashes": total.Crashes, "dead letters": total.DeadLetters, "messages taken twice": total.TakenTwice,
		"messages known to be sent twice": total.SentTwice, "webhooks": total.Acknowledged,
	} {
		if count == 0 {
			t.Errorf("no %s in %d runs: they prove little", what, n)
		}
	}
}

// The checks see what they are there for.
func TestDefectsAreSeen(t *testing.T) {
	t.Parallel()
	if *seed != 0 {
		t.Skip("a seed is played alone")
	}
	sees := map[simulation.Defect]string{
		simulation.DefectSharedLanes:        "its rate is",
		simulation.DefectNoRevisions:        "begins while it is SENDING",
		simulation.DefectForgetfulStore:     "no SendAttempted stands",
		simulation.DefectIgnoredEchoes:      "was acknowledged",
		simulation.DefectRepeatingTransport: "is written twice",
		simulation.DefectEarlyStamps:        "its rate is",
		simulation.DefectLostItem:           "not in the work-list",
		simulation.DefectDeafToPauses:       "after its sender was paused",
		simulation.DefectFastClock:          "its delay is",
	}
	for _, d := range simulation.Defects() {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			want := sees[d]
			if want == "" {
				t.Fatal("what is to be seen of it is not said")
			}
			for s := uint64(1); s <= tries; s++ {
				for _, v := range play(t, s, d).Violations {
					if strings.Contains(v, want) {
						t.Logf("seed %d: %s", s, strings.TrimSpace(v))
						return
					}
				}
			}
			t.Errorf("%d seeds show no %q", tries, want)
		})
	}
}
