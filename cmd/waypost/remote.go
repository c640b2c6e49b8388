package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

// remoteSettings name the Waypost that a command talks to, and the key. Without a URL, it is the one that runs on the data directory, or the demo in it.
type remoteSettings struct {
	URL          string `help:"URL of Waypost. If empty, the one that runs on the data directory, or the demo in it. A URL needs a key, see --api-key." env:"WAYPOST_URL"`
	APIKey       string `name:"api-key" secret:"" help:"API key. WAYPOST_API_KEY_FILE names a file that contains it. If empty, the ADMIN key in the data directory, which is sent only to the Waypost that runs on it." env:"WAYPOST_API_KEY"`
	InsecureHTTP bool   `name:"insecure-http" help:"Send the key to a --url on another machine over http, where others on the network can read it." env:"WAYPOST_INSECURE_HTTP"`
	DataDir      string `help:"Data directory of a running Waypost." default:"./waypost-data" env:"WAYPOST_DATA_DIR" type:"path"`
}

// client returns a client of the GraphQL API.
func (r remoteSettings) client() (*apiclient.Client, error) {
	given, err := platform.NewSecret("WAYPOST_API_KEY", r.APIKey)
	if err != nil {
		return nil, err
	}
	if r.URL == "" {
		return r.local(given.Get())
	}
	return r.remote(given.Get())
}

// remote returns a client of the Waypost at the URL.
func (r remoteSettings) remote(key string) (*apiclient.Client, error) {
	u, err := apiclient.ParseURL(r.URL, r.InsecureHTTP)
	if err != nil {
		return nil, err
	}
	if key == "" {
		return nil, errors.New("--url needs a key of that installation; set WAYPOST_API_KEY, or WAYPOST_API_KEY_FILE to a file that contains it (this machine's ADMIN key is sent only to the Waypost on --data-dir)")
	}
	if !strings.HasSuffix(u.Path, "/graphql") {
		u = u.JoinPath("graphql")
	}
	return apiclient.New(u.String(), key), nil
}

// local returns a client of the Waypost that runs on the data directory. It uses that process's own socket, so that the ADMIN key
// reaches no other process.
func (r remoteSettings) local(key string) (*apiclient.Client, error) {
	dir, run, err := platform.FindRunning(r.DataDir)
	if err != nil {
		return nil, err
	}
	if run == nil {
		return nil, &platform.NotRunningError{DataDir: r.DataDir}
	}
	if key == "" { // the shell can have the settings of the node
		admin, err := platform.NewSecret("WAYPOST_ADMIN_KEY", os.Getenv("WAYPOST_ADMIN_KEY"))
		if err != nil {
			return nil, err
		}
		key = admin.Get()
	}
	if key == "" {
		text, err := os.ReadFile(platform.AdminKeyPath(dir))
		if err != nil {
			return nil, fmt.Errorf("no key: %w; set WAYPOST_API_KEY", err)
		}
		key = strings.TrimSpace(string(text))
	}
	client := apiclient.New("http://localhost/graphql", key)
	client.HTTP.Transport = &http.Transport{DialContext: platform.DialRunning(dir)}
	return client, nil
}
