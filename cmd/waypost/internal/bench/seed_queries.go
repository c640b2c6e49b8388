package bench

import (
	"context"
	"strconv"
	"time"

	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// Goals for the 99th percentile, in milliseconds.
const (
	pageGoal    = 50
	metricsGoal = 20
)

// seedQuery is a query that is timed: the i-th time it may ask for something else.
type seedQuery struct {
	name string
	goal float64
	ask  func(ctx context.Context, c *harness.Client, i int) (found int, err error)
}

// seedQueries are a page of messages by each filter alone and by a sender and one other,
// dead letters and figures.
func (b Seed) seedQueries(since time.Time) []seedQuery {
	s := &seeder{n: b.Messages, senders: b.Senders, since: since}
	// spread picks a message: old ones as well as new ones.
	spread := func(i int) int { return i * 7907 % b.Messages }
	filters := []struct {
		name string
		of   func(i int) map[string]any
	}{
		{"status READ", func(int) map[string]any { return map[string]any{"status": []string{"READ"}} }},
		{"status SENT", func(int) map[string]any { return map[string]any{"status": []string{"SENT"}} }},
		{"status QUEUED", func(int) map[string]any { return map[string]any{"status": []string{"QUEUED"}} }},
		{"status SENDING (none)", func(int) map[string]any { return map[string]any{"status": []string{"SENDING"}} }},
		{"status FAILED", func(int) map[string]any { return map[string]any{"status": []string{"FAILED"}} }},
		{"status CANCELLED", func(int) map[string]any { return map[string]any{"status": []string{"CANCELLED"}} }},
		{"status SENT, FAILED", func(int) map[string]any { return map[string]any{"status": []string{"SENT", "FAILED"}} }},
		{"to", func(i int) map[string]any { return map[string]any{"to": seedNumber(spread(i))} }},
		{"idempotencyKey", func(i int) map[string]any { return map[string]any{"idempotencyKey": MessageKey(spread(i))} }},
		{"whatsappId", func(i int) map[string]any { return map[string]any{"whatsappId": seedWamid(spread(i))} }},
		{"label campaign", func(i int) map[string]any {
			return map[string]any{"labels": []map[string]any{{"name": "campaign", "value": strconv.Itoa(i % seedCampaigns)}}}
		}},
		{"label region", func(i int) map[string]any {
			return map[string]any{"labels": []map[string]any{{"name": "region", "value": strconv.Itoa(i % 3)}}}
		}},
		{"type TEXT", func(int) map[string]any { return map[string]any{"type": "TEXT"} }},
		{"type LOCATION", func(int) map[string]any { return map[string]any{"type": "LOCATION"} }},
		{"type STICKER (none)", func(int) map[string]any { return map[string]any{"type": "STICKER"} }},
		{"priority OTP", func(int) map[string]any { return map[string]any{"priority": "OTP"} }},
		{"template", func(i int) map[string]any {
			return map[string]any{"template": "offer_" + strconv.Itoa(i%seedCampaigns)}
		}},
		{"errorCategory", func(int) map[string]any { return map[string]any{"errorCategory": "recipient"} }},
		{"errorCode", func(int) map[string]any { return map[string]any{"errorCode": 131000} }},
		{"errorCode (none)", func(int) map[string]any { return map[string]any{"errorCode": 131031} }},
		{"queuedAfter", func(i int) map[string]any { return map[string]any{"queuedAfter": s.at(spread(i))} }},
		{"queuedAfter (none)", func(int) map[string]any { return map[string]any{"queuedAfter": time.Now().Add(time.Hour)} }},
		{"queuedBefore", func(i int) map[string]any { return map[string]any{"queuedBefore": s.at(spread(i))} }},
		{"queuedBefore (none)", func(int) map[string]any { return map[string]any{"queuedBefore": time.Now().Add(-2 * seedSpan)} }},
	}
	queries := []seedQuery{
		{"messages", pageGoal, pageBy(func(int) map[string]any { return nil })},
		{"sender, large", pageGoal, pageBy(func(int) map[string]any { return map[string]any{"senderId": SenderID(0)} })},
		{"sender", pageGoal, pageBy(func(i int) map[string]any { return map[string]any{"senderId": SenderID(1 + i%(b.Senders-1))} })},
	}
	for _, f := range filters {
		queries = append(queries, seedQuery{f.name, pageGoal, pageBy(f.of)})
	}
	for _, f := range filters {
		queries = append(queries, seedQuery{"sender, " + f.name, pageGoal, pageBy(func(i int) map[string]any {
			filter := f.of(i)
			filter["senderId"] = SenderID(i % b.Senders)
			return filter
		})})
	}
	for _, d := range []struct {
		name   string
		filter map[string]any
	}{
		{"deadLetters", nil},
		{"deadLetters, sender", map[string]any{"senderId": SenderID(3)}},
		{"deadLetters, category", map[string]any{"category": "server"}},
		{"deadLetters, code", map[string]any{"code": 131000}},
		{"deadLetters, label", map[string]any{"label": map[string]any{"name": "campaign", "value": "7"}}},
		{"deadLetters, time", map[string]any{"deadLetteredBefore": s.at(b.Messages / 2)}},
	} {
		queries = append(queries, seedQuery{d.name, pageGoal, func(ctx context.Context, c *harness.Client, _ int) (int, error) {
			var data struct{ DeadLetters struct{ Edges []struct{} } }
			err := c.Do(ctx, `query($f: DeadLetterFilter) { deadLetters(filter: $f) { totalCount byCategory { category count }
				edges { node { at attempts failure { code category advice } message { id status to } } } } }`, map[string]any{"f": d.filter}, &data)
			return len(data.DeadLetters.Edges), err
		}})
	}
	for _, m := range []struct{ name, sender, window string }{
		{"metrics", "", "PT5M"}, {"metrics, sender", SenderID(0), "PT5M"}, {"metrics, an hour", "", "PT1H"}, {"metrics, a day", "", "P1D"},
	} {
		queries = append(queries, seedQuery{m.name, metricsGoal, func(ctx context.Context, c *harness.Client, _ int) (int, error) {
			variables := map[string]any{"w": m.window}
			if m.sender != "" {
				variables["s"] = m.sender
			}
			return 1, c.Do(ctx, `query($s: ID, $w: Duration) { metrics(senderId: $s, window: $w) { queued sent delivered read failed errorRate deliveryRate
				averageDeliveryLatency p50DeliveryLatency p95DeliveryLatency p99DeliveryLatency queueDepth scheduled queueGrowthPerMinute oldestDueAge
				errorsByType { class category code count rate } } }`, variables, &struct{}{})
		}})
	}
	return append(queries, seedQuery{"ledger", pageGoal, func(ctx context.Context, c *harness.Client, _ int) (int, error) {
		_, err := c.Ledger(ctx)
		return 1, err
	}}, seedQuery{"senders", pageGoal, func(ctx context.Context, c *harness.Client, _ int) (int, error) {
		var data struct{ Senders []struct{} }
		err := c.Do(ctx, `{ senders { id state queueDepth scheduled oldestDueAge drainPerMinute emptyIn lanes { priority depth } } }`, nil, &data)
		return len(data.Senders), err
	}})
}

// pageBy lists the newest messages that a filter finds, as a page of a dashboard does.
func pageBy(filter func(i int) map[string]any) func(context.Context, *harness.Client, int) (int, error) {
	return func(ctx context.Context, c *harness.Client, i int) (int, error) {
		var data struct{ Messages struct{ Edges []struct{} } }
		err := c.Do(ctx, `query($f: MessageFilter) { messages(filter: $f) { pageInfo { hasNextPage endCursor }
			edges { node { id type status to attempts queuedAt sentAt labels { name value } failure { code category } sender { id name } } } } }`,
			map[string]any{"f": filter(i)}, &data)
		return len(data.Messages.Edges), err
	}
}
