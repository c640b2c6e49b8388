package store

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protowire"
)

// Record is one event of the log in wire form.
type Record struct {
	Position uint64
	// Wire is an encoded event_store.client.streams.ReadResp that contains the event. It is shared and must not be
	// changed.
	Wire []byte
}

// RecordView is a decoded record. Its slices point into the record.
type RecordView struct {
	ID          uuid.UUID
	Stream      []byte
	Type        []byte
	ContentType []byte
	Revision    int64
	Position    uint64
	// Created is in units of 100 ns since 1970.
	Created  int64
	Data     []byte
	Metadata []byte
}

// JSON reports whether the event's data was declared to be JSON.
func (v *RecordView) JSON() bool { return string(v.ContentType) == contentTypeJSON }

// CreatedAt returns the time at which the event was recorded.
func (v *RecordView) CreatedAt() time.Time { return time.Unix(0, v.Created*100) }

// Field numbers of the messages in streams.proto and shared.proto that a record consists of.
const (
	fieldReadRespEvent       = 1
	fieldReadEventEvent      = 1
	fieldReadEventCommit     = 3
	fieldRecordedID          = 1
	fieldRecordedStream      = 2
	fieldRecordedRevision    = 3
	fieldRecordedPrepare     = 4
	fieldRecordedCommit      = 5
	fieldRecordedSystem      = 6
	fieldRecordedMetadata    = 7
	fieldRecordedData        = 8
	fieldUUIDStructured      = 1
	fieldUUIDString          = 2
	fieldStructuredMost      = 1
	fieldStructuredLeast     = 2
	fieldIdentifierName      = 3
	fieldMapKey              = 1
	fieldMapValue            = 2
	keyType                  = "type"
	keyCreated               = "created"
	keyContentType           = "content-type"
	maxDecimalDigits         = 20
	recordOverhead           = 160 // maximum size of a record beyond stream, type, data, and metadata
	wireVarint, wireBytesTyp = protowire.VarintType, protowire.BytesType
)

// appendRecord appends the wire form of an event to dst.
func appendRecord(dst []byte, stream string, revision int64, position uint64, created int64, e *Event) []byte {
	most := binary.BigEndian.Uint64(e.ID[:8])
	least := binary.BigEndian.Uint64(e.ID[8:])
	contentType := contentTypeBin
	if e.JSON {
		contentType = contentTypeJSON
	}
	var digits [maxDecimalDigits]byte
	createdText := strconv.AppendInt(digits[:0], created, 10)

	// Every field number is below 16, so each tag is one byte.
	structured := 2 + protowire.SizeVarint(most) + protowire.SizeVarint(least)
	id := 1 + protowire.SizeBytes(structured)
	identifier := 1 + protowire.SizeBytes(len(stream))
	typeEntry := mapEntrySize(keyType, len(e.Type))
	createdEntry := mapEntrySize(keyCreated, len(createdText))
	contentEntry := mapEntrySize(keyContentType, len(contentType))
	recorded := 8 + protowire.SizeBytes(id) + protowire.SizeBytes(identifier) +
		protowire.SizeVarint(uint64(revision)) + 2*protowire.SizeVarint(position) +
		protowire.SizeBytes(typeEntry) + protowire.SizeBytes(createdEntry) + protowire.SizeBytes(contentEntry)
	if len(e.Metadata) > 0 {
		recorded += 1 + protowire.SizeBytes(len(e.Metadata))
	}
	if len(e.Data) > 0 {
		recorded += 1 + protowire.SizeBytes(len(e.Data))
	}
	readEvent := 2 + protowire.SizeBytes(recorded) + protowire.SizeVarint(position)

	dst = appendLength(dst, fieldReadRespEvent, readEvent)
	dst = appendLength(dst, fieldReadEventEvent, recorded)

	dst = appendLength(dst, fieldRecordedID, id)
	dst = appendLength(dst, fieldUUIDStructured, structured)
	dst = appendNumber(dst, fieldStructuredMost, most)
	dst = appendNumber(dst, fieldStructuredLeast, least)

	dst = appendLength(dst, fieldRecordedStream, identifier)
	dst = appendText(dst, fieldIdentifierName, stream)

	dst = appendNumber(dst, fieldRecordedRevision, uint64(revision))
	dst = appendNumber(dst, fieldRecordedPrepare, position)
	dst = appendNumber(dst, fieldRecordedCommit, position)

	dst = appendLength(dst, fieldRecordedSystem, typeEntry)
	dst = appendText(dst, fieldMapKey, keyType)
	dst = appendText(dst, fieldMapValue, e.Type)
	dst = appendLength(dst, fieldRecordedSystem, createdEntry)
	dst = appendText(dst, fieldMapKey, keyCreated)
	dst = appendText(dst, fieldMapValue, createdText)
	dst = appendLength(dst, fieldRecordedSystem, contentEntry)
	dst = appendText(dst, fieldMapKey, keyContentType)
	dst = appendText(dst, fieldMapValue, contentType)

	if len(e.Metadata) > 0 {
		dst = appendText(dst, fieldRecordedMetadata, e.Metadata)
	}
	if len(e.Data) > 0 {
		dst = appendText(dst, fieldRecordedData, e.Data)
	}
	return appendNumber(dst, fieldReadEventCommit, position)
}

func mapEntrySize(key string, value int) int {
	return 2 + protowire.SizeBytes(len(key)) + protowire.SizeBytes(value)
}

func appendLength(dst []byte, field protowire.Number, length int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, field, wireBytesTyp), uint64(length))
}

func appendNumber(dst []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, field, wireVarint), v)
}

