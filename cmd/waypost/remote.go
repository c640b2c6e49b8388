package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// remoteSettings say which platform a command talks to, and with which key. Without
// a URL it is the one that runs on the data folder.
type remoteSettings struct {
	URL     string `help:"URL of the platform. Empty: the one that runs on the data folder." env:"WAYPOST_URL"`
	APIKey  string `name:"api-key" help:"API key. Empty: the ADMIN key of the settings of serve, or in the data folder. WAYPOST_API_KEY_FILE names a file that has it." env:"WAYPOST_API_KEY"`
	DataDir string `help:"Data folder of a running platform." default:"./waypost-data" env:"WAYPOST_DATA_DIR" type:"path"`
}

// client makes a client of the platform's GraphQL.
func (r remoteSettings) client() (*graphqlClient, error) {
	base := r.URL
	if base == "" {
		run, err := readRunFile(r.DataDir)
		if err != nil {
			return nil, err
		}
		if !alive(run.PID) {
			return nil, fmt.Errorf("no platform runs on %s: process %d has ended; start one there with waypost serve, or name another with --data-dir or --url", r.DataDir, run.PID)
		}
		base = run.URL
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("--url %q is no URL of a platform; it looks like https://waypost.example.com", base)
	}
	given, err := newSecret("WAYPOST_API_KEY", r.APIKey)
	if err != nil {
		return nil, err
	}
	key := given.get()
	if key == "" { // on a node whose settings the shell has
		admin, err := newSecret("WAYPOST_ADMIN_KEY", os.Getenv("WAYPOST_ADMIN_KEY"))
		if err != nil {
			return nil, err
		}
		key = admin.get()
	}
	if key == "" {
		text, err := os.ReadFile(filepath.Join(r.DataDir, "admin.key"))
		if err != nil {
			return nil, fmt.Errorf("no key: %w; give one as WAYPOST_API_KEY", err)
		}
		key = strings.TrimSpace(string(text))
	}
	return newGraphQLClient(u.JoinPath("graphql").String(), key), nil
}

// readRunFile finds the platform that runs on a data folder.
func readRunFile(dir string) (runFile, error) {
	var run runFile
	text, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return run, fmt.Errorf("no platform runs on %s; start one there with waypost serve, or name another with --data-dir or --url", dir)
	}
	if err != nil {
		return run, fmt.Errorf("data folder: %w", err)
	}
	if err := json.Unmarshal(text, &run); err != nil {
		return run, fmt.Errorf("%s: %w; it is written anew when the platform starts", filepath.Join(dir, "run.json"), err)
	}
	return run, nil
}
