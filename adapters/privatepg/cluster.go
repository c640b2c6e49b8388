package privatepg

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/adapters/datadir"
	"github.com/waypost/waypost/app/retry"
)

const (
	// superuser is Waypost's database role, and database its database.
	superuser = "waypost"
	database  = "waypost"

	// stopTimeout is how long an orderly shutdown can take before it is cut short. It
	// writes at most shared_buffers (1 GB) and syncs them.
	stopTimeout = 30 * time.Second

	// A server that ended unexpectedly is restarted at most restartLimit times in a
	// row. After it has run for restartQuiet, the count starts again.
	restartLimit = 5
	restartQuiet = time.Minute
	restartDelay = 200 * time.Millisecond
)

// Options configure where a cluster is stored and how it runs.
type Options struct {
	// DataDir is a directory for this cluster only. It is created if it does not exist.
	DataDir string
	// Logger receives Postgres's own reports: starts, stops, recoveries, and fatal
	// errors, never statements. If nil, they are discarded.
	Logger *slog.Logger
	// Settings override the package's own settings, by Postgres's names. They are for
	// tests and measurements.
	Settings map[string]string
}

// Cluster is a running private Postgres. Any goroutine can call its methods.
type Cluster struct {
	options Options
	log     *slog.Logger
	lock    *datadir.Lock
	data    dataDir
	socket  datadir.SocketDir
	program program
	account account

	dead       chan error         // one error when the server has ended permanently
	stopWatch  context.CancelFunc // ends watch
	watchEnded chan struct{}
	stopOnce   sync.Once
	stopErr    error

	mu     sync.Mutex
	server *server // the running server, or the last one
}

// Start starts the cluster under o.DataDir: it creates one if there is none, stops a
// server that outlived its Waypost process, lets Postgres recover from a crash, and
// returns when the server accepts connections. The context limits the start, not the
// cluster's life.
//
// Errors: [ErrNoBinaries], [ErrVersion], [ErrInUse], [ErrDiskFull], each with a remedy,
// or Postgres's own error.
func Start(ctx context.Context, o Options) (_ *Cluster, err error) {
	c := &Cluster{options: o, log: o.Logger, dead: make(chan error, 1), watchEnded: make(chan struct{})}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return nil, fmt.Errorf("private Postgres: %w", err)
	}
	defer func() {
		if err != nil {
			c.release()
			err = fmt.Errorf("private Postgres in %s: %w", dir, err)
		}
	}()

	// The cluster's user can enter the directory, but not list it. Everything inside is
	// closed to all others.
	if err := os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // see above
		return nil, fmt.Errorf("%w; choose another data directory", err)
	}
	if c.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	cluster := filepath.Join(dir, "cluster")
	if c.account, err = chooseAccount(cluster); err != nil {
		return nil, err
	}
	version, err := dataVersion(cluster)
	if err != nil {
		return nil, err
	}
	if c.program, err = findProgram(ctx, usualPlaces(), c.account, version); err != nil {
		return nil, err
	}
	removeBuilds(ctx, dir, c.log)
	if version == 0 {
		if err := c.program.initdb(ctx, c.account, dir, cluster); err != nil {
			return nil, err
		}
	} else if err := c.reclaim(ctx, cluster); err != nil {
		return nil, err
	}
	if c.data, err = c.program.open(ctx, c.account, cluster); err != nil {
		return nil, err
	}
	if c.socket, err = makeSocketDir(dir, c.account, c.data.reachable()); err != nil {
		return nil, err
	}
	if c.server, err = c.startServer(ctx); err != nil {
		return nil, err
	}
	if err := c.createDatabase(ctx); err != nil {
		return nil, both(err, c.server.stop(ctx))
	}
	watched, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.stopWatch = cancel
	go c.watch(watched, c.server)
	return c, nil
}

// reclaim prepares an existing cluster for a start.
func (c *Cluster) reclaim(ctx context.Context, cluster string) error {
	if err := stopOrphan(ctx, cluster, c.log); err != nil {
		return err
	}
	// Files owned by root are a copy that root has made, for example from a backup.
	if owner, _, err := ownerOf(cluster); err != nil || owner != 0 {
		return err
	}
	return c.account.own(cluster)
}

// URL returns the cluster's connection string, for pgx. It stays the same when the
// server is restarted.
func (c *Cluster) URL() string { return c.url(database) }

func (c *Cluster) url(name string) string {
	u := url.URL{Scheme: "postgres", Path: "/" + name, RawQuery: url.Values{
		"host": {c.socket.Path()},
		"user": {superuser},
	}.Encode()}
	return u.String()
}

// PID returns the process ID of the server, or of the last one if none is running.
func (c *Cluster) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server.pid
}

// Err returns a channel that delivers one error if the server has ended and could not
// be restarted. After that, only Stop can be called.
func (c *Cluster) Err() <-chan error { return c.dead }

// Stop shuts the server down: it ends sessions and returns when everything is written.
// If ctx ends first, or after 30 s, the server is ended immediately. No commit is lost
// by that, because the next start recovers it. Stop can be called more than once.
func (c *Cluster) Stop(ctx context.Context) error {
	c.stopOnce.Do(func() {
		c.stopWatch()
		<-c.watchEnded
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		if err := c.server.stop(ctx); err != nil {
			c.stopErr = fmt.Errorf("private Postgres: %w", err)
		}
		c.release()
	})
	return c.stopErr
}

// release releases what Start acquired, except the server.
func (c *Cluster) release() {
	c.socket.Remove()
	c.data.close()
	if c.lock != nil {
		c.lock.Release()
	}
}

// watch restarts the server when it ends unexpectedly: killed by the kernel when memory
// ran out, or by a manual kill -9.
func (c *Cluster) watch(ctx context.Context, s *server) {
	defer close(c.watchEnded)
	started := time.Now()
	for restarts := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-s.exited:
		}
		if time.Since(started) > restartQuiet {
			restarts = 0
		}
		cause := s.failure()
		for {
			if restarts++; restarts > restartLimit {
				c.dead <- fmt.Errorf("private Postgres in %s ended and did not come back after %d restarts: %w", c.options.DataDir, restartLimit, cause)
				return
			}
			c.log.ErrorContext(ctx, "private Postgres ended, restarting it", "error", cause, "restart", restarts)
			if retry.Sleep(ctx, restartDelay<<(restarts-1)) != nil {
				return
			}
			next, err := c.startServer(ctx)
			if ctx.Err() != nil {
				// Stop ends the running server, so it must be this one.
				if err == nil {
					c.setServer(next)
				}
				return
			}
			if err == nil {
				s, started = next, time.Now()
				c.setServer(s)
				c.log.InfoContext(ctx, "private Postgres is back", "pid", s.pid)
				break
			}
			cause = err
		}
	}
}

func (c *Cluster) setServer(s *server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server = s
}

// createDatabase creates Waypost's database, once in a cluster's life.
func (c *Cluster) createDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var exists bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, database).Scan(&exists)
	if err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, `CREATE DATABASE `+database)
	return err
}
