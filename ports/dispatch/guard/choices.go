package guard

import (
	"context"
	"fmt"
	"sync"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/identity"
)

// maxChoices limits the choices in memory. If the read model is further behind, marketing
// messages wait for it.
const maxChoices = 50_000

// person is a sender and an ID of a person. Numbers are in their current notation.
type person struct{ sender, id string }

// choices are the newest choices of people about marketing: all after a position. It is safe for
// concurrent use.
type choices struct {
	mu      sync.RWMutex // guards all fields below
	floor   event.Position
	latest  map[person]choice
	order   []recent // oldest first
	pending map[person]int
}

// choice is the latest choice of a person, and the position of the last event about it.
type choice struct {
	conversation.Marketing

	position event.Position
}

type recent struct {
	person
	position event.Position
}

// newChoices returns choices that reach nothing before follow has begun.
func newChoices() *choices {
	return &choices{floor: event.MaxPosition, latest: make(map[person]choice), pending: make(map[person]int)}
}

// follow adds the choices in the event log, from its end on, until ctx ends or the log fails. Then
// they reach nothing.
func (c *choices) follow(ctx context.Context, log event.Log) error {
	end, err := log.End(ctx)
	if err != nil {
		return fmt.Errorf("find the end of the event log: %w", err)
	}
	c.startAt(end)
	defer c.stop()
	sub := event.Subscription{After: end, Consumer: "opt-outs", Filter: event.Filter{Types: []string{
		conversation.OptedOut{}.EventType(), conversation.OptedIn{}.EventType(),
	}}}
	return log.Subscribe(ctx, sub, func(_ context.Context, b event.Batch) error {
		for _, r := range b.Events {
			switch e := r.Event.(type) {
			case conversation.OptedOut:
				c.add(e.Choice, true, r.Position)
			case conversation.OptedIn:
				c.add(e.Choice, false, r.Position)
			}
		}
		return nil
	})
}

// startAt drops all choices. Only those after a position are added from now on.
func (c *choices) startAt(at event.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.floor, c.latest, c.order = at, make(map[person]choice), nil
}

// stop makes choices reach nothing. What is known of people stays.
func (c *choices) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.floor = event.MaxPosition
}

// reach reports whether all choices after a position are here.
func (c *choices) reach(at event.Position) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return at >= c.floor
}

// merge returns what is known about a recipient with their newest choice.
func (c *choices) merge(known conversation.Conversation, r work.Recipient) conversation.Conversation {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, id := range []string{r.To, r.ToUserID} {
		if id == "" {
			continue
		}
		p := person{r.Sender, identity.Current(id)}
		known = known.Merge(conversation.Conversation{Marketing: c.latest[p].Marketing})
	}
	return known
}

// recording reports whether an opt-out of a recipient is being appended.
func (c *choices) recording(r work.Recipient) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.pending[person{r.Sender, identity.Current(r.To)}] > 0 || c.pending[person{r.Sender, r.ToUserID}] > 0
}

func peopleOf(e conversation.Choice) []person {
	var people []person
	for _, id := range e.Personal.IDs() {
		people = append(people, person{e.Sender, identity.Current(id)})
	}
	return people
}

// add adds a choice. Adding it again changes nothing.
func (c *choices) add(e conversation.Choice, optedOut bool, at event.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := conversation.Conversation{Marketing: conversation.Marketing{OptedOut: optedOut, At: e.At, Source: e.Source, Position: int64(at)}}
	for _, p := range peopleOf(e) {
		was := c.latest[p]
		c.latest[p] = choice{conversation.Conversation{Marketing: was.Marketing}.Merge(m).Marketing, max(was.position, at)}
		c.order = append(c.order, recent{p, at})
	}
	for len(c.order) > maxChoices {
		oldest := c.order[0]
		c.order = c.order[1:]
		c.floor = max(c.floor, oldest.position)
		if c.latest[oldest.person].position <= oldest.position {
			delete(c.latest, oldest.person)
		}
	}
}

// begin records that an opt-out is being appended, until the returned function is called.
func (c *choices) begin(e conversation.Choice) (end func()) {
	people := peopleOf(e)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range people {
		c.pending[p]++
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, p := range people {
			if c.pending[p]--; c.pending[p] == 0 {
				delete(c.pending, p)
			}
		}
	}
}
