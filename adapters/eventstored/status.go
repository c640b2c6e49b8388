package eventstored

import (
	"context"
	"errors"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// Trailers in which clients look for the cause of an error.
const (
	trailerException       = "exception"
	trailerStreamName      = "stream-name"
	trailerExpectedVersion = "expected-version"
	trailerActualVersion   = "actual-version"
	trailerMaxAppendSize   = "maximum-append-size"
)

// errTooSlow ends a live subscription with too many waiting events. The text is that of EventStoreDB.
var errTooSlow = status.Error(codes.Aborted, "Consumer too slow")

var errClosing = status.Error(codes.Unavailable, "event store is shutting down")

// statusOf converts an error of the store to the protocol: trailers that name the cause, and a status.
func statusOf(err error) (metadata.MD, error) {
	var deleted *store.StreamDeletedError
	var wrong *store.WrongRevisionError
	var large *store.TooLargeError
	switch {
	case errors.As(err, &deleted):
		return metadata.Pairs(trailerException, "stream-deleted", trailerStreamName, deleted.Stream),
			status.Errorf(codes.FailedPrecondition, "Event stream '%s' is deleted.", deleted.Stream)
	case errors.As(err, &wrong):
		return metadata.Pairs(
				trailerException, "wrong-expected-version", trailerStreamName, wrong.Stream,
				trailerExpectedVersion, strconv.FormatInt(int64(wrong.Expected), 10),
				trailerActualVersion, strconv.FormatInt(wrong.Current, 10),
				// This is the text of EventStoreDB, because the Python client parses it.
			), status.Errorf(codes.FailedPrecondition, "Delete failed due to WrongExpectedVersion. Stream: %s, Expected version: %d, Actual version: %d",
				wrong.Stream, int64(wrong.Expected), wrong.Current)
	case errors.As(err, &large):
		return metadata.Pairs(trailerException, "maximum-append-size-exceeded", trailerMaxAppendSize, strconv.Itoa(large.Max)),
			status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, store.ErrStreamName), errors.Is(err, store.ErrEventType):
		return nil, status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, store.ErrDiskFull):
		// Not Unavailable: clients would look for another node and find this one again.
		return nil, status.Error(codes.ResourceExhausted, err.Error())
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrFailed):
		return nil, status.Error(codes.Unavailable, err.Error())
	case errors.Is(err, store.ErrCorrupted):
		return nil, status.Error(codes.DataLoss, err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil, status.FromContextError(err).Err()
	}
	if _, ok := status.FromError(err); ok {
		return nil, err
	}
	return nil, status.Error(codes.Internal, err.Error())
}

// trailerSetter is implemented by streaming calls.
type trailerSetter interface{ SetTrailer(md metadata.MD) }

// refuse sets the trailers of an error and returns its status.
func refuse(stream trailerSetter, err error) error {
	trailer, err := statusOf(err)
	if trailer != nil {
		stream.SetTrailer(trailer)
	}
	return err
}
