package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored/store"
	"github.com/waypost/waypost/adapters/polltest"
)

// Power fails under load: a random part of the unsynced data is lost. Every acknowledged event and every event that a
// reader has seen is still there.
func TestPowerFailure(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewCrashableMem()
			opts := options("data")
			opts.MemTableBytes = 256 << 10 // so that flushes and log changes happen during the test
			s := open(t, opts.OnFS(fs))
			ctx, cancel := context.WithCancel(testContext(t))
			type ack struct {
				id       uuid.UUID
				position uint64
			}
			var acks []ack
			var seen []uint64
			var mu sync.Mutex
			var wg sync.WaitGroup
			for w := range 8 {
				wg.Go(func() {
					for ctx.Err() == nil {
						events := newEvents(1)
						written, err := s.Append(ctx, fmt.Sprintf("s%d", w), store.Any, events)
						if err == nil {
							mu.Lock()
							acks = append(acks, ack{events[0].ID, written.Position})
							mu.Unlock()
						}
					}
				})
			}
			wg.Go(func() {
				news, end := s.WatchAll()
				defer end()
				for next := uint64(0); ctx.Err() == nil; {
					select {
					case <-news:
					case <-ctx.Done():
					}
					records, _, err := s.ReadAll(next, 1000)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, r := range records {
						next = r.Position + 1
						seen = append(seen, r.Position)
					}
					mu.Unlock()
				}
			})
			// Record what is known before the clone: the clone must contain all of it.
			var known []ack
			var read []uint64
			polltest.Until(t, "enough events are acknowledged and read", func() bool {
				mu.Lock()
				defer mu.Unlock()
				known, read = acks[:len(acks):len(acks)], seen[:len(seen):len(seen)]
				return len(known) >= 200+100*int(seed) && len(read) > 0
			})
			clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(seed, 1))})
			cancel()
			wg.Wait()

			after := map[uint64]uuid.UUID{}
			next := map[string]int64{}
			for _, v := range readAll(t, open(t, opts.OnFS(clone))) {
				after[v.Position] = v.ID
				if v.Revision != next[string(v.Stream)] {
					t.Fatalf("%s: revision %d, want %d", v.Stream, v.Revision, next[string(v.Stream)])
				}
				next[string(v.Stream)]++
			}
			for _, a := range known {
				if after[a.position] != a.id {
					t.Fatalf("acknowledged event at %d is lost", a.position)
				}
			}
			for _, p := range read {
				if _, ok := after[p]; !ok {
					t.Fatalf("event at %d was read and is lost", p)
				}
			}
		})
	}
}

// A disk that fails during a commit stops the store: waiting callers get an error, the owner is notified, and Close
// returns. After a restart, every acknowledged event is still there.
func TestFailingDisk(t *testing.T) {
	for name, cause := range map[string]error{"broken": syscall.EIO, "full in spite of the check": syscall.ENOSPC} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewMem()
			var fail errorfs.Toggle
			fail.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileWrite {
					return cause
				}
				return nil
			})
			opts := options("data")
			s := open(t, opts.OnFS(errorfs.Wrap(mem, &fail)))
			if _, err := s.Append(testContext(t), "s", store.NoStream, newEvents(3)); err != nil {
				t.Fatal(err)
			}
			fail.On()
			refusals := make(chan error, 8)
			for range cap(refusals) {
				go func() {
					_, err := s.Append(testContext(t), "s", store.Any, newEvents(1))
					refusals <- err
				}()
			}
			for range cap(refusals) {
				if err := <-refusals; !errors.Is(err, store.ErrFailed) {
					t.Errorf("got %v, want %v", err, store.ErrFailed)
				}
			}
			select {
			case err := <-s.Fault():
				t.Log(err)
			case <-testContext(t).Done():
				t.Fatal("the owner is not notified")
			}
			if err := s.Close(testContext(t)); err != nil {
				t.Error(err)
			}
			fail.Off()
			if n := len(readAll(t, open(t, opts.OnFS(mem)))); n != 3 {
				t.Errorf("%d events after the restart, want 3", n)
			}
		})
	}
}
