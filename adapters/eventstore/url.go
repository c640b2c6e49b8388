package eventstore

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/waypost/waypost/adapters/datadir"
)

const (
	// unixScheme begins the URL of an embedded store that is reached by its Unix socket, esdb+unix:///path. It isn't
	// one of EventStoreDB's own schemes.
	unixScheme = "esdb+unix://"
	// unixPrefix begins the address of such a store in a configuration.
	unixPrefix = "unix:"
)

// parseURL parses a connection string: one of EventStoreDB's own forms, or esdb+unix:///path with the same parameters.
// Its errors don't quote the string, which can contain a password.
func parseURL(text string) (*esdb.Configuration, error) {
	rest, isUnix := strings.CutPrefix(text, unixScheme)
	if !isUnix {
		config, err := esdb.ParseConnectionString(text)
		if err != nil {
			return nil, withoutURL(err)
		}
		return config, nil
	}
	u, err := url.Parse(unixScheme + rest)
	switch {
	case err != nil:
		return nil, errors.New("the connection string is malformed: use esdb+unix:///path/to/the/socket, with %-escapes for special characters")
	case u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/"):
		return nil, errors.New("connection string: esdb+unix:// must be followed by the absolute path of a socket, without a host or a user: use esdb+unix:///path/to/the/socket")
	}
	config, err := esdb.ParseConnectionString("esdb://localhost?" + u.RawQuery)
	if err != nil {
		return nil, withoutURL(err)
	}
	// The socket's mode protects it. Nothing is sent over a network, so TLS is not needed.
	config.DisableTLS, config.Address = true, unixPrefix+u.Path
	return config, nil
}

// dialTarget returns an address in the form that gRPC dials. A socket is looked up each time, because its directory can
// change when the store restarts.
func dialTarget(address string) (string, error) {
	path, isUnix := strings.CutPrefix(address, unixPrefix)
	if !isUnix {
		return address, nil
	}
	path, err := datadir.FindSocket(path)
	if err != nil {
		return "", fmt.Errorf("event store: %w", err)
	}
	u := url.URL{Scheme: "unix", Path: path}
	return u.String(), nil
}

// withoutURL removes a connection string from an error, because it can contain a
// password.
func withoutURL(err error) error {
	var malformed *url.Error
	if errors.As(err, &malformed) {
		return errors.New("the connection string is malformed: use esdb://host:port?tls=false or EventStoreDB's other forms")
	}
	return fmt.Errorf("connection string: %w", err)
}
