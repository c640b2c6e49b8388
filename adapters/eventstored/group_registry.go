package eventstored

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// configStream contains, in its last event, the settings of all groups.
const (
	configStream = "$persistentSubscriptionConfig"
	typeConfig   = "$PersistentConfig"
)

type groupConfig struct {
	Groups []groupSettings `json:"groups"`
}

var (
	errGroupExists  = errors.New("persistent subscription exists already")
	errGroupMissing = errors.New("persistent subscription does not exist")
)

// groupRegistry contains all groups.
type groupRegistry struct {
	store  *store.Store
	logger *slog.Logger
	now    func() time.Time

	mu     sync.Mutex // also orders changes of the config
	groups map[groupKey]*group
}

func newGroupRegistry(ctx context.Context, st *store.Store, logger *slog.Logger, now func() time.Time) (*groupRegistry, error) {
	r := &groupRegistry{store: st, logger: logger, now: now, groups: make(map[groupKey]*group)}
	data, ok, err := newestData(ctx, st, configStream)
	if err != nil || !ok {
		return r, err
	}
	var config groupConfig
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("settings of persistent subscriptions: %w", err)
	}
	for _, s := range config.Groups {
		g, err := r.newGroup(s)
		if err != nil {
			return nil, fmt.Errorf("persistent subscription %s::%s: %w", s.Stream, s.Name, err)
		}
		r.groups[s.groupKey] = g
	}
	return r, nil
}

func (r *groupRegistry) newGroup(s groupSettings) (*group, error) {
	g := &group{store: r.store, logger: r.logger, now: r.now, wake: make(chan struct{}, 1), seed: maphash.MakeSeed(), settings: s}
	if s.Filter != nil {
		f, err := s.Filter.compile()
		if err != nil {
			return nil, err
		}
		g.filter = f
	}
	return g, nil
}

func (r *groupRegistry) get(key groupKey) (*group, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[key]
	if g == nil {
		return nil, errGroupMissing
	}
	return g, nil
}

// list returns the groups of a stream, or all groups if stream is empty.
func (r *groupRegistry) list(stream string) []*group {
	r.mu.Lock()
	defer r.mu.Unlock()
	var groups []*group
	for key, g := range r.groups {
		if stream == "" || key.Stream == stream {
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(a.settings.Stream, b.settings.Stream), cmp.Compare(a.settings.Name, b.settings.Name))
	})
	return groups
}

func (r *groupRegistry) create(ctx context.Context, s groupSettings) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.groups[s.groupKey] != nil {
		return errGroupExists
	}
	g, err := r.newGroup(s)
	if err != nil {
		return err
	}
	if err := r.save(ctx, s.groupKey, &s); err != nil {
		return err
	}
	r.groups[s.groupKey] = g
	return nil
}

// update replaces a group's settings, except its filter, and ends its connections. Clients connect again.
func (r *groupRegistry) update(ctx context.Context, s groupSettings) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.groups[s.groupKey]
	if old == nil {
		return errGroupMissing
	}
	s.Filter = old.settings.Filter
	g, err := r.newGroup(s)
	if err != nil {
		return err
	}
	if err := r.save(ctx, s.groupKey, &s); err != nil {
		return err
	}
	old.retire()
	r.groups[s.groupKey] = g
	return nil
}

func (r *groupRegistry) remove(ctx context.Context, key groupKey) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[key]
	if g == nil {
		return errGroupMissing
	}
	if err := r.save(ctx, key, nil); err != nil {
		return err
	}
	g.retire()
	delete(r.groups, key)
	return g.deleteStreams(ctx)
}

// restart ends all connections. The groups start again from their checkpoints.
func (r *groupRegistry) restart() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, old := range r.groups {
		old.retire()
		g, err := r.newGroup(old.settings)
		if err != nil {
			return err
		}
		r.groups[key] = g
	}
	return nil
}

// save writes the settings of all groups, with the settings of one group replaced by s, or removed if s is nil.
func (r *groupRegistry) save(ctx context.Context, key groupKey, s *groupSettings) error {
	config := groupConfig{Groups: []groupSettings{}}
	for k, g := range r.groups {
		if k != key {
			config.Groups = append(config.Groups, g.settings)
		}
	}
	if s != nil {
		config.Groups = append(config.Groups, *s)
	}
	data, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("settings of persistent subscriptions: %w", err)
	}
	e := store.Event{ID: uuid.New(), Type: typeConfig, JSON: true, Data: data}
	_, err = r.store.Append(ctx, configStream, store.Any, []store.Event{e})
	return err
}
