package simulator

import (
	"maps"
	"sync"
)

// Stats summarizes the calls since the start.
type Stats struct {
	// Calls counts the calls to the messages endpoint.
	Calls int64 `json:"calls"`
	// Accepted counts the accepted calls, with or without a response.
	Accepted int64 `json:"accepted"`
	// Messages counts the distinct accepted messages, by the callback data up to its last colon.
	Messages int64 `json:"messages"`
	// Duplicates counts the messages that were accepted more than once.
	Duplicates int64 `json:"duplicates"`
	// DuplicatesAfterEcho counts the duplicates of which a status webhook had got the response 200 before a later call
	// arrived.
	DuplicatesAfterEcho int64 `json:"duplicates_after_echo"`
	// Answers counts calls by error code. "200" counts accepted calls and receipts with a full response. cut, timeout,
	// hang, empty5xx, garbled, and gave_up count those without a proper response.
	Answers map[string]int64 `json:"answers"`
	// WebhooksSent counts the webhooks with the response 200.
	WebhooksSent int64 `json:"webhooks_sent"`
	// WebhooksRefused counts the tries without the response 200 in time.
	WebhooksRefused int64 `json:"webhooks_refused"`
	// WebhooksPending counts the pending updates (statuses and inbound messages), due or not.
	WebhooksPending int64 `json:"webhooks_pending"`
	// UpdatesSent counts the updates in the webhooks with the response 200.
	UpdatesSent int64 `json:"updates_sent"`
	// InboundMade counts the messages that users wrote.
	InboundMade int64 `json:"inbound_made"`
	// Numbers contains the statistics of each number, by its phone number ID.
	Numbers map[string]NumberStats `json:"numbers"`
}

// NumberStats contains the statistics of one number.
type NumberStats struct {
	Calls     int64 `json:"calls"`
	Accepted  int64 `json:"accepted"`
	Throttled int64 `json:"throttled"`
	// LargestSecond is the largest number of calls that arrived in any sliding second, including throttled ones.
	LargestSecond int `json:"largest_second"`
	// CallsOverRate counts the calls that exceeded the rate in the second that ended with them.
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

// Stats returns the current statistics.
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
