package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
)

// replayPage is the number of events that one request returns.
const replayPage = 500

type replayCommand struct {
	remoteSettings
	Message     string    `help:"Message ID. If omitted, events of all messages."`
	Stream      string    `help:"Stream name. If omitted, all streams."`
	Type        []string  `help:"Event types, such as Queued, Sent, or Failed. If omitted, all types."`
	Sender      string    `help:"Sender ID. If omitted, all senders."`
	From        time.Time `help:"Earliest time of recording, for example 2026-01-31T09:00:00Z."`
	To          time.Time `help:"Time of recording to stop before."`
	AsOf        time.Time `help:"Print what was known at this time. With --message, also the state of the message at that time."`
	NewestFirst bool      `help:"Print the newest events first."`
	Limit       int       `help:"Maximum number of events. 0 prints all." default:"0"`
	Format      string    `help:"Format: table, or jsonl with one event per line as GraphQL returns it." default:"table" enum:"table,jsonl"`
}

// replayed is an event as GraphQL returns it.
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

// replayQuery returns a page of the event log.
const replayQuery = `query Replay($filter: EventFilter, $order: LogOrder, $first: Int, $after: String) {
	events(filter: $filter, order: $order, first: $first, after: $after) {
		edges { node { id type stream revision recordedAt occurredAt correlationId causationId data by { kind id onBehalfOf } } }
		pageInfo { hasNextPage endCursor }
	}
}`

// Run prints the event log page by page.
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
		err := client.Do(env.ctx, replayQuery, map[string]any{"filter": filter, "order": order, "first": first, "after": after}, &data)
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

// filter returns the EventFilter that the flags describe.
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
		return nil, errors.New("--to and --as-of both set the end; use one of them")
	}
	if !c.To.IsZero() {
		filter["to"] = c.To.UTC()
	}
	if !c.AsOf.IsZero() { // the time itself is included
		filter["to"] = c.AsOf.UTC().Add(time.Nanosecond)
	}
	if c.Limit < 0 {
		return nil, fmt.Errorf("--limit: must be 0 for all events, or positive, got %d", c.Limit)
	}
	return filter, nil
}

// printer returns a function that prints an event in the selected format.
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

// state prints the state that a message had at the selected time.
func (c replayCommand) state(env *environment, client *apiclient.Client) error {
	if c.Message == "" || c.AsOf.IsZero() || c.Format != "table" {
		return nil
	}
	var data struct {
		Message *struct {
			Status   string `json:"status"`
			Attempts int    `json:"attempts"`
		} `json:"message"`
	}
	err := client.Do(env.ctx, `query($id: ID!, $asOf: Time) { message(id: $id, asOf: $asOf) { status attempts } }`,
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
