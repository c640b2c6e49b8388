package platform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"

	"github.com/waypost/waypost/adapters/broker"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/graph"
	"github.com/waypost/waypost/ports/egress"
	"github.com/waypost/waypost/ports/ingest"
)

// brokerSettings are the settings of serve for the user's broker.
type brokerSettings struct {
	BrokerURL            string `secret:"url" help:"Broker to consume commands from and publish events to: postgres://, amqp://, redis://, or sqs://. If empty, none." env:"WAYPOST_BROKER_URL"`
	BrokerEvents         string `help:"Where publishing starts the first time: end (new events), start (all events), a log position, or off." default:"end" env:"WAYPOST_BROKER_EVENTS"`
	BrokerEventsPersonal bool   `help:"Include recipients, content, and labels in published events." env:"WAYPOST_BROKER_EVENTS_PERSONAL"`
	BrokerSubscriptions  int    `help:"Maximum number of commands in progress." default:"16" env:"WAYPOST_BROKER_SUBSCRIPTIONS"`
}

const (
	eventsOff, eventsFromStart, eventsFromEnd = "off", "start", "end"
	// maxSubscriptions bounds connections and channels at the broker.
	maxSubscriptions = 256
	// brokerCheckpoint is the name of the checkpoint of published events.
	brokerCheckpoint = "broker"
)

// start returns where publishing starts, and false if no events are published.
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
		return egress.Start{}, false, fmt.Errorf("--broker-events: invalid value %q; use end, start, off, or a log position", s.BrokerEvents)
	}
	return egress.Start{After: event.Position(after), Beginning: after == 0}, true, nil
}

// check returns an error if a setting is invalid.
func (s *brokerSettings) check() error {
	b, err := s.open(slog.New(slog.DiscardHandler))
	if b == nil || err != nil {
		return err
	}
	closing, cancel := context.WithTimeout(context.Background(), CloseTimeout)
	defer cancel()
	return b.Close(closing) // it never connected
}

// open checks the settings and returns the broker that they name, or nil if there is none. The broker doesn't have to be reachable yet.
func (s *brokerSettings) open(log *slog.Logger) (*broker.Broker, error) {
	address, err := NewSecret("WAYPOST_BROKER_URL", s.BrokerURL)
	if err != nil {
		return nil, err
	}
	if _, _, err := s.start(); err != nil {
		return nil, err
	}
	if s.BrokerSubscriptions < 1 || s.BrokerSubscriptions > maxSubscriptions {
		return nil, fmt.Errorf("--broker-subscriptions: must be between 1 and %d, got %d", maxSubscriptions, s.BrokerSubscriptions)
	}
	if address.Get() == "" {
		return nil, nil //nolint:nilnil // to have no broker is a valid setting
	}
	b, err := broker.Open(address.Get(), broker.Options{Subscriptions: s.BrokerSubscriptions, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("--broker-url: %w", err)
	}
	return b, nil
}

// connectBroker registers the connection to the user's broker, if there is one. The role api consumes commands, and the role project
// publishes events. The broker can go away and come back: everything else runs without it.
func (c *core) connectBroker(ctx context.Context) error {
	s := c.settings
	b, err := s.open(c.log)
	if b == nil || err != nil {
		return err
	}
	start, publish, err := s.start()
	if err != nil {
		return err
	}
	uses := []func(context.Context) error{b.Run}
	if s.has(roleAPI) {
		uses = append(uses, ingest.New(ingest.Options{
			Broker: b, Commands: broker.Commands, Rejected: broker.Rejected, Parse: graph.NewCommandParser().Parse,
			Queue: c.Queue, Ping: c.stores.Log.Ping, IDs: NewID, Subscriptions: s.BrokerSubscriptions, Logger: c.log,
		}).Run)
	}
	if publish && s.has(roleProject) {
		uses = append(uses, egress.New(egress.Options{
			Broker: b, Topic: broker.Events, Log: c.stores.Log, LogID: c.stores.LogID, Places: postgres.NewCheckpoints(c.stores.Pool),
			Name: brokerCheckpoint, Start: start, Personal: s.BrokerEventsPersonal, MaxMessage: b.MaxMessage(),
			Process: NewID(), GroupKey: broker.GroupKey, Logger: c.log,
		}).Run)
	}
	c.log.InfoContext(ctx, "broker", "kind", b.Kind(), "commands", s.has(roleAPI), "events", publish && s.has(roleProject))
	c.parts.run("broker", func(ctx context.Context) error {
		var running sync.WaitGroup
		for _, use := range uses {
			running.Go(func() { _ = use(ctx) }) // it returns ctx's error
		}
		running.Wait()
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), CloseTimeout)
		defer cancel()
		return errors.Join(ctx.Err(), b.Close(closing))
	})
	return nil
}