func appendText[T string | []byte](dst []byte, field protowire.Number, v T) []byte {
	return append(appendLength(dst, field, len(v)), v...)
}

// recordSizeHint returns an upper bound of the length of an event's record.
func recordSizeHint(stream string, e *Event) int {
	return recordOverhead + len(stream) + len(e.Type) + len(e.Data) + len(e.Metadata)
}

// Recorded returns the encoded RecordedEvent inside the record.
func (r Record) Recorded() ([]byte, error) {
	event, err := fieldBytes(r.Wire, fieldReadRespEvent)
	if err != nil {
		return nil, fmt.Errorf("record at position %d: %w", r.Position, err)
	}
	recorded, err := fieldBytes(event, fieldReadEventEvent)
	if err != nil {
		return nil, fmt.Errorf("record at position %d: %w", r.Position, err)
	}
	return recorded, nil
}

// Names returns the names of the event's stream and type, which are at the beginning of the record. It is much cheaper
// than View.
func (r Record) Names() (stream, eventType []byte, err error) {
	recorded, err := r.Recorded()
	if err != nil {
		return nil, nil, err
	}
	var v RecordView
	for f := range fields(recorded) {
		switch f.number {
		case fieldRecordedStream:
			v.Stream, err = fieldBytes(f.bytes, fieldIdentifierName)
		case fieldRecordedSystem:
			err = v.system(f.bytes)
		case fieldBroken:
			err = ErrCorrupted
		}
		if err != nil {
			return nil, nil, fmt.Errorf("record at position %d: %w", r.Position, err)
		}
		if v.Stream != nil && v.Type != nil {
			break
		}
	}
	return v.Stream, v.Type, nil
}

// View decodes the record.
func (r Record) View() (RecordView, error) {
	recorded, err := r.Recorded()
	if err != nil {
		return RecordView{}, err
	}
	v := RecordView{Position: r.Position}
	for f := range fields(recorded) {
		switch f.number {
		case fieldRecordedID:
			v.ID, err = ParseUUID(f.bytes)
		case fieldRecordedStream:
			v.Stream, err = fieldBytes(f.bytes, fieldIdentifierName)
		case fieldRecordedRevision:
			v.Revision = int64(f.varint)
		case fieldRecordedSystem:
			err = v.system(f.bytes)
		case fieldRecordedMetadata:
			v.Metadata = f.bytes
		case fieldRecordedData:
			v.Data = f.bytes
		case fieldBroken:
			err = ErrCorrupted
		}
		if err != nil {
			return RecordView{}, fmt.Errorf("record at position %d: %w", r.Position, err)
		}
	}
	return v, nil
}

func (v *RecordView) system(entry []byte) error {
	var key, value []byte
	for f := range fields(entry) {
		switch f.number {
		case fieldMapKey:
			key = f.bytes
		case fieldMapValue:
			value = f.bytes
		case fieldBroken:
			return ErrCorrupted
		}
	}
	switch string(key) {
	case keyType:
		v.Type = value
	case keyContentType:
		v.ContentType = value
	case keyCreated:
		for _, c := range value {
			if c < '0' || c > '9' {
				return ErrCorrupted
			}
			v.Created = v.Created*10 + int64(c-'0')
		}
	}
	return nil
}

// field is one field of an encoded message: bytes for a length-delimited field, otherwise varint.
type field struct {
	number protowire.Number
	bytes  []byte
	varint uint64
}

// fieldBroken is the number of a field at which the message becomes unreadable.
const fieldBroken protowire.Number = -1

// fields returns an iterator over the fields of an encoded message.
func fields(b []byte) func(yield func(field) bool) {
	return func(yield func(field) bool) {
		for len(b) > 0 {
			number, typ, n := protowire.ConsumeTag(b)
			if n < 0 {
				yield(field{number: fieldBroken})
				return
			}
			b = b[n:]
			f := field{number: number}
			switch typ {
			case protowire.BytesType:
				f.bytes, n = protowire.ConsumeBytes(b)
			case protowire.VarintType:
				f.varint, n = protowire.ConsumeVarint(b)
			default:
				n = protowire.ConsumeFieldValue(number, typ, b)
			}
			if n < 0 {
				yield(field{number: fieldBroken})
				return
			}
			b = b[n:]
			if !yield(f) {
				return
			}
		}
	}
}

func fieldBytes(b []byte, number protowire.Number) ([]byte, error) {
	for f := range fields(b) {
		switch f.number {
		case number:
			return f.bytes, nil
		case fieldBroken:
			return nil, ErrCorrupted
		}
	}
	return nil, ErrCorrupted
}

// ParseUUID parses an encoded event_store.client.UUID.
func ParseUUID(b []byte) (uuid.UUID, error) {
	for f := range fields(b) {
		switch f.number {
		case fieldUUIDStructured:
			var id uuid.UUID
			for p := range fields(f.bytes) {
				switch p.number {
				case fieldStructuredMost:
					binary.BigEndian.PutUint64(id[:8], p.varint)
				case fieldStructuredLeast:
					binary.BigEndian.PutUint64(id[8:], p.varint)
				case fieldBroken:
					return uuid.Nil, ErrCorrupted
				}
			}
			return id, nil
		case fieldUUIDString:
			id, err := uuid.ParseBytes(f.bytes)
			if err != nil {
				return uuid.Nil, fmt.Errorf("event id: %w", err)
			}
			return id, nil
		case fieldBroken:
			return uuid.Nil, ErrCorrupted
		}
	}
	return uuid.Nil, ErrCorrupted
}
