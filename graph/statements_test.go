package graph_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/adapters/postgres"
)

// exchanges counts the round trips to Postgres: statements, and batches of them as one.
type exchanges struct{ n atomic.Int64 }

func (e *exchanges) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	e.n.Add(1)
	return ctx
}

func (e *exchanges) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (e *exchanges) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	e.n.Add(1)
	return ctx
}

func (e *exchanges) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (e *exchanges) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// A page of a hundred messages of twenty senders needs as many round trips to Postgres
// as a page of two messages.
func TestPageOfMessagesWithSendersAsksPostgresAsOftenWhateverItsLength(t *testing.T) {
	t.Parallel()
	p := setup(t)
	const senders = 20
	for i := range senders {
		id := fmt.Sprintf("s-%d", i)
		p.ok("admin", `mutation($in: RegisterSenderInput!) { registerSender(input: $in) { id } }`, map[string]any{
			"in": map[string]any{"id": id, "name": id, "phoneNumberId": fmt.Sprint(2000 + i)},
		})
	}
	inputs := make([]map[string]any, 100)
	for i := range inputs {
		inputs[i] = map[string]any{
			"senderId": fmt.Sprintf("s-%d", i%senders), "to": fmt.Sprintf("+1415555%04d", i),
			"content": map[string]any{"text": map[string]any{"body": "Hello"}},
		}
	}
	p.ok("admin", `mutation($in: [QueueMessageInput!]!) { queueMessages(inputs: $in) { error { message } } }`, map[string]any{"in": inputs})
	p.project()

	var tracer exchanges
	config := p.pool.Config()
	config.ConnConfig.Tracer = &tracer
	pool, err := pgxpool.NewWithConfig(p.ctx, config)
	must(t, err)
	t.Cleanup(pool.Close)
	read := postgres.NewReadModel(pool).WithVault(p.people)
	opts := p.options
	opts.Queries.MessageReader, opts.Queries.SenderReader, opts.Queries.MetricsReader = read, read, read
	p.serve(opts)
	count := func(first int) int64 {
		before := tracer.n.Load()
		data := p.ok("admin", `query($n: Int) { messages(first: $n) { edges { node { id to status labels { name } failure { advice }
			sender { id name state effectiveRate queueDepth scheduled oldestDueAge drainPerMinute emptyIn lanes { priority depth } } } } } }`,
			map[string]any{"n": first})
		edges := data["messages"].(map[string]any)["edges"].([]any)
		if len(edges) != first {
			t.Fatalf("%d messages on a page of %d", len(edges), first)
		}
		return tracer.n.Load() - before
	}
	count(100) // so that statements are prepared
	few, many := count(2), count(100)
	if few == 0 || many != few {
		t.Errorf("2 messages take %d exchanges with Postgres, 100 take %d; want as many", few, many)
	}
}
