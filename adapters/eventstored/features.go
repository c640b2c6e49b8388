package eventstored

import (
	"context"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
)

// serverVersion is the EventStoreDB version whose protocol this server speaks. Clients assume that servers of version
// 23 and later send CaughtUp, and that those of version 25 and later support appends to several streams at once.
const serverVersion = "24.10.0"

const (
	streamsServiceName    = "event_store.client.streams.streams"
	operationsName        = "event_store.client.operations.operations"
	persistentServiceName = "event_store.client.persistent_subscriptions.persistentsubscriptions"
)

// featuresService reports to clients what the server supports. It is the first service they call.
type featuresService struct {
	serverfeatures.UnimplementedServerFeaturesServer
}

func (featuresService) GetSupportedMethods(context.Context, *shared.Empty) (*serverfeatures.SupportedMethods, error) {
	method := func(service, name string, features ...string) *serverfeatures.SupportedMethod {
		return &serverfeatures.SupportedMethod{ServiceName: service, MethodName: name, Features: features}
	}
	return &serverfeatures.SupportedMethods{
		EventStoreServerVersion: serverVersion,
		Methods: []*serverfeatures.SupportedMethod{
			method(streamsServiceName, "append"),
			method(streamsServiceName, "batchappend", "deadline_duration"),
			method(streamsServiceName, "read", "position", "events"),
			method(streamsServiceName, "delete"),
			method(streamsServiceName, "tombstone"),
			method(persistentServiceName, "create", "stream", "all"),
			method(persistentServiceName, "update", "stream", "all"),
			method(persistentServiceName, "delete", "stream", "all"),
			method(persistentServiceName, "read", "stream", "all"),
			method(persistentServiceName, "getinfo", "stream", "all"),
			method(persistentServiceName, "replayparked", "stream", "all"),
			method(persistentServiceName, "list", "stream", "all"),
			method(persistentServiceName, "restartsubsystem"),
			method(operationsName, "startscavenge"),
			method(operationsName, "stopscavenge"),
			method(operationsName, "mergeindexes"),
			method(operationsName, "restartpersistentsubscriptions"),
			method("event_store.client.gossip.gossip", "read"),
			method("event_store.client.server_features.serverfeatures", "getsupportedmethods"),
		},
	}, nil
}
