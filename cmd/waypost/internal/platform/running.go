package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/waypost/waypost/adapters/datadir"
	"github.com/waypost/waypost/adapters/vault"
)

// A process that runs on a data directory holds its lock. As long as it does, run.json tells other commands of the same user
// how to reach it. The lock can't be stale: the operating system ends it with the process.

// RunFile tells other commands of this machine how to reach a running Waypost.
type RunFile struct {
	PID        int    `json:"pid"`
	URL        string `json:"url"`
	Eventstore string `json:"eventstore"`
	Postgres   string `json:"postgres"`

	WhatsApp RunWhatsApp `json:"whatsapp"`
}

// RunWhatsApp is how a running Waypost is connected to WhatsApp. It contains no secrets.
type RunWhatsApp struct {
	URL         string `json:"url"`
	Token       bool   `json:"token"`       // whether there is a token for senders without their own
	AppSecrets  int    `json:"appSecrets"`  // the number of app secrets
	VerifyToken bool   `json:"verifyToken"` // whether there is one
}

// DemoDir returns the directory of the demo's data in a data directory.
func DemoDir(dataDir string) string { return filepath.Join(dataDir, "demo") }

// FindRunning returns how to reach the process that runs on a data directory, or the demo in it, and the directory that it
// runs on. It returns nil if there is none.
func FindRunning(dataDir string) (dir string, run *RunFile, err error) {
	for _, dir := range []string{dataDir, DemoDir(dataDir)} {
		if run, err := Running(dir); run != nil || err != nil {
			return dir, run, err
		}
	}
	return dataDir, nil, nil
}

// RunPath returns the path of the RunFile of a data directory.
func RunPath(dir string) string { return filepath.Join(dir, "run.json") }

// Running returns how to reach the process that runs on a data directory, or nil if there is none.
func Running(dir string) (*RunFile, error) {
	held, err := datadir.Held(dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w; run as the user that Waypost runs as", err)
	}
	if !held {
		return nil, nil //nolint:nilnil // nothing runs there: no error
	}
	text, err := os.ReadFile(RunPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("Waypost on %s is starting or stopping; try again in a moment", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("data directory: %w; run as the user that Waypost runs as", err)
	}
	run := new(RunFile)
	if err := json.Unmarshal(text, run); err != nil {
		return nil, fmt.Errorf("%s: %w; restart Waypost, which writes the file again", RunPath(dir), err)
	}
	return run, nil
}

// NotRunningError is the error of a command that needs a running Waypost.
type NotRunningError struct{ DataDir string }

func (e *NotRunningError) Error() string {
	return fmt.Sprintf("Waypost is not running on %s; start it there with waypost serve, or name another with --data-dir or --url", e.DataDir)
}

// occupation is this process's hold on its data directory.
type occupation struct {
	dir     string
	lock    *datadir.Lock     // nil if another process of the same stores has the directory
	private datadir.SocketDir // of the process's own socket
}

const (
	// platformSockets is the directory of the process's own socket in the data directory.
	platformSockets = "socket"
	// httpSocket is the socket in it that serves what --addr does, to this user only.
	httpSocket       = "http"
	httpSocketPrefix = "waypost-http-"
)

// occupy takes the data directory for this process. Processes that keep no store in it can share one. Then the first is the
// one that commands find.
func occupy(ctx context.Context, dir string, shared bool, log *slog.Logger) (*occupation, error) {
	o := &occupation{dir: dir}
	var err error
	o.lock, err = datadir.Hold(dir)
	var held *datadir.HeldError
	if shared && errors.As(err, &held) {
		log.WarnContext(ctx, "the data directory belongs to another process; commands on it reach that one", "dataDir", dir, "process", held.PID)
		return o, nil
	}
	if err != nil {
		return nil, fmt.Errorf("data directory: %w; stop the other process or choose another directory with --data-dir", err)
	}
	// It names what a killed process listened on. By now that can be another user's.
	if err := os.Remove(RunPath(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		o.leave()
		return nil, fmt.Errorf("data directory: %w", err)
	}
	return o, nil
}

// listen opens the process's own socket. It returns nil if the directory belongs to another process.
func (o *occupation) listen() (_ net.Listener, err error) {
	if o.lock == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	o.private, err = datadir.MakeSocketDir(filepath.Join(o.dir, platformSockets), datadir.SocketOptions{Longest: httpSocket, Prefix: httpSocketPrefix})
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	path := filepath.Join(o.private.Path(), httpSocket)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		err = os.Chmod(path, 0o700) //nolint:gosec // a socket is no file with content; only its owner may connect
	}
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	return l, nil
}

// publish tells other commands how to reach this process.
func (o *occupation) publish(r RunFile) error {
	if o.lock == nil {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := vault.WriteSecret(RunPath(o.dir), append(text, '\n')); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

// withdraw undoes publish.
func (o *occupation) withdraw() {
	if o.lock != nil {
		_ = os.Remove(RunPath(o.dir)) // if it fails, the next start removes it
	}
}

// leave releases the data directory. It can be called more than once.
func (o *occupation) leave() {
	if o.lock == nil {
		return
	}
	o.withdraw()
	o.private.Remove()
	o.lock.Release()
	o.lock = nil // by now it can be another process's
}

// DialRunning returns a dialer that connects to the process that runs on a data directory, through its own socket. Only the directory's
// user can have created the socket, so a key that is sent there reaches Waypost and no other process.
func DialRunning(dir string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		path, err := datadir.FindSocket(filepath.Join(dir, platformSockets, httpSocket))
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
}
