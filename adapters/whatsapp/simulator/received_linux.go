package simulator

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// stampingConn asks the kernel on each read when the data was received.
type stampingConn struct {
	*net.TCPConn

	raw     syscall.RawConn
	control [64]byte     // of a read: one goroutine reads at a time
	at      atomic.Int64 // Unix nanoseconds; zero means unknown
}

// stamping returns a stampingConn for c, or c itself if the kernel does not provide timestamps.
func stamping(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1)
	})
	if err != nil || refused != nil {
		return c
	}
	return &stampingConn{TCPConn: tcp, raw: raw}
}

func (c *stampingConn) received() time.Time {
	if at := c.at.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Read implements net.Conn.
func (c *stampingConn) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	var control int
	waited := c.raw.Read(func(fd uintptr) bool {
		n, control, _, _, err = syscall.Recvmsg(int(fd), p, c.control[:], 0)
		for errors.Is(err, syscall.EINTR) {
			n, control, _, _, err = syscall.Recvmsg(int(fd), p, c.control[:], 0)
		}
		return !errors.Is(err, syscall.EAGAIN)
	})
	switch {
	case waited != nil:
		return 0, waited
	case err != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("recvmsg", err)}
	case n == 0:
		return 0, io.EOF
	}
	if at, ok := stampOf(c.control[:control]); ok {
		c.at.Store(at)
	}
	return n, nil
}

// stampOf parses the only requested control message: a header with the length, the level, and the type, and a timespec.
// Source: recvmsg(2), socket(7).
func stampOf(control []byte) (nanos int64, ok bool) {
	const header, whole = syscall.SizeofCmsghdr, syscall.SizeofCmsghdr + 16
	if header != 16 || len(control) < whole { // 64 bits
		return 0, false
	}
	level, kind := binary.NativeEndian.Uint32(control[8:]), binary.NativeEndian.Uint32(control[12:])
	if level != syscall.SOL_SOCKET || kind != syscall.SCM_TIMESTAMPNS {
		return 0, false
	}
	seconds, rest := binary.NativeEndian.Uint64(control[header:]), binary.NativeEndian.Uint64(control[header+8:])
	return int64(seconds)*int64(time.Second) + int64(rest), true
}
