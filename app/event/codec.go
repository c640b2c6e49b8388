package event

import (
	"encoding/json"
	"fmt"

	"github.com/waypost/waypost/domain"
)

// Codec turns events into the JSON of the log and back. It knows every type
// that it was given and leaves others undecoded.
type Codec struct{ types map[string]domain.Type }

// NewCodec makes a codec over the types of all aggregates. A name that is given
// twice is an error: type names are unique over all streams.
func NewCodec(groups ...[]domain.Type) (*Codec, error) {
	c := &Codec{types: make(map[string]domain.Type)}
	for _, g := range groups {
		for _, t := range g {
			if _, taken := c.types[t.Name]; taken {
				return nil, fmt.Errorf("event type %s is registered twice", t.Name)
			}
			c.types[t.Name] = t
		}
	}
	return c, nil
}

// Encode gives the data and the metadata of an event as JSON. It completes the
// metadata with the version of the event's shape and the time it occurred at.
func (c *Codec) Encode(n New) (data, meta []byte, err error) {
	t, known := c.types[n.Event.EventType()]
	if !known {
		return nil, nil, fmt.Errorf("event type %s is not registered", n.Event.EventType())
	}
	m := n.Meta
	m.V = t.Version
	if o, ok := n.Event.(domain.Occurred); ok && m.OccurredAt.IsZero() {
		m.OccurredAt = o.OccurredAt()
	}
	if data, err = json.Marshal(n.Event); err != nil {
		return nil, nil, fmt.Errorf("encode %s: %w", t.Name, err)
	}
	if meta, err = json.Marshal(m); err != nil {
		return nil, nil, fmt.Errorf("encode metadata of %s: %w", t.Name, err)
	}
	return data, meta, nil
}

// Decode completes r from the data and metadata of the log. A type that is not
// known leaves r.Event nil and is no error.
func (c *Codec) Decode(r *Recorded, data, meta []byte) error {
	r.Data = data
	if err := json.Unmarshal(meta, &r.Meta); err != nil {
		return fmt.Errorf("decode metadata of %s at %s/%d: %w", r.Type, r.Stream, r.Revision, err)
	}
	t, known := c.types[r.Type]
	if !known {
		return nil
	}
	e, err := t.Decode(data)
	if err != nil {
		return fmt.Errorf("%s/%d: %w", r.Stream, r.Revision, err)
	}
	r.Event = e
	return nil
}
