package eventstored

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"

	"github.com/waypost/waypost/adapters/datadir"
)

const (
	// socketsName is the directory of a running server's Unix sockets, in the data directory.
	socketsName = "socket"
	// grpcSocket is the socket for EventStoreDB's protocol, operatorSocket the one for orders.
	grpcSocket, operatorSocket = "grpc", "operator"
	// socketPrefix is the prefix of the sockets' directory if the data directory's path is too long for a socket.
	socketPrefix = "waypost-es-"
)

// sockets are the sockets of a running server. Only its user, and root, can connect to them: their directory has mode
// 0700 from its creation.
type sockets struct {
	dir            string // of the data
	private        datadir.SocketDir
	grpc, operator net.Listener
}

// openSockets listens on the sockets of a data directory. The caller must hold the directory's lock.
func openSockets(dir string) (_ *sockets, err error) {
	s := &sockets{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("event store in %s: socket: %w", dir, err), s.close())
		}
	}()
	if s.dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	s.private, err = datadir.MakeSocketDir(filepath.Join(s.dir, socketsName), datadir.SocketOptions{Longest: operatorSocket, Prefix: socketPrefix})
	if err != nil {
		return nil, err
	}
	for name, into := range map[string]*net.Listener{grpcSocket: &s.grpc, operatorSocket: &s.operator} {
		path := filepath.Join(s.private.Path(), name)
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			return nil, err
		}
		*into = l
		if err := os.Chmod(path, 0o700); err != nil { //nolint:gosec // a socket has no content; only its owner can connect
			return nil, err
		}
	}
	return s, nil
}

// url returns the connection string of the socket. It is the same after a restart, wherever the sockets' directory is.
func (s *sockets) url() string {
	u := url.URL{Scheme: "esdb+unix", Path: filepath.Join(s.dir, socketsName, grpcSocket)}
	return u.String()
}

// close closes the sockets and removes the directory. It can be called more than once.
func (s *sockets) close() error {
	var errs []error
	for _, l := range []net.Listener{s.grpc, s.operator} {
		if l == nil {
			continue
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) { // the servers on them also close them
			errs = append(errs, err)
		}
	}
	s.private.Remove()
	return errors.Join(errs...)
}

// findSocket returns the path for connecting to a socket of the server that runs on a data directory.
func findSocket(dir, name string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return datadir.FindSocket(filepath.Join(dir, socketsName, name))
}
