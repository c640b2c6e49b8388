package eventstored

import (
	"fmt"
	"time"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// groupKey names a consumer group: EventStoreDB's persistent subscription.
type groupKey struct {
	Stream string `json:"stream"` // allStream for $all
	Name   string `json:"name"`
}

// allStream stands for the whole log where a stream's name is expected.
const allStream = "$all"

func (k groupKey) all() bool { return k.Stream == allStream }

// checkpointStream and parkedStream have the names that EventStoreDB gives them.
func (k groupKey) checkpointStream() string { return k.prefix() + "-checkpoint" }
func (k groupKey) parkedStream() string     { return k.prefix() + "-parked" }

func (k groupKey) prefix() string { return groupStreamPrefix + k.Stream + "::" + k.Name }

const (
	groupStreamPrefix = "$persistentsubscription-"
	// hiddenStreamPrefix: streams of groups on $all are not part of $all, or a group would be given its own checkpoints.
	hiddenStreamPrefix = groupStreamPrefix + allStream + "::"
)

// strategy is how messages are spread over the consumers of a group.
type strategy string

const (
	roundRobin          strategy = "RoundRobin"
	dispatchToSingle    strategy = "DispatchToSingle"
	pinned              strategy = "Pinned"
	pinnedByCorrelation strategy = "PinnedByCorrelation"
)

// groupSettings are what a group was created or updated with. They are kept as JSON in the log.
type groupSettings struct {
	groupKey
	// StartAt is the first revision or position that the group gets; StartFrom is how the client put it.
	StartAt      uint64      `json:"startAt"`
	StartFrom    string      `json:"startFrom"`
	Filter       *filterSpec `json:"filter,omitempty"`
	ResolveLinks bool        `json:"resolveLinks,omitempty"`
	ExtraStats   bool        `json:"extraStatistics,omitempty"`
	// MaxRetryCount: a message that was sent once and this often again is parked.
	MaxRetryCount int32 `json:"maxRetryCount"`
	// MessageTimeoutMS after which an unanswered message is sent again; 0 = never.
	MessageTimeoutMS   int32    `json:"messageTimeoutMs"`
	CheckpointAfterMS  int32    `json:"checkpointAfterMs"`
	MinCheckpointCount int32    `json:"minCheckpointCount"`
	MaxCheckpointCount int32    `json:"maxCheckpointCount"`
	MaxSubscriberCount int32    `json:"maxSubscriberCount"` // 0 = any number
	LiveBufferSize     int32    `json:"liveBufferSize"`
	ReadBatchSize      int32    `json:"readBatchSize"`
	HistoryBufferSize  int32    `json:"historyBufferSize"`
	Strategy           strategy `json:"strategy"`
}

// maxGroupBuffer bounds what a group holds in memory, whatever its settings say.
const maxGroupBuffer = 5000

func (s *groupSettings) check() error {
	for name, v := range map[string]int32{
		"max retry count": s.MaxRetryCount, "message timeout": s.MessageTimeoutMS, "checkpoint after": s.CheckpointAfterMS,
		"min checkpoint count": s.MinCheckpointCount, "max subscriber count": s.MaxSubscriberCount,
	} {
		if v < 0 {
			return fmt.Errorf("%s must not be negative", name)
		}
	}
	if s.Name == "" {
		return fmt.Errorf("group name is missing")
	}
	if s.ReadBatchSize <= 0 || s.ReadBatchSize > maxGroupBuffer {
		return fmt.Errorf("read batch size must be 1 to %d", maxGroupBuffer)
	}
	switch s.Strategy {
	case roundRobin, dispatchToSingle, pinned, pinnedByCorrelation:
		return nil
	default:
		return fmt.Errorf("consumer strategy %q is unknown", s.Strategy)
	}
}

func (s *groupSettings) messageTimeout() time.Duration {
	return time.Duration(s.MessageTimeoutMS) * time.Millisecond
}

func (s *groupSettings) checkpointAfter() time.Duration {
	return time.Duration(s.CheckpointAfterMS) * time.Millisecond
}

// place is where a record stands for the group: its position in $all, or its revision in the stream.
func (k groupKey) place(v *store.RecordView) uint64 {
	if k.all() {
		return v.Position
	}
	return uint64(v.Revision)
}

// placeText writes a place as clients read it; "" for none.
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
