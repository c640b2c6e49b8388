package repository

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/sender"
)

// slowLog returns one registration for every stream, after a delay.
type slowLog struct {
	event.Log

	reads atomic.Int64
	away  atomic.Bool
}

func (l *slowLog) Read(context.Context, string, event.Revision, int) ([]event.Recorded, error) {
	l.reads.Add(1)
	time.Sleep(100 * time.Millisecond)
	if l.away.Load() {
		return nil, errors.New("away")
	}
	return []event.Recorded{{Event: sender.SenderRegistered{}}}, nil
}

// Of all callers that need a sender, one reads it again before it expires. No caller waits
// for that or gets an expired sender.
func TestASenderIsReadAnewByOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{}
		s := NewSenders(log, time.Now, nil)
		load := func() (took time.Duration) {
			start := time.Now()
			if _, err := s.Load(t.Context(), "shop"); err != nil {
				t.Error(err)
			}
			return time.Since(start)
		}
		load()
		var waited atomic.Int64
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				for range 1000 {
					if load() > 0 {
						waited.Add(1)
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		all.Wait()
		// More than ten seconds, with a read of 100 ms every 500 ms.
		if reads := log.reads.Load(); reads < 10 || reads > 25 || waited.Load() != reads-1 {
			t.Errorf("read %d times, %d waited", reads, waited.Load())
		}
		time.Sleep(2 * time.Second)
		load()
		log.away.Store(true)
		time.Sleep(600 * time.Millisecond)
		load() // the cached sender is still fresh
		time.Sleep(time.Second)
		if _, err := s.Load(t.Context(), "shop"); err == nil {
			t.Error("an old sender was answered")
		}
	})
}
