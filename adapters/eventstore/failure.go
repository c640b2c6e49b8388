package eventstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/waypost/waypost/app/event"
)

// ErrRefused says that the store does not let this user in: the name or the
// password in the URL is wrong or missing, or the user may not do this.
var ErrRefused = errors.New("the event store refuses the user and password of its URL")

var (
	// errRetired says that the connection was retired before the call could begin.
	errRetired = errors.New("connection was retired")
	// errClosed says that the Log was closed by its owner.
	errClosed = fmt.Errorf("%w: its client is closed", event.ErrUnavailable)
	// errNoAnswer says that one try took longer than the call timeout.
	errNoAnswer = fmt.Errorf("%w: no answer in time", event.ErrUnavailable)
)

// codeOf is the gRPC code behind an error of the client, which gives it either as
// an *esdb.Error, wrapped or not, or as the plain gRPC error.
func codeOf(err error) codes.Code {
	var e *esdb.Error
	if errors.As(err, &e) {
		switch e.Code() {
		case esdb.ErrorUnavailable, esdb.ErrorCodeNotLeader, esdb.ErrorCodeConnectionClosed:
			return codes.Unavailable
		case esdb.ErrorCodeDeadlineExceeded:
			return codes.DeadlineExceeded
		case esdb.ErrorAborted:
			return codes.Aborted
		case esdb.ErrorCodeResourceNotFound:
			return codes.NotFound
		default: // the gRPC error behind it tells more
		}
		if e.Err() == nil {
			return codes.Unknown
		}
		err = e.Err()
	}
	if errors.Is(err, io.EOF) {
		// The stream ended while the client was still sending; it does not say why.
		return codes.Unavailable
	}
	if s, ok := status.FromError(err); ok {
		return s.Code()
	}
	return status.FromContextError(err).Code()
}

// mayPass reports whether the same call may succeed a little later.
func mayPass(err error) bool {
	if errors.Is(err, errClosed) {
		return false
	}
	if errors.Is(err, event.ErrUnavailable) {
		return true
	}
	code := codeOf(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Aborted ||
		code == codes.Canceled // by the client, which closes a connection under other calls when it is told of another leader
}

// failed turns an error of a call into one of the log. what names the call.
func failed(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		// The caller finds its own reason in it; what the store made of the call is not known.
		return fmt.Errorf("%s: %w: %w: %w", what, event.ErrUnavailable, context.Cause(ctx), err)
	}
	if errors.Is(err, event.ErrUnavailable) {
		return fmt.Errorf("%s: %w", what, err)
	}
	code := codeOf(err)
	err = plain(err)
	switch code {
	case codes.ResourceExhausted:
		return fmt.Errorf("%s: %w: %w: %w", what, event.ErrUnavailable, event.ErrNoRoom, err)
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.Canceled:
		return fmt.Errorf("%s: %w: %w", what, event.ErrUnavailable, err)
	case codes.Unauthenticated, codes.PermissionDenied:
		return fmt.Errorf("%s: %w: %w", what, ErrRefused, err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}

// plain is an error of which the client's own has nothing to say but that it does not
// know it.
func plain(err error) error {
	var e *esdb.Error
	if errors.As(err, &e) && e.Code() == esdb.ErrorCodeUnknown && e.Err() != nil {
		return e.Err()
	}
	return err
}

// refusedAsTooLarge reports whether the store refused an append for its size. It
// says so in trailers, which the client drops, so that only the text is left.
func refusedAsTooLarge(err error) bool {
	return codeOf(err) == codes.InvalidArgument && strings.Contains(strings.ToLower(err.Error()), "maximum")
}

func hasCode(err error, code esdb.ErrorCode) bool {
	var e *esdb.Error
	return errors.As(err, &e) && e.Code() == code
}
