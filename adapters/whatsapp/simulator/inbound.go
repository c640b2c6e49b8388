package simulator

import (
	"context"
	"math/rand/v2"
	"time"
)

// inboundInterval is the time between two checks of which users write.
const inboundInterval = 20 * time.Millisecond

// writeInbound makes users write to the numbers at inbound_rate until the simulator closes. The users are recipients of
// the number's latest messages. While too many updates are pending, no one writes.
func (s *Simulator) writeInbound(ctx context.Context) {
	ticker := time.NewTicker(inboundInterval)
	defer ticker.Stop()
	last := s.clock()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := s.clock()
		passed := (now - last).Seconds()
		last = now
		set := s.settings.Load()
		if set.InboundRate == 0 || set.WebhookURL == "" {
			continue
		}
		for _, n := range s.numbers.all() {
			for _, peer := range n.writers(passed*set.InboundRate, s.clock) {
				if s.outbox.reserve(ctx, 1) != nil {
					return
				}
				s.tally.mu.Lock()
				s.tally.inbound++
				s.tally.mu.Unlock()
				m := &message{number: n, peer: peer}
				m.wamid = newWamid(peer, true, s.run, s.wamids.Add(1))
				s.outbox.add(m, []planned{{kind: inboundReply}})
			}
		}
	}
}

// writers returns the users who write to the number when share more messages are due, and counts the messages toward
// its throughput as Meta does.
func (n *number) writers(share float64, clock func() time.Duration) []recipient {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.recent) == 0 {
		return nil
	}
	n.inbound += share
	var peers []recipient
	for ; n.inbound >= 1; n.inbound-- {
		n.load.add(clock())
		peers = append(peers, n.recent[rand.IntN(len(n.recent))])
	}
	return peers
}
