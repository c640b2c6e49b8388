package simulator

import (
	"context"
	"net"
	"time"
)

type connectionKey struct{}

func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// receivedAgo returns how long ago the latest data of the request's connection was received, or zero if that is not
// known.
func receivedAgo(ctx context.Context) time.Duration {
	c, ok := ctx.Value(connectionKey{}).(interface{ received() time.Time })
	if !ok || c.received().IsZero() {
		return 0
	}
	return max(0, time.Since(c.received()))
}

// stampingListener accepts connections that know when the kernel received the data they last read.
type stampingListener struct{ net.Listener }

func (l stampingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return stamping(c), nil
}
