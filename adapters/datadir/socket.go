package datadir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// socketPathLimit is the maximum length of a socket's path: 103 bytes on macOS and the BSDs, 107 on Linux.
const socketPathLimit = 103

// SocketOptions describe a SocketDir.
type SocketOptions struct {
	// Longest is the longest name of a socket in the directory.
	Longest string
	// Prefix begins the directory's name if it is a temporary one.
	Prefix string
	// Avoid are characters that the directory's path must not contain.
	Avoid string
	// Elsewhere makes the directory a temporary one, however short its path is.
	Elsewhere bool
}

// A SocketDir is a directory for Unix sockets that only its owner can enter. Others can't connect to a socket in it,
// whatever the socket's own mode is.
type SocketDir struct {
	path string
	link string // the requested path, if the directory is elsewhere
}

// MakeSocketDir creates the directory path with mode 0700. If that path is too long for a socket, the directory is a
// temporary one with a short name, and path is a link to it. FindSocket finds it through that link, and the next call
// removes what a crash left. The caller must ensure, by a lock, that no other process uses path.
func MakeSocketDir(path string, o SocketOptions) (d SocketDir, err error) {
	d.path = path
	if old, err := os.Readlink(path); err == nil && strings.HasPrefix(filepath.Base(old), o.Prefix) {
		if err := os.RemoveAll(old); err != nil {
			return SocketDir{}, fmt.Errorf("remove the last run's socket directory: %w", err)
		}
	}
	if err := os.RemoveAll(path); err != nil {
		return SocketDir{}, err
	}
	fits := func(dir string, name int) bool {
		return len(dir)+name+len("/")+len(o.Longest) <= socketPathLimit && !strings.ContainsAny(dir, o.Avoid)
	}
	if !o.Elsewhere && fits(path, 0) {
		err = os.Mkdir(path, 0o700)
	} else {
		temporary := os.TempDir()
		if !fits(temporary, len("/"+o.Prefix+"4294967295")) {
			temporary = "/tmp"
		}
		d.link = path
		if d.path, err = os.MkdirTemp(temporary, o.Prefix); err == nil {
			err = os.Symlink(d.path, d.link)
		}
	}
	if err != nil {
		d.Remove()
		return SocketDir{}, fmt.Errorf("create a directory for sockets: %w", err)
	}
	return d, nil
}

// Path returns the directory's own path, which is short enough for sockets.
func (d SocketDir) Path() string { return d.path }

// Remove removes the directory and the sockets in it. It can be called more than once, and on the zero value.
func (d SocketDir) Remove() {
	if d.path == "" {
		return
	}
	_ = os.RemoveAll(d.path)
	if d.link != "" {
		_ = os.Remove(d.link)
	}
}

// FindSocket returns the path for connecting to the socket at path, whose directory was created by MakeSocketDir in
// this process or another one. It doesn't check whether the socket exists.
func FindSocket(path string) (string, error) {
	if dir, err := os.Readlink(filepath.Dir(path)); err == nil && filepath.IsAbs(dir) {
		path = filepath.Join(dir, filepath.Base(path))
	}
	if len(path) > socketPathLimit {
		return "", fmt.Errorf("the path of the socket %s is %d bytes long; the system allows %d", path, len(path), socketPathLimit)
	}
	return path, nil
}
