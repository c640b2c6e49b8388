package eventstore_test

import (
	"testing"

	"github.com/waypost/waypost/app/event"
)

func TestUsageCountsCallsAndEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		log := open(t, startStore(t))
		before := log.Usage()
		if _, err := log.Append(ctx, "s", event.Any(), count(1), count(2)); err != nil {
			t.Fatal(err)
		}
		if _, err := log.Read(ctx, "s", 0, 10); err != nil {
			t.Fatal(err)
		}
		if _, err := log.End(ctx); err != nil {
			t.Fatal(err)
		}
		got, want := log.Usage(), before
		want.Appends, want.Appended = before.Appends+1, before.Appended+2
		want.Reads, want.ReadEvents, want.Decoded = before.Reads+2, before.ReadEvents+2, before.Decoded+2
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		seen, err := collect(ctx, log, event.Subscription{}, func(seen []event.Recorded, _ event.Batch) bool { return len(seen) == 2 })
		if err != nil {
			t.Fatal(err)
		}
		// The feed may have a subscription in addition.
		if after := log.Usage(); len(seen) != 2 || after.Delivered < got.Delivered+2 || after.Decoded < got.Decoded+2 || after.Subscriptions == got.Subscriptions {
			t.Errorf("a subscription received %d events; %+v after %+v", len(seen), after, got)
		}
	})
}
