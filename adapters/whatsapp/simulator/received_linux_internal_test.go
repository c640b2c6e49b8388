package simulator

import (
	"net"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/polltest"
)

// A call's arrival is the time at which the kernel received it, however late it is
// read.
func TestArrivalIsWhenTheKernelReceivedIt(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	caller, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	c, err := stampingListener{listener}.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := withConnection(t.Context(), c)
	if ago := receivedAgo(ctx); ago != 0 {
		t.Errorf("received %s ago, and nothing was", ago)
	}
	// The kernel begins to provide timestamps a moment after the first connection asked
	// for them.
	for end := time.Now().Add(polltest.Patience); receivedAgo(ctx) == 0; {
		if _, err := caller.Write([]byte("c")); err != nil || time.Now().After(end) {
			t.Fatal("nothing is stamped", err)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, late := range []time.Duration{200 * time.Millisecond, 0} {
		written := time.Now()
		if _, err := caller.Write([]byte("call")); err != nil {
			t.Fatal(err)
		}
		polltest.Until(t, "the data has been in the socket for that long", func() bool { return time.Since(written) > late })
		var data [16]byte
		if n, err := c.Read(data[:]); err != nil || string(data[:n]) != "call" {
			t.Fatalf("read %q, %v", data[:n], err)
		}
		if ago, most := receivedAgo(ctx), time.Since(written); ago < late-time.Millisecond || ago > most {
			t.Errorf("received %s ago, want from %s to %s", ago, late, most)
		}
	}
	if err := c.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("after the deadline: %v", err)
	}
	caller.Close()
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("after the end: %v", err)
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error) //nolint:errorlint // errors from the standard library are not wrapped here
	return ok && timeout.Timeout()
}
