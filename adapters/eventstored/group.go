package eventstored

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// group distributes the events of a stream, or of $all, among competing consumers and tracks their progress. Its own
// goroutine, which runs while the group has consumers, reads, parks, and writes checkpoints. Consumers only access its
// state.
//
// A message is unread, waiting (read, or to be sent again), in flight (at a consumer), or done. The checkpoint is the
// first place that is not done: a group that resumes there misses nothing, and may see messages again that were done after
// it.
type group struct {
	store  *store.Store
	logger *slog.Logger
	now    func() time.Time
	wake   chan struct{} // of capacity 1
	seed   maphash.Seed  // spreads streams over consumers

	mu        sync.Mutex
	settings  groupSettings
	filter    *filter
	consumers []*groupConsumer
	turn      int // round robin
	// next is the first place that has not been read. It is valid once the checkpoint has been loaded.
	next   uint64
	loaded bool
	// live reports whether the group's goroutine has read everything that a read of the stream returns. From then on,
	// it reads every event, as a live subscription does. Only that goroutine uses it.
	live     bool
	waiting  []*message
	again    []*message // waiting, to be sent before the others
	toPark   []*message
	inFlight int
	// Parked messages from replayNext up to replayEnd must be sent again.
	replayNext, replayEnd int64

	sinceCheckpoint int32
	checkpointAt    time.Time // when the last checkpoint was written
	checkpoint      uint64
	hasCheckpoint   bool
	total           int64

	// ended is closed by the newest goroutine, which is active while the group has consumers.
	ended  chan struct{}
	stop   context.CancelFunc
	active bool
	// retired groups were deleted or replaced and accept no consumers.
	retired bool
}

// message is an event on its way through a group.
type message struct {
	record   store.Record
	id       uuid.UUID // the ID that a consumer acknowledges: the link's ID, if there is a link
	stream   string
	revision int64
	place    uint64
	// link is the parked event of a message that is replayed. Such a message is not part of the checkpoint.
	link    store.Record
	retries int32
	reason  string
}

func (m *message) replayed() bool { return m.link.Wire != nil }

// groupConsumer is one connected client of a group.
type groupConsumer struct {
	name  string // of the client, for reports
	slots int
	out   chan *message // of capacity slots
	// dropped receives the reason when the group ends the connection.
	dropped  chan error
	inFlight map[uuid.UUID]*delivery
	total    int64
}

type delivery struct {
	*message
	due time.Time // zero means never
}

var (
	errGroupDropped = errors.New("persistent subscription was dropped")
	errGroupFull    = errors.New("maximum number of subscribers is reached")
)

// join adds a consumer. With the first consumer, it starts the group's goroutine.
func (g *group) join(ctx context.Context, name string, slots int) (*groupConsumer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.retired {
		return nil, errGroupDropped
	}
	if limit := int(g.settings.MaxSubscriberCount); limit > 0 && len(g.consumers) >= limit {
		return nil, errGroupFull
	}
	c := &groupConsumer{
		name: name, slots: slots, out: make(chan *message, slots), dropped: make(chan error, 1),
		inFlight: make(map[uuid.UUID]*delivery),
	}
	g.consumers = append(g.consumers, c)
	if !g.active {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the group outlives the call that starts it
		before, ended := g.ended, make(chan struct{})
		g.stop, g.ended, g.active = cancel, ended, true
		go func() {
			defer close(ended)
			if before != nil {
				<-before // it writes its last checkpoint
			}
			g.run(ctx)
		}()
	}
	signal(g.wake)
	return c, nil
}

// leave removes a consumer. The messages that it did not acknowledge go to other consumers. With the last consumer, the
// group stops after writing its checkpoint.
func (g *group) leave(c *groupConsumer) {
	g.mu.Lock()
	ended := g.remove(c)
	g.mu.Unlock()
	if ended != nil {
		<-ended
	}
	signal(g.wake)
}

// remove removes a consumer and returns a channel to wait for if the group has no consumer left. The caller must hold
// mu.
func (g *group) remove(c *groupConsumer) <-chan struct{} {
	i := slices.Index(g.consumers, c)
	if i < 0 {
		return nil
	}
	g.consumers = slices.Delete(g.consumers, i, i+1)
	for _, d := range c.inFlight {
		d.retries++ // so that it is not parked because of this
		g.again = append(g.again, d.message)
	}
	g.inFlight -= len(c.inFlight)
	clear(c.inFlight)
	slices.SortFunc(g.again, func(a, b *message) int { return cmp.Compare(a.place, b.place) })
	if len(g.consumers) > 0 {
		return nil
	}
	g.stop()
	g.active = false
	return g.ended
}

