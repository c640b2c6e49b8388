package event

import (
	"context"
	"encoding/json"
	"fmt"

	fastjson "github.com/segmentio/encoding/json"

	"github.com/waypost/waypost/domain"
)

// Codec turns events into the JSON of the log and back. It knows every type
// that it was given and leaves others undecoded.
//
// It alone reads and writes the member "personal" of an event's data: with a
// vault it stands sealed in the log. Without one, personal data are written as
// they are, and sealed ones cannot be read.
type Codec struct {
	types map[string]domain.Type
	vault Vault
}

// Sealing is the codec with a vault.
func (c *Codec) Sealing(v Vault) *Codec { return &Codec{types: c.types, vault: v} }

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

// Encode gives the data and the metadata of an event of this stream as JSON, and
// the key that its personal data are sealed under, if it has any. It completes
// the metadata with the version of the event's shape and the time it occurred at.
func (c *Codec) Encode(ctx context.Context, stream string, n New) (data, meta []byte, key KeyID, err error) {
	t, known := c.types[n.Event.EventType()]
	if !known {
		return nil, nil, "", fmt.Errorf("event type %s is not registered", n.Event.EventType())
	}
	m := n.Meta
	m.V = t.Version
	if o, ok := n.Event.(domain.Occurred); ok && m.OccurredAt.IsZero() {
		m.OccurredAt = o.OccurredAt()
	}
	if data, err = json.Marshal(n.Event); err != nil {
		return nil, nil, "", fmt.Errorf("encode %s: %w", t.Name, err)
	}
	if data, key, err = c.sealMember(ctx, stream, n, data); err != nil {
		return nil, nil, "", fmt.Errorf("seal the personal data of %s: %w", t.Name, err)
	}
	if meta, err = json.Marshal(m); err != nil {
		return nil, nil, "", fmt.Errorf("encode metadata of %s: %w", t.Name, err)
	}
	return data, meta, key, nil
}

// Fetch makes the keys of these events, as they stand in the log, ready for
// Decode in one go. ErrLocked if they cannot be had at the moment.
func (c *Codec) Fetch(ctx context.Context, events ...[]byte) error {
	if c.vault == nil {
		return nil
	}
	keys := make([]KeyID, 0, len(events))
	for _, data := range events {
		if key := KeyOf(data); key != "" {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return c.vault.Fetch(ctx, keys)
}

// Decode completes r from the data and metadata of the log. A type that is not
// known leaves r.Event nil and is no error. Neither is personal data that cannot
// be read: r.Personal says so.
func (c *Codec) Decode(ctx context.Context, r *Recorded, data, meta []byte) error {
	return c.decode(ctx, r, data, meta, true)
}

// DecodeSealed is Decode without the personal data: they are Locked, and r.Data is
// as it stands in the log.
func (c *Codec) DecodeSealed(ctx context.Context, r *Recorded, data, meta []byte) error {
	return c.decode(ctx, r, data, meta, false)
}

func (c *Codec) decode(ctx context.Context, r *Recorded, data, meta []byte, personal bool) error {
	r.Data = data
	if err := fastjson.Unmarshal(meta, &r.Meta); err != nil {
		return fmt.Errorf("decode metadata of %s at %s/%d: %w", r.Type, r.Stream, r.Revision, err)
	}
	opened, err := c.openMember(ctx, r, data, personal)
	if err != nil {
		return fmt.Errorf("decode %s at %s/%d: %w", r.Type, r.Stream, r.Revision, err)
	}
	if personal {
		r.Data = opened
	}
	t, known := c.types[r.Type]
	if !known {
		return nil
	}
	e, err := t.Decode(opened)
	if err != nil {
		return fmt.Errorf("%s/%d: %w", r.Stream, r.Revision, err)
	}
	r.Event = e
	return nil
}
