package event_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
)

// orderPlaced is an event of the example. An event is a Go type with a name that
// never changes.
type orderPlaced struct {
	Total int `json:"total"`
}

func (orderPlaced) EventType() string { return "OrderPlaced" }

// proposed returns an event to append. Every decision gets a new ID.
func proposed(e domain.Event) event.Proposed {
	return event.Proposed{ID: uuid.Must(uuid.NewV7()), Event: e}
}

// openLog opens an embedded event store in dir and returns its log, and a
// function that closes both.
func openLog(ctx context.Context, dir string) (_ *eventstore.Log, stop func() error, err error) {
	store, err := eventstored.Open(ctx, eventstored.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	codec, err := event.NewCodec([]domain.Type{domain.TypeOf[orderPlaced]()})
	if err != nil {
		return nil, nil, errors.Join(err, store.Close(ctx))
	}
	events, err := eventstore.Open(ctx, eventstore.Options{URL: store.URL(), Codec: codec})
	if err != nil {
		return nil, nil, errors.Join(err, store.Close(ctx))
	}
	return events, func() error { return errors.Join(events.Close(ctx), store.Close(ctx)) }, nil
}

// Two writers decide on the same stream. The second one fails because the stream has
// changed, and would decide again. A subscription then delivers the events
// that are in the log.
func ExampleLog() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dir, err := os.MkdirTemp("", "waypost-example")
	if err != nil {
		log.Panic(err)
	}
	defer os.RemoveAll(dir)
	events, stop, err := openLog(ctx, dir)
	if err != nil {
		log.Panic(err)
	}

	const stream = "order-7719"
	first, err := events.Append(ctx, stream, event.NoStream(), proposed(orderPlaced{Total: 20}))
	fmt.Println("first writer: revision", first.Revision, err)

	_, err = events.Append(ctx, stream, event.NoStream(), proposed(orderPlaced{Total: 30}))
	var changed *event.WrongRevisionError
	fmt.Println("second writer is too late:", errors.As(err, &changed))

	_, err = events.Append(ctx, stream, event.ExactRevision(first.Revision), proposed(orderPlaced{Total: 30}))
	fmt.Println("second writer, after reading the stream:", err)

	found := errors.New("found both")
	err = events.Subscribe(ctx, event.Subscription{Filter: event.Filter{StreamPrefixes: []string{"order-"}}},
		func(_ context.Context, batch event.Batch) error {
			for _, e := range batch.Events {
				fmt.Println(e.Stream, e.Revision, e.Event)
				if e.Revision == 1 {
					return found
				}
			}
			return nil
		})
	fmt.Println(errors.Is(err, found), stop())
	// Output:
	// first writer: revision 0 <nil>
	// second writer is too late: true
	// second writer, after reading the stream: <nil>
	// order-7719 0 {20}
	// order-7719 1 {30}
	// true <nil>
}