// retire permanently ends all connections and waits for the group's goroutine.
func (g *group) retire() {
	g.mu.Lock()
	g.retired = true
	g.dropAll()
	ended := g.ended
	g.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// answer applies a consumer's verdict on messages.
func (g *group) answer(c *groupConsumer, ids []uuid.UUID, v verdict, reason string) {
	g.mu.Lock()
	for _, id := range ids {
		d := c.inFlight[id]
		if d == nil {
			continue // timed out in the meantime, or never sent
		}
		delete(c.inFlight, id)
		g.inFlight--
		d.reason = reason
		switch v {
		case verdictAck, verdictSkip:
			g.done(d.message)
		case verdictPark:
			g.toPark = append(g.toPark, d.message)
		default:
			g.retry(d.message)
		}
	}
	g.mu.Unlock()
	signal(g.wake)
}

type verdict int

const (
	verdictAck verdict = iota
	verdictRetry
	verdictSkip
	verdictPark
)

func (g *group) done(m *message) {
	g.total++
	if !m.replayed() {
		g.sinceCheckpoint++
	}
}

func (g *group) retry(m *message) {
	m.retries++
	if m.retries > g.settings.MaxRetryCount {
		if m.reason == "" {
			m.reason = "maximum number of retries is reached"
		}
		g.toPark = append(g.toPark, m)
		return
	}
	g.again = append(g.again, m)
}

// run is the group's goroutine.
func (g *group) run(ctx context.Context) {
	var news <-chan struct{}
	var endWatch func()
	if g.settings.all() {
		news, endWatch = g.store.WatchAll()
	} else {
		news, endWatch = g.store.WatchStream(g.settings.Stream)
	}
	defer endWatch()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	g.live = false
	changed := true // the stream may have changed
	for {
		if changed {
			changed = false
			g.dropIfDeleted(ctx)
		}
		progress, pause, err := g.step(ctx)
		if ctx.Err() != nil {
			g.finish(ctx)
			return
		}
		if err != nil {
			g.logger.WarnContext(ctx, "persistent subscription", "stream", g.settings.Stream, "group", g.settings.Name, "error", err)
			pause = groupErrorPause
		} else if progress {
			continue
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			g.finish(ctx)
			return
		case <-g.wake:
		case <-news:
			changed = true
		case <-timer.C:
		}
	}
}

// dropIfDeleted ends all connections if the group's stream has been tombstoned.
func (g *group) dropIfDeleted(ctx context.Context) {
	if g.settings.all() {
		return
	}
	view, err := g.store.Stream(ctx, g.settings.Stream)
	if err != nil || view.State() != store.StreamTombstoned { // reading meets and reports the same error
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropAll()
}

// dropAll ends all connections. The caller must hold mu.
func (g *group) dropAll() {
	for len(g.consumers) > 0 {
		c := g.consumers[0]
		c.dropped <- errGroupDropped // the consumer gets no other value
		g.remove(c)
	}
}

const (
	// groupErrorPause is the time between attempts while the store rejects them, for example on a full disk.
	groupErrorPause = time.Second
	// groupIdlePause limits the sleep of a group that waits for nothing specific.
	groupIdlePause = time.Minute
	// groupFinishTimeout limits the time for the last checkpoint of a group that stops.
	groupFinishTimeout = 2 * time.Second
)

// step does all work that is due. It returns whether there may be more, and if not, the maximum time until the next
// step.
func (g *group) step(ctx context.Context) (progress bool, pause time.Duration, err error) {
	if err := g.load(ctx); err != nil {
		return false, 0, err
	}
	if err := g.park(ctx); err != nil {
		return false, 0, err
	}
	if err := g.replay(ctx); err != nil {
		return false, 0, err
	}
	read, err := g.read(ctx)
	if err != nil {
		return false, 0, err
	}
	g.mu.Lock()
	g.expire()
	g.dispatch()
	pause = g.untilDue()
	parked := len(g.toPark) > 0
	due := g.checkpointDue()
	g.mu.Unlock()
	if due {
		if err := g.writeCheckpoint(ctx); err != nil {
			return false, 0, err
		}
	}
	return read || parked, pause, nil
}

// finish writes the last checkpoint of a group without consumers.
func (g *group) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), groupFinishTimeout)
	defer cancel()
	err := g.park(ctx)
	g.mu.Lock()
	changed := g.loaded && g.sinceCheckpoint > 0
	g.mu.Unlock()
	if changed {
		err = errors.Join(err, g.writeCheckpoint(ctx))
	}
	if err != nil && !errors.Is(err, store.ErrClosed) {
		g.logger.WarnContext(ctx, "persistent subscription: last checkpoint failed", "stream", g.settings.Stream, "group", g.settings.Name, "error", err)
	}
}

