// Package loopback chooses addresses of this machine for servers that are started
// again at the one they had.
package loopback

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
)

// Ports are chosen from lowest up to highest. Whoever connects, or listens on port 0,
// is given one of net.ipv4.ip_local_port_range, which is 32768 to 60999 if nobody
// changed it: a port in there may be gone while its server is down.
const (
	lowest  = 10_000
	highest = 32_000
)

// given are the ports that this process was given. Their servers need not listen yet,
// or may be down.
var (
	mu    sync.Mutex
	given = map[int]bool{}
)

// FreeAddr is a loopback address, host:port, that nothing listens on and that it gave
// to nobody else in this process.
func FreeAddr() (string, error) {
	mu.Lock()
	defer mu.Unlock()
	for len(given) <= highest-lowest {
		addr := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: lowest + rand.IntN(highest-lowest+1)}
		if given[addr.Port] {
			continue
		}
		given[addr.Port] = true
		l, err := net.ListenTCP("tcp", &addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue // another program's
		}
		if err != nil {
			return "", err
		}
		return addr.String(), l.Close()
	}
	return "", errors.New("no port is free")
}
