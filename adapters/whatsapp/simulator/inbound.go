package simulator

import (
	"context"
	"math/rand/v2"
	"time"
)

// inboundInterval is the time between two checks of which users write.
const inboundInterval = 20 * time.Millisecond

// writing is what a user writes.
type writing struct {
	name string // of the user's profile
	// content has the members type and the one with the content, without braces.
	content []byte
}

// textOf returns a text message.
func textOf(body string) writing {
	return writing{content: append(appendString([]byte(`"type":"text","text":{"body":`), body), '}')}
}

// words returns what a user writes next: one of the texts in turn, or an image.
func (s *Simulator) words(set *settings) writing {
	if set.InboundMediaRate > 0 && rand.Float64() < set.InboundMediaRate {
		return s.media.add("image", mediaFile{mime: "image/png", data: pixel}, nil).writing(s.URL())
	}
	n := s.spoken.Add(1) - 1
	return textOf(set.InboundTexts[n%uint64(len(set.InboundTexts))])
}

// write plans the webhook of a message that a user writes after a delay, in space that the caller has reserved, and
// returns the message's ID.
func (s *Simulator) write(n *number, from recipient, w writing, after time.Duration) (wamid string) {
	s.tally.mu.Lock()
	s.tally.inbound++
	s.tally.mu.Unlock()
	n.wroteAt(from, s.clock()+after)
	m := &message{number: n, peer: from, written: w, wamid: newWamid(from, true, s.run, s.wamids.Add(1))}
	s.outbox.add(m, []planned{{kind: inboundReply, after: after}})
	return m.wamid
}

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
				s.write(n, peer, s.words(set), 0)
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
