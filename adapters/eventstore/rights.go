package eventstore

import (
	"context"
	"fmt"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
)

// Right is something that the user of an event store must be allowed to do.
type Right struct {
	// Name is the action that the right allows, such as "read $all".
	Name string
	// Grant explains how an administrator of the event store grants it.
	Grant string
	// Err is nil if the user has the right. If not, it wraps ErrForbidden or
	// ErrRefused. Any other error means that the right could not be checked.
	Err error
}

// grants explain how to grant a right on streams without their own ACL. See "Access
// control lists" in EventStoreDB's documentation.
const (
	grantAll      = `make the user a member of $admins, or add the user to "$r" in the "$acl" of the metadata of the stream $all`
	grantRead     = `make the user a member of $admins, or add the user to "$r" of "$userStreamAcl" in the stream $settings`
	grantAppend   = `make the user a member of $admins, or add the user to "$w" of "$userStreamAcl" in the stream $settings`
	grantMetadata = `make the user a member of $admins, or add the user to "$mw" of "$userStreamAcl" in the stream $settings`
)

// probeTries limits how often one right is tried while the store is unavailable.
const probeTries = 2

// CheckRights tries each right that Waypost needs of the event store at url, and writes
// nothing: its appends expect a revision that the stream does not have, and a store
// rejects them only after it has checked the right. It returns an error if url is
// malformed.
func CheckRights(ctx context.Context, url string) ([]Right, error) {
	c, err := newClient(url, defaultCallTimeout)
	if err != nil {
		return nil, fmt.Errorf("open event store: %w", err)
	}
	try := func(probe func(context.Context, *connection) error) error {
		return c.call(ctx, "try the right", probeTries, probe)
	}
	stream := "waypost-rights-" + uuid.NewString() // it doesn't exist, and never will
	rights := []Right{
		{Name: "read $all", Grant: grantAll, Err: try(func(ctx context.Context, c *connection) error {
			_, err := end(ctx, c)
			return err
		})},
		{Name: "read a stream", Grant: grantRead, Err: try(func(ctx context.Context, c *connection) error {
			return probeRead(ctx, c, stream)
		})},
		{Name: "append to a stream", Grant: grantAppend, Err: try(func(ctx context.Context, c *connection) error {
			return probeAppend(ctx, c, stream)
		})},
		{Name: "write metadata of a stream", Grant: grantMetadata, Err: try(func(ctx context.Context, c *connection) error {
			return probeMetadata(ctx, c, stream)
		})},
	}
	return rights, abandon(c)
}

func probeRead(ctx context.Context, c *connection, stream string) error {
	ctx, leave, ok := c.enter(ctx)
	if !ok {
		return errRetired
	}
	defer leave()
	events, err := c.client.ReadStream(ctx, stream, esdb.ReadStreamOptions{Direction: esdb.Forwards, From: esdb.Start{}}, 1)
	if err != nil {
		return err
	}
	defer events.Close()
	if _, err := events.Recv(); !hasCode(err, esdb.ErrorCodeResourceNotFound) {
		return errOrExists(err, stream)
	}
	return nil
}

func probeAppend(ctx context.Context, c *connection, stream string) error {
	ctx, leave, ok := c.enter(ctx)
	if !ok {
		return errRetired
	}
	defer leave()
	_, err := c.client.AppendToStream(ctx, stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.StreamExists{}}, esdb.EventData{
		EventID: uuid.New(), EventType: "RightTried", ContentType: esdb.ContentTypeJson, Data: []byte("{}"),
	})
	return refusedRevision(err, stream)
}

func probeMetadata(ctx context.Context, c *connection, stream string) error {
	ctx, leave, ok := c.enter(ctx)
	if !ok {
		return errRetired
	}
	defer leave()
	_, err := c.client.SetStreamMetadata(ctx, stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.StreamExists{}}, esdb.StreamMetadata{})
	return refusedRevision(err, stream)
}

// refusedRevision returns nil for the rejection that a probe expects.
func refusedRevision(err error, stream string) error {
	if hasCode(err, esdb.ErrorCodeWrongExpectedVersion) {
		return nil
	}
	return errOrExists(err, stream)
}

func errOrExists(err error, stream string) error {
	if err == nil {
		return fmt.Errorf("stream %s exists", stream)
	}
	return err
}
