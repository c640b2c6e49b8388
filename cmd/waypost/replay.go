package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// replayPage is how many events are asked for at a time.
const replayPage = 500

type replayCommand struct {
	remoteSettings
	Message     string    `help:"Only the events of this message."`
	Stream      string    `help:"Only the events of this stream."`
	Type        []string  `help:"Only events of these types: Queued, Sent, Failed and so on."`
	Sender      string    `help:"Only events about this sender."`
	From        time.Time `help:"Only what was recorded at this time or later, as 2026-01-31T09:00:00Z."`
	To          time.Time `help:"Only what was recorded before this time."`
	AsOf        time.Time `help:"Only what was known at this instant; with --message its state then, too."`
	NewestFirst bool      `help:"The last recorded first."`
	Limit       int       `help:"At most as many events; 0: all." default:"0"`
	Format      string    `help:"table, or jsonl: one event a line, as GraphQL has it." default:"table" enum:"table,jsonl"`
}

// replayed is an event as GraphQL answers it.
type replayed struct {
	ID            string          `json:"id"`
	Type          string          `json:"type"`
	Stream        string          `json:"stream"`
	Revision      int64           `json:"revision"`
	RecordedAt    time.Time       `json:"recordedAt"`
	OccurredAt    *time.Time      `json:"occurredAt"`
	CorrelationID *string         `json:"correlationId"`
	CausationID   *string         `json:"causationId"`
	Data          json.RawMessage `json:"data"`
	By            struct {
		Kind       string  `json:"kind"`
		ID         string  `json:"id"`
		OnBehalfOf *string `json:"onBehalfOf"`
	} `json:"by"`
}

// replayQuery asks for a page of the log.
const replayQuery = `query Replay($filter: EventFilter, $order: LogOrder, $first: Int, $after: String) {
	events(filter: $filter, order: $order, first: $first, after: $after) {
		edges { node { id type stream revision recordedAt occurredAt correlationId causationId data by { kind id onBehalfOf } } }
		pageInfo { hasNextPage endCursor }
	}
}`

// Run prints the log as an auditor's key sees it, page by page.
func (c replayCommand) Run(env *environment) error {
	filter, err := c.filter()
	if err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(env.stdout)
	show := c.printer(out)
	order, left := "OLDEST_FIRST", c.Limit
	if c.NewestFirst {
		order = "NEWEST_FIRST"
	}
	var after *string
	for {
		first := replayPage
		if c.Limit > 0 {
			first = min(first, left)
		}
		var data struct {
			Events struct {
				Edges []struct {
					Node replayed `json:"node"`
				} `json:"edges"`
				PageInfo struct {
					HasNextPage bool    `json:"hasNextPage"`
					EndCursor   *string `json:"endCursor"`
				} `json:"pageInfo"`
			} `json:"events"`
		}
		err := client.do(env.ctx, replayQuery, map[string]any{"filter": filter, "order": order, "first": first, "after": after}, &data)
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		for _, e := range data.Events.Edges {
			if err := show(e.Node); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
		left -= len(data.Events.Edges)
		after = data.Events.PageInfo.EndCursor
		if !data.Events.PageInfo.HasNextPage || c.Limit > 0 && left <= 0 {
			return c.state(env, client)
		}
	}
}

// filter is the EventFilter of the flags.
func (c replayCommand) filter() (map[string]any, error) {
	filter := make(map[string]any)
	for name, value := range map[string]string{"messageId": c.Message, "stream": c.Stream, "senderId": c.Sender} {
		if value != "" {
			filter[name] = value
		}
	}
	if len(c.Type) > 0 {
		filter["types"] = c.Type
	}
	if !c.From.IsZero() {
		filter["from"] = c.From.UTC()
	}
	if !c.To.IsZero() && !c.AsOf.IsZero() {
		return nil, errors.New("--to and --as-of both bound the end; give one of them")
	}
	if !c.To.IsZero() {
		filter["to"] = c.To.UTC()
	}
	if !c.AsOf.IsZero() { // an instant is known as of itself
		filter["to"] = c.AsOf.UTC().Add(time.Nanosecond)
	}
	if c.Limit < 0 {
		return nil, fmt.Errorf("--limit is %d; give 0 for all, or how many", c.Limit)
	}
	return filter, nil
}

// printer writes events in the format asked for.
func (c replayCommand) printer(w io.Writer) func(replayed) error {
	if c.Format == "jsonl" {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		return func(e replayed) error { return encoder.Encode(e) }
	}
	return func(e replayed) error {
		by := strings.ToLower(e.By.Kind) + " " + e.By.ID
		if e.By.OnBehalfOf != nil {
			by += " for " + *e.By.OnBehalfOf
		}
		_, err := fmt.Fprintf(w, "%s  %-14s  %s/%d  by %s\n    %s\n", e.RecordedAt.UTC().Format("2006-01-02T15:04:05.000Z"),
			e.Type, e.Stream, e.Revision, by, e.Data)
		return err
	}
}

// state prints what a message was at the instant asked for.
func (c replayCommand) state(env *environment, client *graphqlClient) error {
	if c.Message == "" || c.AsOf.IsZero() || c.Format != "table" {
		return nil
	}
	var data struct {
		Message *struct {
			Status   string `json:"status"`
			Attempts int    `json:"attempts"`
		} `json:"message"`
	}
	err := client.do(env.ctx, `query($id: ID!, $asOf: Time) { message(id: $id, asOf: $asOf) { status attempts } }`,
		map[string]any{"id": c.Message, "asOf": c.AsOf.UTC()}, &data)
	if err != nil {
		return err
	}
	state := "not known"
	if data.Message != nil {
		state = fmt.Sprintf("%s after %d attempts", data.Message.Status, data.Message.Attempts)
	}
	_, err = fmt.Fprintf(env.stdout, "as of %s: %s\n", c.AsOf.UTC().Format(time.RFC3339Nano), state)
	return err
}
