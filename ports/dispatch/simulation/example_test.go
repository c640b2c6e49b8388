package simulation_test

import (
	"flag"
	"fmt"
	"log"
	"regexp"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/waypost/waypost/ports/dispatch/simulation"
)

// A seed decides who queues what, which processes crash, and which responses and
// webhooks are lost. Dispatch keeps its promises. With a store that forgets what
// it acknowledged, one of the first seeds shows that the checks notice it.
func ExampleRun() {
	run := func(t *testing.T, seed uint64, d simulation.Defect) (r simulation.Report) {
		synctest.Test(t, func(t *testing.T) { r = simulation.Run(t.Context(), seed, d) })
		return r
	}
	asTest("ExampleRun", func(t *testing.T) {
		r := run(t, 1, simulation.NoDefect)
		fmt.Println("messages were sent:", r.Stats.Accepted > 0)
		fmt.Println("violations:", r.Violations)

		for seed := uint64(1); ; seed++ {
			if r := run(t, seed, simulation.DefectForgetfulStore); len(r.Violations) > 0 {
				fmt.Println("the defect was noticed")
				return
			}
		}
	})
	// Output:
	// messages were sent: true
	// violations: []
	// the defect was noticed
}

// asTest runs f once with a *testing.T, which a synctest bubble requires and an
// example does not have. The flags -v and -count of the surrounding test binary
// would add to the example's output.
func asTest(name string, f func(t *testing.T)) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	verbose := flag.Lookup("test.v").Value.String()
	if err := flag.Set("test.v", "false"); err != nil {
		log.Panic(err)
	}
	defer func() { _ = flag.Set("test.v", verbose) }()
	var once sync.Once
	testing.RunTests(regexp.MatchString, []testing.InternalTest{{Name: name, F: func(t *testing.T) {
		once.Do(func() { f(t) })
	}}})
}
