package privatepg

import "context"

// MajorVersion and LastComplaint are tested separately.
var (
	MajorVersion  = majorVersion
	LastComplaint = lastComplaint
)

// Tail is the line-wise writer.
type Tail = tail

// Lines returns the lines that the tail has kept.
func (t *tail) Lines() []string { return t.lines() }

// FindProgram looks for a Postgres only in the given directories.
func FindProgram(ctx context.Context, path, homes []string, version int) (dir string, err error) {
	a, err := chooseAccount("/nonexistent")
	if err != nil {
		return "", err
	}
	p, err := findProgram(ctx, places{path: path, homes: homes}, a, version)
	return p.dir, err
}

// StartOrphan runs a server on a stopped cluster without a Waypost process, and returns
// its PID and a channel that is closed when it has ended.
func StartOrphan(ctx context.Context, dir string) (pid int, ended <-chan struct{}, err error) {
	c, err := Start(ctx, Options{DataDir: dir})
	if err != nil {
		return 0, nil, err
	}
	if err := c.Stop(ctx); err != nil {
		return 0, nil, err
	}
	if c.data, err = c.program.open(ctx, c.account, c.data.path); err != nil {
		return 0, nil, err
	}
	defer c.data.close()
	if c.socket, err = makeSocketDir(dir, c.account, c.data.reachable()); err != nil {
		return 0, nil, err
	}
	s, err := c.launchServer()
	if err != nil {
		return 0, nil, err
	}
	return s.pid, s.exited, s.awaitReady(ctx, c.data.path)
}
