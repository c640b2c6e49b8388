package store

import "sync"

// watchers wakes readers that wait for new events. A slow watcher is not waited for: its signal is remembered.
type watchers struct {
	mu      sync.Mutex
	all     map[chan struct{}]struct{}
	streams map[string]map[chan struct{}]struct{}
}

func newWatchers() *watchers {
	return &watchers{
		all:     make(map[chan struct{}]struct{}),
		streams: make(map[string]map[chan struct{}]struct{}),
	}
}

// WatchAll returns a channel that receives a value after new events were committed, and a function that ends the watch.
// Several commits may send one value.
func (s *Store) WatchAll() (<-chan struct{}, func()) {
	w, c := s.watchers, make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all[c] = struct{}{}
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.all, c)
	}
}

// WatchStream is like WatchAll for one stream.
func (s *Store) WatchStream(stream string) (<-chan struct{}, func()) {
	w, c := s.watchers, make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.streams[stream] == nil {
		w.streams[stream] = make(map[chan struct{}]struct{})
	}
	w.streams[stream][c] = struct{}{}
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.streams[stream], c)
		if len(w.streams[stream]) == 0 {
			delete(w.streams, stream)
		}
	}
}

func (w *watchers) wake(streams []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.all {
		signal(c)
	}
	if len(w.streams) == 0 {
		return
	}
	for _, stream := range streams {
		for c := range w.streams[stream] {
			signal(c)
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
