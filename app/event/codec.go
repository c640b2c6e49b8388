package event

import (
	"context"
	"encoding/json"
	"fmt"

	fastjson "github.com/segmentio/encoding/json"

	"github.com/waypost/waypost/domain"
)

// Codec encodes events as the JSON in the event log, and decodes them. It decodes only the
// types that it was given.
//
// Only the codec reads and writes the member "personal" of an event's data. With a vault,
// it seals the member. Without one, it writes personal data in plain text and cannot read
// sealed data.
type Codec struct {
	types map[string]domain.Type
	vault Vault
}

// WithVault returns a copy of the codec that seals personal data with v.
func (c *Codec) WithVault(v Vault) *Codec { return &Codec{types: c.types, vault: v} }

// NewCodec returns a codec for the event types of all aggregates. It returns an error if
// two types have the same name, because names are unique across all streams.
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

// Encode returns the data and the metadata of an event of this stream as JSON, and the key
// that seals its personal data, if it has any. It adds the version of the event's shape and
// the time of occurrence to the metadata.
func (c *Codec) Encode(ctx context.Context, stream string, n Proposed) (data, meta []byte, key KeyID, err error) {
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
	if meta, err = encodeMeta(&m); err != nil {
		return nil, nil, "", fmt.Errorf("encode metadata of %s: %w", t.Name, err)
	}
	return data, meta, key, nil
}

// PrefetchKeys fetches the keys of these events, given as in the event log, in one go, so
// that Decode has them. It returns ErrLocked if they are unavailable at the moment.
func (c *Codec) PrefetchKeys(ctx context.Context, events ...[]byte) error {
	if c.vault == nil {
		return nil
	}
	keys := make([]KeyID, 0, len(events))
	for _, data := range events {
		if key := SealingKeyID(data); key != "" {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return c.vault.Fetch(ctx, keys)
}

// Decode completes r from the data and the metadata in the event log. If the type is
// unknown, r.Event stays nil and Decode returns no error. It also returns no error for
// personal data that cannot be read, which r.Personal reports.
func (c *Codec) Decode(ctx context.Context, r *Recorded, data, meta []byte) error {
	return c.decode(ctx, r, data, meta, true)
}

// DecodeSealed is Decode without the personal data: it is Locked, and r.Data is as in the
// event log.
func (c *Codec) DecodeSealed(ctx context.Context, r *Recorded, data, meta []byte) error {
	return c.decode(ctx, r, data, meta, false)
}

// DecodeMeta decodes the metadata of an event.
func (c *Codec) DecodeMeta(meta []byte) (m Meta, err error) {
	if err := fastjson.Unmarshal(meta, &m); err != nil {
		return Meta{}, fmt.Errorf("decode metadata: %w", err)
	}
	return m, nil
}

func (c *Codec) decode(ctx context.Context, r *Recorded, data, meta []byte, personal bool) error {
	r.Data = data
	if err := fastjson.Unmarshal(meta, &r.Meta); err != nil {
		return fmt.Errorf("decode metadata of %s at %s/%d: %w: %w", r.Type, r.Stream, r.Revision, ErrUndecodable, err)
	}
	opened, err := c.openMember(ctx, r, data, personal)
	if err != nil {
		return fmt.Errorf("decode %s at %s/%d: %w: %w", r.Type, r.Stream, r.Revision, ErrUndecodable, err)
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
		return fmt.Errorf("%s/%d: %w: %w", r.Stream, r.Revision, ErrUndecodable, err)
	}
	r.Event = e
	return nil
}
