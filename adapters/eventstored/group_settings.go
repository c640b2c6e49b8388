package eventstored

import (
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// groupKey identifies a consumer group, which EventStoreDB calls a persistent subscription.
type groupKey struct {
	Stream string `json:"stream"` // allStream for $all
	Name   string `json:"name"`
}

// allStream stands for the whole log where a stream's name is expected.
const allStream = "$all"

func (k groupKey) all() bool { return k.Stream == allStream }

// checkpointStream and parkedStream return the names that EventStoreDB uses.
func (k groupKey) checkpointStream() string { return k.prefix() + "-checkpoint" }
func (k groupKey) parkedStream() string     { return k.prefix() + "-parked" }

func (k groupKey) prefix() string { return groupStreamPrefix + k.Stream + "::" + k.Name }

const (
	groupStreamPrefix = "$persistentsubscription-"
	// hiddenStreamPrefix is the prefix of the streams of groups on $all. They are not part of $all, because a group
	// would otherwise receive its own checkpoints.
	hiddenStreamPrefix = groupStreamPrefix + allStream + "::"
)

// strategy is how messages are distributed among the consumers of a group.
type strategy string

const (
	roundRobin          strategy = "RoundRobin"
	dispatchToSingle    strategy = "DispatchToSingle"
	pinned              strategy = "Pinned"
	pinnedByCorrelation strategy = "PinnedByCorrelation"
)

// groupSettings are the settings that a group was created or updated with. They are stored as JSON in the log.
type groupSettings struct {
	groupKey
	// StartAt is the first revision or position that the group reads. StartFrom is the client's notation of it.
	StartAt      uint64      `json:"startAt"`
	StartFrom    string      `json:"startFrom"`
	Filter       *filterSpec `json:"filter,omitempty"`
	ResolveLinks bool        `json:"resolveLinks,omitempty"`
	ExtraStats   bool        `json:"extraStatistics,omitempty"`
	// MaxRetryCount is the number of times that a message is sent again before it is parked.
	MaxRetryCount int32 `json:"maxRetryCount"`
	// MessageTimeoutMS is the time after which an unacknowledged message is sent again. Zero means never.
	MessageTimeoutMS   int32    `json:"messageTimeoutMs"`
	CheckpointAfterMS  int32    `json:"checkpointAfterMs"`
	MinCheckpointCount int32    `json:"minCheckpointCount"`
	MaxCheckpointCount int32    `json:"maxCheckpointCount"`
	MaxSubscriberCount int32    `json:"maxSubscriberCount"` // 0 = unlimited
	LiveBufferSize     int32    `json:"liveBufferSize"`
	ReadBatchSize      int32    `json:"readBatchSize"`
	HistoryBufferSize  int32    `json:"historyBufferSize"`
	Strategy           strategy `json:"strategy"`
}

// maxGroupBuffer limits the number of messages that a group holds in memory, regardless of its settings.
const maxGroupBuffer = 5000

// groupSettingsError is the reason why a group cannot have the requested settings. Clients receive it as EventStoreDB's
// failed subscription. Settings that EventStoreDB does not check are an invalid argument instead.
type groupSettingsError struct{ reason string }

func (e *groupSettingsError) Error() string { return "persistent subscription: " + e.reason }

func (s *groupSettings) check() error {
	for name, v := range map[string]int32{
		"max retry count": s.MaxRetryCount, "message timeout": s.MessageTimeoutMS, "checkpoint after": s.CheckpointAfterMS,
		"min checkpoint count": s.MinCheckpointCount, "max subscriber count": s.MaxSubscriberCount,
	} {
		if v < 0 {
			return status.Errorf(codes.InvalidArgument, "persistent subscription: %s must not be negative, got %d", name, v)
		}
	}
	switch {
	case s.Name == "":
		return status.Error(codes.InvalidArgument, "persistent subscription: group name is missing")
	case s.ReadBatchSize <= 0:
		return status.Errorf(codes.InvalidArgument, "persistent subscription: read batch size must be at least 1, got %d", s.ReadBatchSize)
	case s.ReadBatchSize >= s.LiveBufferSize:
		return &groupSettingsError{fmt.Sprintf("read batch size must be less than live buffer size, got %d and %d",
			s.ReadBatchSize, s.LiveBufferSize)}
	case s.ReadBatchSize >= s.HistoryBufferSize:
		return &groupSettingsError{fmt.Sprintf("read batch size must be less than history buffer size, got %d and %d",
			s.ReadBatchSize, s.HistoryBufferSize)}
	}
	switch s.Strategy {
	case roundRobin, dispatchToSingle, pinned, pinnedByCorrelation:
		return nil
	default:
		return &groupSettingsError{fmt.Sprintf("consumer strategy %q is unknown; use RoundRobin, DispatchToSingle, Pinned or PinnedByCorrelation", s.Strategy)}
	}
}

// readBatch returns the number of events to read at a time.
func (s *groupSettings) readBatch() int { return int(min(s.ReadBatchSize, maxGroupBuffer)) }

func (s *groupSettings) messageTimeout() time.Duration {
	return time.Duration(s.MessageTimeoutMS) * time.Millisecond
}

func (s *groupSettings) checkpointAfter() time.Duration {
	return time.Duration(s.CheckpointAfterMS) * time.Millisecond
}

// place returns the place of a record for the group: its position in $all, or its revision in the stream.
func (k groupKey) place(v *store.RecordView) uint64 {
	if k.all() {
		return v.Position
	}
	return uint64(v.Revision)
}

// placeText formats a place for clients, or returns "" if there is none.
func (k groupKey) placeText(place uint64, ok bool) string {
	switch {
	case !ok:
		return ""
	case k.all():
		return fmt.Sprintf("C:%d/P:%d", place, place)
	default:
		return fmt.Sprint(place)
	}
}
