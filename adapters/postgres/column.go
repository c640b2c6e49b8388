package postgres

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// column returns one column of rows as an array for unnest.
func column[R, V any](rows []R, value func(R) V) array[V] {
	values := make(array[V], len(rows))
	for i, r := range rows {
		values[i] = value(r)
	}
	return values
}

// array is an array that the driver encodes without reflection. Unlike with a
// pgtype.FlatArray, elements of the most frequent types are passed as pointers into it: in an
// interface, a text, an ID, or a time would take one or two allocations, and a batch has
// thousands. Texts are only for columns of type text, not for jsonb.
type array[V any] []V

// Dimensions implements pgtype.ArrayGetter.
func (a array[V]) Dimensions() []pgtype.ArrayDimension {
	return pgtype.FlatArray[V](a).Dimensions()
}

// Index implements pgtype.ArrayGetter. A nil element is NULL.
func (a array[V]) Index(i int) any {
	switch p := any(&a[i]).(type) {
	case *string:
		return (*textElement)(p)
	case **string:
		return nullable((*textElement)(*p))
	case *time.Time:
		return (*timeElement)(p)
	case **time.Time:
		return nullable((*timeElement)(*p))
	case *uuid.UUID:
		return (*uuidElement)(p)
	case *int64:
		return (*int64Element)(p)
	}
	return a[i]
}

// IndexType implements pgtype.ArrayGetter.
func (a array[V]) IndexType() any {
	var zero V
	switch any(&zero).(type) {
	case *string, **string:
		return (*textElement)(nil)
	case *time.Time, **time.Time:
		return (*timeElement)(nil)
	case *uuid.UUID:
		return (*uuidElement)(nil)
	case *int64:
		return (*int64Element)(nil)
	}
	return zero
}

func nullable[E any](p *E) any {
	if p == nil {
		return nil
	}
	return p
}

// The elements of an array as the driver's codecs take them.
type (
	textElement  string
	timeElement  time.Time
	uuidElement  uuid.UUID
	int64Element int64
)

// TextValue implements pgtype.TextValuer.
func (e *textElement) TextValue() (pgtype.Text, error) {
	return pgtype.Text{String: string(*e), Valid: true}, nil
}

// TimestamptzValue implements pgtype.TimestamptzValuer.
func (e *timeElement) TimestamptzValue() (pgtype.Timestamptz, error) {
	return pgtype.Timestamptz{Time: time.Time(*e), Valid: true}, nil
}

// UUIDValue implements pgtype.UUIDValuer.
func (e *uuidElement) UUIDValue() (pgtype.UUID, error) {
	return pgtype.UUID{Bytes: *e, Valid: true}, nil
}

// Int64Value implements pgtype.Int64Valuer.
func (e *int64Element) Int64Value() (pgtype.Int8, error) {
	return pgtype.Int8{Int64: int64(*e), Valid: true}, nil
}
