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

var (
	// ErrRefused reports that the user or the password in the URL is wrong.
	ErrRefused = errors.New("the event store rejects the user and password in its URL")
	// ErrForbidden reports that the event store doesn't allow its user to do something
	// that Waypost needs. CheckRights finds out what.
	ErrForbidden = errors.New("the event store doesn't allow its user to do this (if the URL names no user, add one); " +
		"waypost doctor lists the rights that are missing and how to grant them")

	// errRetired reports that the connection was retired before the call could begin.
	errRetired = errors.New("connection was retired")
	// errClosed reports that the Log was closed by its owner.
	errClosed = fmt.Errorf("%w: its client is closed", event.ErrUnavailable)
	// errNoAnswer reports that one try took longer than the call timeout.
	errNoAnswer = fmt.Errorf("%w: no response in time", event.ErrUnavailable)
)

// codeOf returns the gRPC code of a client error, which is either an *esdb.Error,
// wrapped or not, or the plain gRPC error.
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
		default: // the gRPC error inside is more precise
		}
		if e.Err() == nil {
			return codes.Unknown
		}
		err = e.Err()
	}
	if errors.Is(err, io.EOF) {
		// The stream ended while the client was still sending, and the error contains
		// no reason.
		return codes.Unavailable
	}
	if s, ok := status.FromError(err); ok {
		return s.Code()
	}
	return status.FromContextError(err).Code()
}

// isRetryable reports whether the same call may succeed a little later.
func isRetryable(err error) bool {
	if errors.Is(err, errClosed) {
		return false
	}
	if errors.Is(err, event.ErrUnavailable) {
		return true
	}
	code := codeOf(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Aborted ||
		code == codes.Canceled // by the client, which closes a connection during other calls when it learns of another leader
}

// wrapError turns the error of a call into an error of the log. what names the call.
func wrapError(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		// The error contains the caller's own reason. The outcome of the call in the
		// store is unknown.
		return fmt.Errorf("%s: %w: %w: %w", what, event.ErrUnavailable, context.Cause(ctx), err)
	}
	if errors.Is(err, event.ErrUnavailable) {
		return fmt.Errorf("%s: %w", what, err)
	}
	code := codeOf(err)
	err = unwrapUnknown(err)
	switch code {
	case codes.ResourceExhausted:
		return fmt.Errorf("%s: %w: %w: %w", what, event.ErrUnavailable, event.ErrDiskFull, err)
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.Canceled:
		return fmt.Errorf("%s: %w: %w", what, event.ErrUnavailable, err)
	case codes.Unauthenticated:
		return fmt.Errorf("%s: %w: %w", what, ErrRefused, err)
	case codes.PermissionDenied:
		return fmt.Errorf("%s: %w: %w", what, ErrForbidden, err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}

// unwrapUnknown returns the cause of an error that the client reports only as unknown.
func unwrapUnknown(err error) error {
	var e *esdb.Error
	if errors.As(err, &e) && e.Code() == esdb.ErrorCodeUnknown && e.Err() != nil {
		return e.Err()
	}
	return err
}

// refusedAsTooLarge reports whether the store rejected an append because of its size.
// The store sends that in trailers, which the client drops, so only the text is left.
func refusedAsTooLarge(err error) bool {
	return codeOf(err) == codes.InvalidArgument && strings.Contains(strings.ToLower(err.Error()), "maximum")
}

func hasCode(err error, code esdb.ErrorCode) bool {
	var e *esdb.Error
	return errors.As(err, &e) && e.Code() == code
}
