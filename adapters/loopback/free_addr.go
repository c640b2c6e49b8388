// Package loopback chooses local addresses for servers that are restarted at the same
// address.
package loopback

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
)

// Ports are chosen from lowest to highest. The system assigns ports of
// net.ipv4.ip_local_port_range, by default 32768 to 60999, to processes that connect or
// listen on port 0. So a port in that range may be taken while its server is down.
const (
	lowest  = 10_000
	highest = 32_000
)

// given are the ports that this process has received. Their servers may not be
// listening yet, or may be down.
var (
	mu    sync.Mutex
	given = map[int]bool{}
)

// FreeAddr returns a loopback address, host:port, that nothing listens on and that it
// has not returned before in this process.
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
