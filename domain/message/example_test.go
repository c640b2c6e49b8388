package message_test

import (
	"fmt"
	"time"

	"github.com/waypost/waypost/domain/message"
)

// WhatsApp is down: after the call come three retries, after 1, 2 and 4
// seconds, and then people decide. The time is passed in, so nothing waits.
func Example_retries() {
	policy := message.Policy{
		RetryDelays:   []time.Duration{time.Second, 2 * time.Second, 4 * time.Second},
		CallTimeout:   30 * time.Second,
		SettleAfter:   30 * time.Second,
		ThrottleLimit: 20,
	}
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := began
	var m message.Message
	record := func(events []message.Event) {
		for _, e := range events {
			m = m.With(message.Record{Event: e, At: now})
			fmt.Printf("%2.0fs %-14s %s\n", now.Sub(began).Seconds(), e.EventType(), m.Status)
		}
	}

	events, err := message.Queue(message.Request{
		Sender: "support", To: "+491701234567", Content: message.Text{Body: "Your order is on its way."},
		Priority: message.PriorityTransactional, OnAmbiguous: message.AmbiguityResend,
	}, now)
	if err != nil {
		fmt.Println(err)
		return
	}
	record(events)
	down := message.Refused{Failure: message.Failure{
		Category: message.CategoryNetwork, Class: message.ClassTransient, Message: "connection refused",
	}}
	for m.Status.Open() {
		now = m.DueAt
		record(message.Advance(m, policy, false, now))
		record(message.FinishCall(m, len(m.Calls), down, policy, now))
	}
	fmt.Println(m.Attempts, "attempts")
	// Output:
	//  0s Queued         QUEUED
	//  0s SendAttempted  SENDING
	//  0s Failed         SENDING
	//  0s RetryScheduled RETRYING
	//  1s SendAttempted  SENDING
	//  1s Failed         SENDING
	//  1s RetryScheduled RETRYING
	//  3s SendAttempted  SENDING
	//  3s Failed         SENDING
	//  3s RetryScheduled RETRYING
	//  7s SendAttempted  SENDING
	//  7s Failed         SENDING
	//  7s DeadLettered   DEAD_LETTERED
	// 4 attempts
}
