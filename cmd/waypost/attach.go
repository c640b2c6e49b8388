package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// storeSettings say which installation a command works on: the stores that are
// given, or those of the data folder.
type storeSettings struct {
	DataDir       string `help:"Data folder. The stores of a platform that runs on it are used as they run." default:"./waypost-data" env:"WAYPOST_DATA_DIR" type:"path"`
	EventstoreURL string `help:"esdb://… of a given event store." env:"WAYPOST_EVENTSTORE_URL"`
	PostgresURL   string `help:"postgres://… of a given Postgres." env:"WAYPOST_POSTGRES_URL"`
	SecretKey     string `help:"The installation's key; that of the data folder if empty." env:"WAYPOST_SECRET_KEY"`
	LogLevel      string `help:"How much is logged." enum:"debug,info,warn,error" default:"warn" env:"WAYPOST_LOG_LEVEL"`
	LogFormat     string `help:"text or json; text on a terminal and json elsewhere if empty." enum:",text,json" default:"" env:"WAYPOST_LOG_FORMAT"`
}

// errNoData says that there is nothing to work on.
var errNoData = errors.New("there is no data of a platform; name its folder with --data-dir")

// open opens the installation's stores. Those that are embedded in a running
// platform are reached where it says that they are; otherwise they run in this
// process, and it must be the only one.
func (s storeSettings) open(ctx context.Context, env *environment) (*stores, error) {
	log, err := logSettings{LogLevel: s.LogLevel, LogFormat: s.LogFormat}.logger(env.stderr)
	if err != nil {
		return nil, err
	}
	given := &settings{DataDir: s.DataDir, EventstoreURL: s.EventstoreURL, PostgresURL: s.PostgresURL, SecretKey: s.SecretKey}
	run, err := readRunFile(s.DataDir)
	switch {
	case err == nil && alive(run.PID):
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
	return openStores(ctx, given, time.Now, log)
}

// alive reports whether a process runs.
func alive(pid int) bool {
	if pid <= 0 {
		return false
	}
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
