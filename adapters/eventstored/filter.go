package eventstored

import (
	"bytes"
	"regexp"
	"sync"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// defaultWindow is EventStoreDB's search window if the client sets no maximum.
const defaultWindow = 32

// filter selects events of $all by the name of their stream or by their type. A nil filter matches everything, an empty
// one nothing.
type filter struct {
	byStream bool
	regex    *regexp.Regexp // or, if nil, any of
	prefixes [][]byte

	mu sync.Mutex
	// types caches which types regex matches: a log has few types.
	types map[string]bool
}

// rememberedTypes limits filter.types.
const rememberedTypes = 256

// filterSpec is a filter as requested.
type filterSpec struct {
	ByStream bool     `json:"byStream"`
	Prefixes []string `json:"prefixes,omitempty"`
	Regex    string   `json:"regex,omitempty"`
}

// compile returns the filter. If there is a regular expression, prefixes are ignored. EventStoreDB uses .NET's regular
// expressions. Here, only those that Go also supports work, so lookaround and back references are not available.
func (s filterSpec) compile() (*filter, error) {
	f := &filter{byStream: s.ByStream}
	if s.Regex != "" {
		regex, err := regexp.Compile(s.Regex)
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "filter: %v", err)
		}
		f.regex = regex
		return f, nil
	}
	for _, p := range s.Prefixes {
		f.prefixes = append(f.prefixes, []byte(p))
	}
	return f, nil
}

// parseFilter also returns the number of considered events after which a subscription sends a checkpoint, or 0 if the
// request does not contain it. Reads have no checkpoints, and some clients send 0 with them.
func parseFilter(o *streams.ReadReq_Options_FilterOptions) (*filter, uint64, error) {
	var spec filterSpec
	switch v := o.GetFilter().(type) {
	case *streams.ReadReq_Options_FilterOptions_StreamIdentifier:
		spec = filterSpec{ByStream: true, Prefixes: v.StreamIdentifier.GetPrefix(), Regex: v.StreamIdentifier.GetRegex()}
	case *streams.ReadReq_Options_FilterOptions_EventType:
		spec = filterSpec{Prefixes: v.EventType.GetPrefix(), Regex: v.EventType.GetRegex()}
	default:
		return nil, 0, status.Error(codes.InvalidArgument, "filter: must be by stream or by event type")
	}
	f, err := spec.compile()
	if err != nil {
		return nil, 0, err
	}
	window := uint64(defaultWindow)
	switch w := o.GetWindow().(type) {
	case *streams.ReadReq_Options_FilterOptions_Max:
		window = uint64(w.Max)
	case *streams.ReadReq_Options_FilterOptions_Count:
	default:
		return nil, 0, status.Error(codes.InvalidArgument, "filter: window is missing")
	}
	if window == 0 {
		return nil, 0, status.Error(codes.InvalidArgument, "filter: window must be greater than 0")
	}
	return f, window * uint64(o.GetCheckpointIntervalMultiplier()), nil
}

// hiddenHint is the maximum offset in a record at which the name of its stream begins: a record starts with a few
// numbers and an event ID.
const hiddenHint = 96

// visibleInAll removes the records that are not part of $all, which are the internal events of groups on $all.
func visibleInAll(records []store.Record) ([]store.Record, error) {
	visible := records
	for i, r := range records {
		head := r.Wire[:min(len(r.Wire), hiddenHint)]
		hidden := false
		if bytes.Contains(head, []byte(hiddenStreamPrefix)) { // a cheap check; it can also match the name of a type
			stream, _, err := r.Names()
			if err != nil {
				return nil, err
			}
			hidden = bytes.HasPrefix(stream, []byte(hiddenStreamPrefix)) ||
				bytes.HasPrefix(stream, []byte("$$"+hiddenStreamPrefix))
		}
		switch {
		case hidden && len(visible) == len(records):
			visible = append([]store.Record(nil), records[:i]...)
		case !hidden && len(visible) != len(records):
			visible = append(visible, r)
		}
	}
	return visible, nil
}

func (f *filter) matches(r store.Record) (bool, error) {
	if f == nil {
		return true, nil
	}
	stream, text, err := r.Names()
	if err != nil {
		return false, err
	}
	if f.byStream {
		text = stream
	}
	switch {
	case f.regex != nil && f.byStream:
		return f.regex.Match(text), nil
	case f.regex != nil:
		return f.matchesType(text), nil
	}
	for _, p := range f.prefixes {
		if bytes.HasPrefix(text, p) {
			return true, nil
		}
	}
	return false, nil
}

func (f *filter) matchesType(name []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	matches, known := f.types[string(name)]
	if known {
		return matches
	}
	matches = f.regex.Match(name)
	if f.types == nil {
		f.types = make(map[string]bool)
	}
	if len(f.types) < rememberedTypes {
		f.types[string(name)] = matches
	}
	return matches
}
