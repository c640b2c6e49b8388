package privatepg

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	// socketName is what Postgres calls the socket of port 5432.
	socketName = ".s.PGSQL.5432"

	// socketPathLimit is how long a socket's path may be: 103 bytes on macOS and
	// the BSDs, 107 on Linux.
	socketPathLimit = 103

	socketPrefix = "waypost-pg-"
)

// socketDir is the folder of the server's socket.
type socketDir struct {
	path string
	link string // in the data directory, if the folder is elsewhere
}

// makeSocketDir makes the folder "socket" in dir, with mode 0700 and the account as
// its owner. Where that path is too long for a socket, or the account cannot reach
// it, the folder is a short-named one for temporary files, and "socket" a link to
// it: by the link the next start finds and removes what a crash left.
func makeSocketDir(dir string, a account, reachable bool) (s socketDir, err error) {
	s.path = filepath.Join(dir, "socket")
	if old, err := os.Readlink(s.path); err == nil && strings.HasPrefix(filepath.Base(old), socketPrefix) {
		if err := os.RemoveAll(old); err != nil {
			return socketDir{}, fmt.Errorf("clearing the last run's socket folder: %w", err)
		}
	}
	if err := os.RemoveAll(s.path); err != nil {
		return socketDir{}, err
	}
	// A comma, quote or space would end the name in unix_socket_directories.
	if reachable && len(s.path)+1+len(socketName) <= socketPathLimit && !strings.ContainsAny(s.path, `,'" `) {
		err = os.Mkdir(s.path, 0o700)
	} else {
		s.link = s.path
		s.path, err = os.MkdirTemp(temporary(), socketPrefix)
		if err == nil {
			err = os.Symlink(s.path, s.link)
		}
	}
	if err == nil {
		err = a.own(s.path)
	}
	if err != nil {
		s.remove()
		return socketDir{}, fmt.Errorf("folder for the socket: %w", err)
	}
	return s, nil
}

// temporary returns the folder for temporary files, or /tmp if that has a longer
// name than a socket in it may have.
func temporary() string {
	const ownName = len("/" + socketPrefix + "4294967295/" + socketName)
	if dir := os.TempDir(); len(dir)+ownName <= socketPathLimit && !strings.ContainsAny(dir, `,'" `) {
		return dir
	}
	return "/tmp"
}

func (s socketDir) remove() {
	if s.path == "" {
		return
	}
	os.RemoveAll(s.path)
	if s.link != "" {
		os.Remove(s.link)
	}
}
