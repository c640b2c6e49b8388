package simulator

import (
	"maps"
	"sync"
)

// Stats sums up the calls since the start.
type Stats struct {
	// Calls is every call to the messages endpoint.
	Calls int64 `json:"calls"`
	// Accepted is the calls that were accepted, answered or not.
	Accepted int64 `json:"accepted"`
	// Messages is the distinct messages accepted, by the callback data up to its last colon.
	Messages int64 `json:"messages"`
	// Duplicates is the messages accepted more than once.
	Duplicates int64 `json:"duplicates"`
	// DuplicatesAfterEcho is those of them of which a status webhook had been answered 200 before a later
	// call arrived.
	DuplicatesAfterEcho int64 `json:"duplicates_after_echo"`
	// Answers counts calls by error code. "200" is accepted calls and receipts answered in full; cut,
	// timeout, hang, empty5xx, garbled and gave_up are those that got no proper answer.
	Answers map[string]int64 `json:"answers"`
	// WebhooksSent is the webhooks answered 200.
	WebhooksSent int64 `json:"webhooks_sent"`
	// WebhooksRefused is the tries that were not answered 200 in time.
	WebhooksRefused int64 `json:"webhooks_refused"`
	// WebhooksPending is the updates (statuses and inbound messages) that are owed, due or not.
	WebhooksPending int64 `json:"webhooks_pending"`
	// UpdatesSent is the updates in the webhooks answered 200.
	UpdatesSent int64 `json:"updates_sent"`
	// InboundMade is the messages that users wrote.
	InboundMade int64 `json:"inbound_made"`
	// Numbers is the figures of each number, by its phone number id.
	Numbers map[string]NumberStats `json:"numbers"`
}

// NumberStats are the figures of one number.
type NumberStats struct {
	Calls     int64 `json:"calls"`
	Accepted  int64 `json:"accepted"`
	Throttled int64 `json:"throttled"`
	// LargestSecond is the largest count of calls that arrived in any sliding second, throttled ones too.
	LargestSecond int `json:"largest_second"`
	// CallsOverRate is the calls that arrived as more than the rate in the second that ended with them.
	CallsOverRate int64 `json:"calls_over_rate"`
}

// tally counts what no other part counts.
type tally struct {
	mu       sync.Mutex
	calls    int64
	accepted int64
	inbound  int64
	answers  map[string]int64
}

func (t *tally) count(answer string, accepted bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls++
	if accepted {
		t.accepted++
	}
	t.answers[answer]++
}

// Stats returns the figures as of now.
func (s *Simulator) Stats() Stats {
	var st Stats
	s.tally.mu.Lock()
	st.Calls, st.Accepted, st.InboundMade = s.tally.calls, s.tally.accepted, s.tally.inbound
	st.Answers = maps.Clone(s.tally.answers)
	s.tally.mu.Unlock()

	s.ledger.mu.Lock()
	st.Messages = s.ledger.messages
	st.Duplicates = s.ledger.duplicates
	st.DuplicatesAfterEcho = s.ledger.duplicatesAfterEcho
	s.ledger.mu.Unlock()

	figures, owed := s.outbox.snapshot()
	st.WebhooksSent, st.WebhooksRefused, st.UpdatesSent = figures.webhooks, figures.refused, figures.updates
	st.WebhooksPending = int64(owed)

	st.Numbers = make(map[string]NumberStats)
	for _, n := range s.numbers.all() {
		n.mu.Lock()
		st.Numbers[n.id] = n.figures
		n.mu.Unlock()
	}
	return st
}
