package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"

	"github.com/waypost/waypost/adapters/broker"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/graph"
	"github.com/waypost/waypost/ports/egress"
	"github.com/waypost/waypost/ports/ingest"
)

// brokerSettings are those of serve for the user's broker.
type brokerSettings struct {
	BrokerURL            string `help:"Take in commands and let events out over a broker: postgres://, amqp://, redis://, sqs://. None if empty." env:"WAYPOST_BROKER_URL"`
	BrokerEvents         string `help:"Where events begin to leave the first time: end (what comes from now on), start (all that is in the log), the number of a log position, or off." default:"end" env:"WAYPOST_BROKER_EVENTS"`
	BrokerEventsPersonal bool   `help:"Let events leave with what is personal in them: recipients, content, labels." env:"WAYPOST_BROKER_EVENTS_PERSONAL"`
	BrokerSubscriptions  int    `help:"Commands in hand at once." default:"16" env:"WAYPOST_BROKER_SUBSCRIPTIONS"`
}

const (
	eventsOff, eventsFromStart, eventsFromEnd = "off", "start", "end"
	// maxSubscriptions bounds connections and channels at the broker.
	maxSubscriptions = 256
	// brokerPlace is the name of the place up to which events have left.
	brokerPlace = "broker"
)

// start is where events begin to leave; false if they do not.
func (s *brokerSettings) start() (egress.Start, bool, error) {
	switch s.BrokerEvents {
	case eventsOff:
		return egress.Start{}, false, nil
	case eventsFromEnd, "":
		return egress.Start{}, true, nil
	case eventsFromStart:
		return egress.Start{Beginning: true}, true, nil
	}
	after, err := strconv.ParseUint(s.BrokerEvents, 10, 63)
	if err != nil {
		return egress.Start{}, false, fmt.Errorf("--broker-events: %q is none of end, start, off and no position of the log", s.BrokerEvents)
	}
	return egress.Start{After: event.Position(after), Beginning: after == 0}, true, nil
}

// check says which of the settings cannot be, before anything is started.
func (s *brokerSettings) check() error {
	b, err := s.open(slog.New(slog.DiscardHandler))
	if b == nil || err != nil {
		return err
	}
	closing, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return b.Close(closing) // it never connected
}

// open checks the settings and answers the broker that they name; nil if none is.
// It need not be there yet.
func (s *brokerSettings) open(log *slog.Logger) (*broker.Broker, error) {
	address, err := newSecret("WAYPOST_BROKER_URL", s.BrokerURL)
	if err != nil {
		return nil, err
	}
	if _, _, err := s.start(); err != nil {
		return nil, err
	}
	if s.BrokerSubscriptions < 1 || s.BrokerSubscriptions > maxSubscriptions {
		return nil, fmt.Errorf("--broker-subscriptions: %d is not between 1 and %d", s.BrokerSubscriptions, maxSubscriptions)
	}
	if address.get() == "" {
		return nil, nil //nolint:nilnil // no broker is a setting, too
	}
	b, err := broker.Open(address.get(), broker.Options{Subscriptions: s.BrokerSubscriptions, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("--broker-url: %w", err)
	}
	return b, nil
}

// startBroker connects to the user's broker, if there is one: the API's role takes
// commands in, the projections' role lets events out. The broker may go away and
// come back: everything else runs without it.
func (p *platform) startBroker(ctx context.Context, ids command.IDs) error {
	s := p.settings
	b, err := s.open(p.log)
	if b == nil || err != nil {
		return err
	}
	begin, wanted, err := s.start()
	if err != nil {
		return err
	}
	parts := []func(context.Context) error{b.Run}
	if s.has("api") {
		parts = append(parts, ingest.New(ingest.Options{
			Broker: b, Commands: broker.Commands, Rejected: broker.Rejected, Parse: graph.NewCommandParser().Parse,
			Queue: p.queue, Ping: p.stores.log.Ping, IDs: ids, Subscriptions: s.BrokerSubscriptions, Logger: p.log,
		}).Run)
	}
	if wanted && s.has("project") {
		parts = append(parts, egress.New(egress.Options{
			Broker: b, Topic: broker.Events, Log: p.stores.log, LogID: p.stores.logID, Places: broker.NewPlaces(p.stores.pool),
			Name: brokerPlace, Start: begin, Personal: s.BrokerEventsPersonal, Process: newID(), GroupKey: broker.GroupKey, Logger: p.log,
		}).Run)
	}
	p.log.InfoContext(ctx, "broker", "kind", b.Kind(), "commands", s.has("api"), "events", wanted && s.has("project"))
	p.background(ctx, "broker", func(ctx context.Context) error {
		var running sync.WaitGroup
		for _, run := range parts {
			running.Go(func() { _ = run(ctx) }) // it is ctx's own error
		}
		running.Wait()
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		return errors.Join(ctx.Err(), b.Close(closing))
	})
	return nil
}
