package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

type keyCommand struct {
	Create keyCreate `cmd:"" help:"Create an API key and print its secret, which is not stored."`
	List   keyList   `cmd:"" help:"List the API keys."`
	Revoke keyRevoke `cmd:"" help:"Revoke an API key permanently."`
}

// keyLog names the event log that has the keys. A user who can read the data directory, or knows the event store's URL, needs no key:
// this is how operators without a key regain access.
type keyLog struct {
	DataDir       string `help:"Data directory. Waypost can be running on it or stopped." default:"./waypost-data" env:"WAYPOST_DATA_DIR" type:"path"`
	EventstoreURL string `secret:"url" help:"Event store (esdb://…), if it is not the one in the data directory." env:"WAYPOST_EVENTSTORE_URL"`
}

// keyTimeout bounds one command, including the start of the embedded store.
const keyTimeout = platform.StartTimeout + 30*time.Second

// with runs do with the keys of the event log.
func (l keyLog) with(env *environment, do func(ctx context.Context, keys *command.Keys, cause event.Cause) error) (err error) {
	ctx, cancel := context.WithTimeout(env.ctx, keyTimeout)
	defer cancel()
	s := platform.Settings{DataDir: l.DataDir, EventstoreURL: l.EventstoreURL}
	if s.EventstoreURL == "" {
		if s.EventstoreURL, err = l.running(); err != nil {
			return err
		}
	}
	now := func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	quiet := slog.New(slog.DiscardHandler) // the error says everything
	st, err := platform.OpenLog(ctx, &s, now, quiet)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), platform.CloseTimeout)
		defer cancel()
		err = errors.Join(err, st.Close(closing))
	}()
	return do(ctx, command.NewKeys(st.Log, now, platform.NewID, rand.Reader, quiet), event.Cause{By: domain.Platform("key command")})
}

// running returns the URL of the event store that runs on the data directory, or "" if none does and the directory can be opened.
func (l keyLog) running() (string, error) {
	if _, err := os.Stat(filepath.Join(l.DataDir, "eventstore")); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%s has no event store; name the data directory with --data-dir, or the store with --eventstore-url", l.DataDir)
		}
		return "", fmt.Errorf("data directory: %w", err)
	}
	run, err := platform.Running(l.DataDir)
	if err != nil || run == nil {
		return "", err
	}
	return run.Eventstore, nil
}

type keyCreate struct {
	keyLog
	Name      string        `help:"Name of the key. It must not contain personal data." required:""`
	Scope     []string      `help:"Scopes, comma-separated: SEND, READ, PERSONAL, AUDIT, OPERATE, ADMIN." required:""`
	Sender    []string      `help:"Senders that the key is limited to, comma-separated. If omitted, all senders."`
	ExpiresIn time.Duration `help:"Time until the key expires, for example 720h. If omitted, it never expires."`
}

// Run creates a key.
func (c keyCreate) Run(env *environment) error {
	if c.ExpiresIn < 0 {
		return fmt.Errorf("--expires-in: must not be negative, got %s", c.ExpiresIn)
	}
	in := access.Request{Name: c.Name, Grant: access.Grant{Senders: c.Sender}}
	for _, s := range c.Scope {
		in.Scopes = append(in.Scopes, access.Scope(strings.ToUpper(s)))
	}
	if c.ExpiresIn > 0 {
		in.ExpiresAt = time.Now().Add(c.ExpiresIn)
	}
	return c.with(env, func(ctx context.Context, keys *command.Keys, cause event.Cause) error {
		k, secret, err := keys.Create(ctx, access.Grant{Scopes: []access.Scope{access.ScopeAdmin}}, in, cause)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(env.stdout, "id      %s\nsecret  %s\n", k.ID, secret)
		return err
	})
}

type keyList struct {
	keyLog
	All bool `help:"Include revoked and expired keys."`
}

// Run lists the keys.
func (c keyList) Run(env *environment) error {
	return c.with(env, func(ctx context.Context, keys *command.Keys, _ event.Cause) error {
		found, err := keys.List(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tSCOPES\tSENDERS\tCREATED\tLAST USED\tSTATE")
		for _, k := range found {
			if state := keyState(k, time.Now()); c.All || state == keyActive {
				senders := "all"
				if k.Senders != nil {
					senders = strings.Join(k.Senders, ",")
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, joinScopes(k.Scopes), senders, day(k.CreatedAt), day(k.LastUsedAt), state)
			}
		}
		return w.Flush()
	})
}

// keyActive is the state of a key that does.
const keyActive = "counts"

func keyState(k access.Key, now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked"
	case k.CheckActive(now) != nil:
		return "ended"
	}
	return keyActive
}

func joinScopes(scopes []access.Scope) string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = string(s)
	}
	return strings.Join(words, ",")
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

type keyRevoke struct {
	keyLog
	ID string `arg:"" help:"Key ID."`
}

// Run revokes a key. A running Waypost notices within a second.
func (c keyRevoke) Run(env *environment) error {
	return c.with(env, func(ctx context.Context, keys *command.Keys, cause event.Cause) error {
		k, err := keys.Revoke(ctx, access.Grant{Scopes: []access.Scope{access.ScopeAdmin}}, c.ID, cause)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(env.stdout, "%s (%s) is revoked\n", k.ID, k.Name)
		return err
	})
}
