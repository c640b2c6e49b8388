package store

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Names with a meaning in EventStoreDB.
const (
	metaPrefix      = "$$"             // the metadata of stream S is in stream $$S
	typeMetadata    = "$metadata"      // the event in $$S
	typeTombstone   = "$streamDeleted" // the last event of a deleted stream
	typeLink        = "$>"             // data is "revision@stream" of another event
	contentTypeJSON = "application/json"
	contentTypeBin  = "application/octet-stream"
	// tombstoneRevision is the revision of a stream's $streamDeleted event.
	tombstoneRevision = math.MaxInt64
	// softDeleted as $tb means that the stream reads as missing until it is written again.
	softDeleted = math.MaxInt64
	// maxStreamName is the maximum length of a stream's name in bytes. EventStoreDB has no limit except the size of a
	// message.
	maxStreamName = 1 << 20
)

// Expected is what a writer expects of a stream: its last revision, or one of Any, NoStream, and StreamExists.
type Expected int64

// Expectations other than a revision, with the numbers of EventStoreDB.
const (
	NoStream     Expected = -1
	Any          Expected = -2
	StreamExists Expected = -4
)

func (e Expected) String() string {
	switch e {
	case NoStream:
		return "no stream"
	case Any:
		return "any"
	case StreamExists:
		return "stream exists"
	default:
		return strconv.FormatInt(int64(e), 10)
	}
}

// Event is an event to be appended.
type Event struct {
	ID       uuid.UUID
	Type     string
	JSON     bool
	Data     []byte
	Metadata []byte
}

// size returns the size that Options.MaxAppendBytes limits, computed as EventStoreDB does.
func (e *Event) size() int { return len(e.Data) + len(e.Metadata) + 2*len(e.Type) }

// Written reports where an append or a deletion ended.
type Written struct {
	// Revision is the revision of the last event, or the stream's current revision if the append had no event. It is -1
	// if there is no stream.
	Revision int64
	// Position is the position of the last event. For an append without events, it is a position after all earlier
	// events and before all later ones. It is 0 if there is none: the log is empty, or the append was repeated and its
	// last event can no longer be read through its stream.
	Position uint64
}

// MetadataStream returns the name of the stream that contains the metadata of a stream.
func MetadataStream(stream string) string { return metaPrefix + stream }

func checkStreamName(stream string) error {
	switch {
	case stream == "" || stream == metaPrefix:
		return fmt.Errorf("%w %q", ErrStreamName, stream)
	case len(stream) > maxStreamName:
		return fmt.Errorf("%w: must be at most %[3]d bytes, got %[2]d", ErrStreamName, len(stream), maxStreamName)
	}
	return nil
}

// originalStream returns S for $$S.
func originalStream(stream string) (string, bool) { return strings.CutPrefix(stream, metaPrefix) }

// ticks returns a time in the protocol's unit: 100 ns since 1970.
func ticks(t time.Time) int64 { return t.UnixNano() / 100 }
