package privatepg

import (
	"path/filepath"

	"github.com/waypost/waypost/adapters/datadir"
)

const (
	// socketName is Postgres's name for the socket of port 5432.
	socketName = ".s.PGSQL.5432"

	socketPrefix = "waypost-pg-"
)

// makeSocketDir creates the directory "socket" in dir, with mode 0700 and the account
// as its owner. If that path is too long for a socket, or the account cannot reach it,
// the directory is a temporary one with a short name, and "socket" is a link to it.
func makeSocketDir(dir string, a account, reachable bool) (datadir.SocketDir, error) {
	s, err := datadir.MakeSocketDir(filepath.Join(dir, "socket"), datadir.SocketOptions{
		Longest: socketName, Prefix: socketPrefix, Elsewhere: !reachable,
		Avoid: `,'" `, // would end the name in unix_socket_directories
	})
	if err != nil {
		return s, err
	}
	if err := a.own(s.Path()); err != nil {
		s.Remove()
		return datadir.SocketDir{}, err
	}
	return s, nil
}
