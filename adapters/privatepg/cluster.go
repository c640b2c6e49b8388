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
)

const (
	// superuser is the database role of the program, and database its database.
	superuser = "waypost"
	database  = "waypost"

	// stopTimeout is how long an orderly shutdown may take before it is cut short. It
	// writes at most shared_buffers (1 GB) and syncs them.
	stopTimeout = 30 * time.Second

	// A server that ended by itself is started again at most restartLimit times
	// in a row; after restartQuiet of running well the count begins anew.
	restartLimit = 5
	restartQuiet = time.Minute
	restartDelay = 200 * time.Millisecond
)

// Options say where a cluster lives and how it is run.
type Options struct {
	// DataDir is a folder for this cluster alone; it is made if it is missing.
	DataDir string
	// Logger gets what Postgres itself reports: starts, stops, recoveries and
	// fatal errors, never statements. Nil discards it.
	Logger *slog.Logger
	// Settings go before the package's own, by Postgres's names. They are for
	// tests and measurements.
	Settings map[string]string
}

// Cluster is a running private Postgres. Its methods may be called from any
// goroutine.
type Cluster struct {
	options Options
	log     *slog.Logger
	lock    *os.File
	data    folder
	socket  socketDir
	program program
	account account

	dead       chan error         // one error when the server is gone for good
	stopWatch  context.CancelFunc // ends watch
	watchEnded chan struct{}
	stopOnce   sync.Once
	stopErr    error

	mu     sync.Mutex
	server *server // the one that runs, or ran last
}

// Start brings up the cluster under o.DataDir: it makes one if there is none,
// stops a server that outlived its program, lets Postgres recover what a crash
// left, and returns when connections are accepted. The context bounds the start,
// not the cluster's life.
//
// Errors: [ErrNoBinaries], [ErrVersion], [ErrInUse], [ErrDiskFull], each with what
// to do about it, or what Postgres itself reported.
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

	// The folder may be passed through by the cluster's user, but not listed;
	// what is inside is closed to all others.
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

// reclaim makes an existing cluster ready to be started.
func (c *Cluster) reclaim(ctx context.Context, cluster string) error {
	if err := stopOrphan(ctx, cluster, c.log); err != nil {
		return err
	}
	// Root's alone is a copy that root has made, from a backup say.
	if owner, _, err := ownerOf(cluster); err != nil || owner != 0 {
		return err
	}
	return c.account.own(cluster)
}

// URL returns the cluster's connection string, for pgx. It stays the same when
// the server is started again.
func (c *Cluster) URL() string { return c.url(database) }

func (c *Cluster) url(name string) string {
	u := url.URL{Scheme: "postgres", Path: "/" + name, RawQuery: url.Values{
		"host": {c.socket.path},
		"user": {superuser},
	}.Encode()}
	return u.String()
}

// PID returns the process id of the server, of the last one if none runs.
func (c *Cluster) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server.pid
}

// Err returns a channel that gets one error if the server has ended and could
// not be started again. After that the cluster is only good for Stop.
func (c *Cluster) Err() <-chan error { return c.dead }

// Stop shuts the server down: sessions are ended and everything is written, then
// Stop returns. When ctx ends first, or after 30 s, the server is ended at once;
// nothing committed is lost by that, the next start recovers it. Stop may be called
// more than once.
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

// release gives back what Start took, except for the server.
func (c *Cluster) release() {
	c.socket.remove()
	c.data.close()
	if c.lock != nil {
		unlockDir(c.lock)
	}
}

// watch starts the server again when it ends without being told to: by the
// kernel when memory ran out, or by somebody's kill -9.
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
			c.log.ErrorContext(ctx, "private Postgres ended, starting it again", "error", cause, "restart", restarts)
			if !sleep(ctx, restartDelay<<(restarts-1)) {
				return
			}
			next, err := c.startServer(ctx)
			if ctx.Err() != nil {
				// Stop ends the server that runs, so it has to be this one.
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

// createDatabase makes the program's database, once in a cluster's life.
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

// sleep waits for d and reports whether ctx lasted that long.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
