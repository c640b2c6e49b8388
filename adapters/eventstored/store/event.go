package store

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Names that EventStoreDB gives a meaning to.
const (
	metaPrefix      = "$$"             // the metadata of stream S stands in stream $$S
	typeMetadata    = "$metadata"      // the event in $$S
	typeTombstone   = "$streamDeleted" // the last event of a deleted stream
	typeLink        = "$>"             // data is "revision@stream" of another event
	contentTypeJSON = "application/json"
	contentTypeBin  = "application/octet-stream"
	// tombstoneRevision is the revision of a stream's $streamDeleted event.
	tombstoneRevision = math.MaxInt64
	// softDeleted as $tb means that the stream reads as missing until it is written again.
	softDeleted = math.MaxInt64
	// maxStreamName in bytes keeps keys small; EventStoreDB states no limit of its own.
	maxStreamName = 4096
)

// Expected is what a writer expects of a stream: its last revision, or one of Any, NoStream and StreamExists.
type Expected int64

// Expectations that are no revision; the numbers are those of EventStoreDB.
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

// size is what counts against Options.MaxAppendBytes, computed as EventStoreDB does.
func (e *Event) size() int { return len(e.Data) + len(e.Metadata) + 2*len(e.Type) }

// Written tells where an append or a deletion ended.
type Written struct {
	// Revision is that of the last event, or the stream's current one if the append had no event; -1 = no stream.
	Revision int64
	// Position is that of the last event; 0 if the append had none.
	Position uint64
}

// MetadataStream returns the name of the stream that holds the metadata of a stream.
func MetadataStream(stream string) string { return metaPrefix + stream }

func checkStreamName(stream string) error {
	switch {
	case stream == "" || stream == metaPrefix:
		return fmt.Errorf("%w %q", ErrStreamName, stream)
	case len(stream) > maxStreamName:
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrStreamName, len(stream), maxStreamName)
	}
	return nil
}

// originalStream returns S for $$S.
func originalStream(stream string) (string, bool) { return strings.CutPrefix(stream, metaPrefix) }

// ticks are the protocol's unit of time: 100 ns since 1970.
func ticks(t time.Time) int64 { return t.UnixNano() / 100 }
