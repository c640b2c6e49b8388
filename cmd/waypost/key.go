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
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

type keyCommand struct {
	Create keyCreate `cmd:"" help:"Make an API key and print its secret, which is kept nowhere."`
	List   keyList   `cmd:"" help:"List the API keys."`
	Revoke keyRevoke `cmd:"" help:"End an API key for good."`
}

// keyLog is the log that keys are made in. Who may read the data folder, or knows
// the event store's URL, needs no key: this is the way back in for who lost his.
type keyLog struct {
	DataDir       string `help:"Data folder; its platform may be running or not." default:"./waypost-data" env:"WAYPOST_DATA_DIR" type:"path"`
	EventstoreURL string `help:"esdb://… of the event store, if it is not the one in the data folder." env:"WAYPOST_EVENTSTORE_URL"`
}

// keyTimeout bounds one command, the start of the embedded store with it.
const keyTimeout = startTimeout + 30*time.Second

// with runs do on the keys of the log.
func (l keyLog) with(env *environment, do func(ctx context.Context, keys *command.Keys, cause command.Cause) error) (err error) {
	ctx, cancel := context.WithTimeout(env.ctx, keyTimeout)
	defer cancel()
	s := settings{DataDir: l.DataDir, EventstoreURL: l.EventstoreURL}
	if s.EventstoreURL == "" {
		if s.EventstoreURL, err = l.running(); err != nil {
			return err
		}
	}
	now := func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	quiet := slog.New(slog.DiscardHandler) // the error says what is to be known
	var st stores
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, st.close(closing))
	}()
	if err := st.openLog(ctx, &s, now, quiet); err != nil {
		return err
	}
	return do(ctx, command.NewKeys(st.log, now, newID, rand.Reader, quiet), command.Cause{By: domain.Platform("key command")})
}

// running is the URL of the event store that runs on the data folder; empty if
// none does, so that the folder can be opened.
func (l keyLog) running() (string, error) {
	if _, err := os.Stat(filepath.Join(l.DataDir, "eventstore")); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%s has no event store; name the data folder with --data-dir, or the store with --eventstore-url", l.DataDir)
		}
		return "", fmt.Errorf("data folder: %w", err)
	}
	if _, err := os.Stat(filepath.Join(l.DataDir, "run.json")); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	run, err := readRunFile(l.DataDir)
	if err != nil {
		return "", err
	}
	if err := syscall.Kill(run.PID, 0); errors.Is(err, syscall.ESRCH) {
		return "", nil // it was killed and could not remove the file
	}
	return run.Eventstore, nil
}

type keyCreate struct {
	keyLog
	Name      string        `help:"What the key is called; nothing personal." required:""`
	Scope     []string      `help:"What it allows: SEND, READ, PERSONAL, AUDIT, OPERATE, ADMIN; comma-separated." required:""`
	Sender    []string      `help:"The senders it is limited to, comma-separated; all of them without."`
	ExpiresIn time.Duration `help:"When it ends by itself, as 720h; never without."`
}

// Run makes a key.
func (c keyCreate) Run(env *environment) error {
	if c.ExpiresIn < 0 {
		return fmt.Errorf("--expires-in: %s is in the past", c.ExpiresIn)
	}
	in := access.Request{Name: c.Name, Grant: access.Grant{Senders: c.Sender}}
	for _, s := range c.Scope {
		in.Scopes = append(in.Scopes, access.Scope(strings.ToUpper(s)))
	}
	if c.ExpiresIn > 0 {
		in.ExpiresAt = time.Now().Add(c.ExpiresIn)
	}
	return c.with(env, func(ctx context.Context, keys *command.Keys, cause command.Cause) error {
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
	All bool `help:"Also those that were revoked or have ended."`
}

// Run lists the keys.
func (c keyList) Run(env *environment) error {
	return c.with(env, func(ctx context.Context, keys *command.Keys, _ command.Cause) error {
		found, err := keys.List(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tSCOPES\tSENDERS\tCREATED\tLAST USED\tSTATE")
		for _, k := range found {
			if state := keyState(k, time.Now()); c.All || state == keyCounts {
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

// keyCounts is the state of a key that does.
const keyCounts = "counts"

func keyState(k access.Key, now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked"
	case k.Standing(now) != nil:
		return "ended"
	}
	return keyCounts
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
	ID string `arg:"" help:"The key's id."`
}

// Run revokes a key. A platform that runs takes note of it within a second.
func (c keyRevoke) Run(env *environment) error {
	return c.with(env, func(ctx context.Context, keys *command.Keys, cause command.Cause) error {
		k, err := keys.Revoke(ctx, access.Grant{Scopes: []access.Scope{access.ScopeAdmin}}, c.ID, cause)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(env.stdout, "%s (%s) is revoked\n", k.ID, k.Name)
		return err
	})
}
