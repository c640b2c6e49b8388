package message_test

import (
	"fmt"
	"time"

	"github.com/waypost/waypost/domain/message"
)

// examplePolicy is the policy of an installation with the default settings.
var examplePolicy = message.Policy{
	RetryDelays:   []time.Duration{time.Second, 2 * time.Second, 4 * time.Second},
	CallTimeout:   30 * time.Second,
	SettleAfter:   30 * time.Second,
	ThrottleLimit: 20,
}

// WhatsApp is down. The first call and three retries, after 1, 2, and 4 seconds,
// fail. Then the message becomes a dead letter, and an operator decides. The time
// is an argument, so the example takes no time.
func Example_retries() {
	policy := examplePolicy
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := began
	var m message.Message
	record := func(events []message.Event) {
		for _, e := range events {
			m = m.Apply(message.Record{Event: e, At: now})
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

// The connection breaks after the request was written, so WhatsApp may or may not
// have the message. A status that echoes the call settles it: WhatsApp has it, and
// the message is not sent again. Recording the same status twice changes nothing.
func Example_lostResponse() {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var m message.Message
	record := func(events []message.Event) {
		for _, e := range events {
			m = m.Apply(message.Record{Event: e, At: now})
			fmt.Printf("%-14s %s\n", e.EventType(), m.Status)
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
	record(message.Advance(m, examplePolicy, false, now))
	record(message.FinishCall(m, 1, message.Lost{Cause: "connection reset"}, examplePolicy, now))

	now = now.Add(3 * time.Second)
	delivered := message.StatusUpdate{Kind: message.ReportDelivered, Call: 1, WhatsAppID: "wamid.1", At: now}
	for range 2 { // webhooks can be repeated
		events, known := message.RecordStatusUpdate(m, delivered)
		record(events)
		fmt.Println(len(events), "events, known:", known)
	}
	// Output:
	// Queued         QUEUED
	// SendAttempted  SENDING
	// OutcomeUnknown AMBIGUOUS
	// Sent           SENT
	// Delivered      DELIVERED
	// 2 events, known: true
	// 0 events, known: true
}
