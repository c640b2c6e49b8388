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

// defaultWindow is EventStoreDB's search window when the client sets no maximum.
const defaultWindow = 32

// filter selects events of $all by the name of their stream or by their type. A nil filter lets everything pass.
type filter struct {
	byStream bool
	prefixes [][]byte // any of them, or
	regex    *regexp.Regexp

	mu sync.Mutex
	// types are those that regex has been held against: a log has few, and each event one of them.
	types map[string]bool
}

// rememberedTypes bounds filter.types.
const rememberedTypes = 256

// filterSpec is a filter as it was asked for.
type filterSpec struct {
	ByStream bool     `json:"byStream"`
	Prefixes []string `json:"prefixes,omitempty"`
	Regex    string   `json:"regex,omitempty"`
}

// compile makes the filter. EventStoreDB takes .NET's regular expressions; here those work that Go knows too, which
// leaves out look-around and back references.
func (s filterSpec) compile() (*filter, error) {
	f := &filter{byStream: s.ByStream}
	for _, p := range s.Prefixes {
		f.prefixes = append(f.prefixes, []byte(p))
	}
	if len(f.prefixes) == 0 {
		regex, err := regexp.Compile(s.Regex)
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "filter: %v", err)
		}
		f.regex = regex
	}
	return f, nil
}

// parseFilter also returns after how many considered events a subscription sends a checkpoint.
func parseFilter(o *streams.ReadReq_Options_FilterOptions) (*filter, uint64, error) {
	var spec filterSpec
	switch v := o.GetFilter().(type) {
	case *streams.ReadReq_Options_FilterOptions_StreamIdentifier:
		spec = filterSpec{ByStream: true, Prefixes: v.StreamIdentifier.GetPrefix(), Regex: v.StreamIdentifier.GetRegex()}
	case *streams.ReadReq_Options_FilterOptions_EventType:
		spec = filterSpec{Prefixes: v.EventType.GetPrefix(), Regex: v.EventType.GetRegex()}
	default:
		return nil, 0, status.Error(codes.InvalidArgument, "filter: neither by stream nor by event type")
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
	every := window * uint64(o.GetCheckpointIntervalMultiplier())
	if every == 0 {
		return nil, 0, status.Error(codes.InvalidArgument, "filter: window and checkpoint interval must be greater than 0")
	}
	return f, every, nil
}

// hiddenHint is how far into a record the name of its stream can begin to be: the head of a record is a few numbers and
// an event id.
const hiddenHint = 96

// visibleInAll leaves out the records that are not part of $all: what groups on $all keep for themselves.
func visibleInAll(records []store.Record) ([]store.Record, error) {
	visible := records
	for i, r := range records {
		head := r.Wire[:min(len(r.Wire), hiddenHint)]
		hidden := false
		if bytes.Contains(head, []byte(hiddenStreamPrefix)) { // cheap; it may also be the name of a type
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
