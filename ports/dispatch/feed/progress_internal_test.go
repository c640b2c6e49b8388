package feed

import (
	"testing"
	"testing/synctest"
	"time"
)

// A drain that begins while messages are being emitted waits for all of them, and no loop
// emits more after it.
func TestADrainWaitsForWhatIsInProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p progress
		p.wait(t.Context())
		if !p.enter() {
			t.Fatal("a loop can't emit before the drain")
		}
		p.drain()
		if p.enter() {
			t.Error("another loop can emit during the drain")
		}
		p.add() // the loop emits its message after the drain began
		p.leave()
		go func() {
			time.Sleep(time.Minute)
			p.leave() // the handler returns
		}()
		begun := time.Now()
		p.wait(t.Context())
		if waited := time.Since(begun); waited != time.Minute {
			t.Errorf("the drain waited %s for a message, want 1m0s", waited)
		}
	})
}
