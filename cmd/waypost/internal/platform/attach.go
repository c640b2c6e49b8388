package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// StoreSettings name the installation that a command works on: external stores, or those in a data directory.
type StoreSettings struct {
	DataDir       string `help:"Data directory. If Waypost is running on it, its running stores are used." default:"./waypost-data" env:"WAYPOST_DATA_DIR" type:"path"`
	EventstoreURL string `secret:"url" help:"External event store (esdb://…)." env:"WAYPOST_EVENTSTORE_URL"`
	PostgresURL   string `secret:"url" help:"External Postgres (postgres://…)." env:"WAYPOST_POSTGRES_URL"`
	SecretKey     string `secret:"" help:"Secret key of the installation. If empty, the key in the data directory is used." env:"WAYPOST_SECRET_KEY"`
	LogLevel      string `help:"Minimum level to log." enum:"debug,info,warn,error" default:"warn" env:"WAYPOST_LOG_LEVEL"`
	LogFormat     string `help:"text or json. If empty, text on a terminal and json elsewhere." enum:",text,json" default:"" env:"WAYPOST_LOG_FORMAT"`
}

// errNoData means that there is nothing to work on.
var errNoData = errors.New("the data directory has no data of Waypost; name another with --data-dir")

// Open opens the installation's stores and logs to stderr. If Waypost is running on the data directory, Open connects to its embedded
// stores. Otherwise they run in this process, and no other process can use them.
func (s StoreSettings) Open(ctx context.Context, stderr io.Writer, changes ...func(*Settings)) (*Stores, error) {
	log, err := LogSettings{LogLevel: s.LogLevel, LogFormat: s.LogFormat}.Logger(stderr)
	if err != nil {
		return nil, err
	}
	given := &Settings{DataDir: s.DataDir, EventstoreURL: s.EventstoreURL, PostgresURL: s.PostgresURL, SecretKey: s.SecretKey}
	for _, change := range changes {
		change(given)
	}
	run, err := Running(s.DataDir)
	if err != nil && (given.EventstoreURL == "" || given.PostgresURL == "") {
		return nil, err
	}
	switch {
	case run != nil && given.acceptShorter:
		return nil, fmt.Errorf("Waypost is running on %s as process %d; stop it first", s.DataDir, run.PID)
	case run != nil:
		if given.EventstoreURL == "" {
			given.EventstoreURL, given.attached = run.Eventstore, true
		}
		if given.PostgresURL == "" {
			given.PostgresURL, given.attached = run.Postgres, true
		}
	case given.EventstoreURL == "" || given.PostgresURL == "":
		if _, err := os.Stat(filepath.Join(s.DataDir, "secret.key")); errors.Is(err, fs.ErrNotExist) && s.SecretKey == "" {
			return nil, errNoData
		}
	}
	return OpenStores(ctx, given, time.Now, log)
}

// AcceptShorterLog opens the event log even if it is shorter than it was, so that the loss can be accepted.
func AcceptShorterLog(s *Settings) { s.acceptShorter = true }

// AnyLength opens the event log even if it is shorter than it was.
func AnyLength(s *Settings) { s.anyLength = true }