// expire takes back the messages that consumers did not acknowledge in time.
func (g *group) expire() {
	now := time.Now()
	for _, c := range g.consumers {
		for id, d := range c.inFlight {
			if !d.due.IsZero() && !now.Before(d.due) {
				delete(c.inFlight, id)
				g.inFlight--
				g.retry(d.message)
			}
		}
	}
}

// untilDue returns the time until the next work is due if nothing else happens.
func (g *group) untilDue() time.Duration {
	now, next := time.Now(), groupIdlePause
	for _, c := range g.consumers {
		for _, d := range c.inFlight {
			if !d.due.IsZero() {
				next = min(next, d.due.Sub(now))
			}
		}
	}
	if g.sinceCheckpoint >= max(g.settings.MinCheckpointCount, 1) {
		next = min(next, g.settings.checkpointAfter()-now.Sub(g.checkpointAt))
	}
	return max(next, time.Millisecond)
}

// dispatch sends waiting messages to consumers with free slots.
func (g *group) dispatch() {
	g.again = g.dispatchFrom(g.again)
	if len(g.again) == 0 {
		g.waiting = g.dispatchFrom(g.waiting)
	}
}

func (g *group) dispatchFrom(queue []*message) []*message {
	for len(queue) > 0 {
		m := queue[0]
		c := g.choose(m)
		if c == nil {
			break
		}
		d := &delivery{message: m}
		if timeout := g.settings.messageTimeout(); timeout > 0 {
			d.due = time.Now().Add(timeout)
		}
		c.inFlight[m.id] = d
		c.total++
		g.inFlight++
		copied := *m
		c.out <- &copied // never blocks: it has room for every slot
		queue[0] = nil
		queue = queue[1:]
	}
	return queue
}

// choose returns the consumer for a message, or nil if the message must wait.
func (g *group) choose(m *message) *groupConsumer {
	n := len(g.consumers)
	if n == 0 {
		return nil
	}
	free := func(c *groupConsumer) bool {
		_, same := c.inFlight[m.id] // the same ID twice would make an acknowledgment ambiguous
		return !same && len(c.inFlight) < c.slots && len(c.out) < c.slots
	}
	switch g.settings.Strategy {
	case pinned, pinnedByCorrelation:
		// A stream's messages go to one consumer as long as the set of consumers does not change.
		if c := g.consumers[int(maphash.String(g.seed, m.stream)%uint64(n))]; free(c) {
			return c
		}
		return nil
	case dispatchToSingle:
		for _, c := range g.consumers {
			if free(c) {
				return c
			}
		}
	default:
		for i := range n {
			if c := g.consumers[(g.turn+i)%n]; free(c) {
				g.turn = (g.turn + i + 1) % n
				return c
			}
		}
	}
	return nil
}

func (g *group) checkpointDue() bool {
	since := g.sinceCheckpoint
	return since > 0 && (since >= max(g.settings.MaxCheckpointCount, 1) ||
		since >= g.settings.MinCheckpointCount && time.Since(g.checkpointAt) >= g.settings.checkpointAfter())
}

// firstUndone returns the place to resume from. The caller must hold mu.
func (g *group) firstUndone() uint64 {
	first := g.next
	consider := func(m *message) {
		if !m.replayed() {
			first = min(first, m.place)
		}
	}
	for _, queue := range [][]*message{g.waiting, g.again, g.toPark} {
		for _, m := range queue {
			consider(m)
		}
	}
	for _, c := range g.consumers {
		for _, d := range c.inFlight {
			consider(d.message)
		}
	}
	return first
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
