package httpapi

import (
	"net"
	"net/netip"
	"sync"
)

const (
	// maxConnections is the maximum number of open connections of one listener, and
	// connectionsOfOne the maximum number from one client address. A connection over
	// either limit is closed immediately.
	maxConnections   = 4096
	connectionsOfOne = maxConnections * 3 / 4
)

// limitedListener limits the number of open connections.
type limitedListener struct {
	net.Listener

	most, mostOfOne int

	mu   sync.Mutex
	open int
	of   map[netip.Addr]int
}

func limited(l net.Listener) *limitedListener {
	return &limitedListener{Listener: l, most: maxConnections, mostOfOne: connectionsOfOne, of: make(map[netip.Addr]int)}
}

// Accept returns the next connection that is within the limits.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		var addr netip.Addr
		if ap, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
			addr = ap.Addr().Unmap()
		}
		if l.enter(addr) {
			return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { l.exit(addr) })}, nil
		}
		_ = c.Close() // nothing was sent or read yet
	}
}

func (l *limitedListener) enter(addr netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.most || l.of[addr] >= l.mostOfOne {
		return false
	}
	l.open++
	l.of[addr]++
	return true
}

func (l *limitedListener) exit(addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.of[addr]--; l.of[addr] == 0 {
		delete(l.of, addr)
	}
}

// limitedConn notifies its listener when it is closed.
type limitedConn struct {
	net.Conn

	leave func()
}

// SetWriteBuffer sets the size of the kernel's send buffer, if the connection has one.
func (c *limitedConn) SetWriteBuffer(bytes int) error {
	if tcp, ok := c.Conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		return tcp.SetWriteBuffer(bytes)
	}
	return nil
}

// Close closes the connection.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
