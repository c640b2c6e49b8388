package graph

import (
	"context"
	"encoding/json"

	"github.com/waypost/waypost/app/event"
)

func (r *Resolver) eventOf(ctx context.Context, e event.Recorded) *EventEdge {
	node := &Event{
		ID: e.ID.String(), Type: e.Type, Stream: e.Stream, Revision: int64(e.Revision),
		RecordedAt: e.Meta.RecordedAt, OccurredAt: instant(e.Meta.OccurredAt), Data: callerOf(ctx).data(e.Data),
		CorrelationID: given(e.Meta.CorrelationID), CausationID: given(e.Meta.CausationID),
		By: &Actor{Kind: e.Meta.By.Kind, ID: e.Meta.By.ID, OnBehalfOf: given(e.Meta.OnBehalfOf)},
	}
	return &EventEdge{Cursor: r.cursor(e.Position), Node: node}
}

// data returns an event's data with its personal members set to null, unless the caller
// has access to them. Data that is not an object is omitted rather than returned.
func (c caller) data(raw []byte) json.RawMessage {
	if c.may(ScopePersonal) {
		return raw
	}
	var data, personal map[string]json.RawMessage
	if json.Unmarshal(raw, &data) != nil {
		return nil
	}
	sealed, has := data["personal"]
	if !has {
		return raw
	}
	if json.Unmarshal(sealed, &personal) != nil {
		personal = nil
	}
	for name := range personal {
		personal[name] = json.RawMessage("null")
	}
	var err error
	if data["personal"], err = json.Marshal(personal); err != nil {
		return nil
	}
	shown, err := json.Marshal(data)
	if err != nil {
		return nil
	}
	return shown
}
