package harness

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
)

// StartStore starts an event store as a process of its own in dir and returns its URL. The caller must stop it.
func StartStore(ctx context.Context, dir string) (_ *Child, url string, err error) {
	c, err := StartChild(dir, "eventstore", nil, "eventstore", "--addr=", "--data-dir", filepath.Join(dir, "eventstore"))
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		text, err := os.ReadFile(c.Log)
		if err != nil {
			return c, "", err
		}
		if _, rest, found := strings.Cut(string(text), "WAYPOST_EVENTSTORE_URL="); found && strings.Contains(rest, "\n") {
			url, _, _ = strings.Cut(rest, "\n")
			return c, url, nil
		}
		select {
		case <-c.Done:
			return c, "", fmt.Errorf("the event store ended: its log ends: %s", c.Tail())
		default:
		}
		if err := retry.Sleep(ctx, ReadyPoll); err != nil {
			return c, "", fmt.Errorf("the event store is not ready: %w; its log ends: %s", err, c.Tail())
		}
	}
}

// Metrics reads the metrics without labels from the internal address of a process.
func Metrics(ctx context.Context, addr string) (map[string]float64, error) {
	body, err := GetOK(ctx, "http://"+addr+"/metrics")
	if err != nil {
		return nil, err
	}
	values := make(map[string]float64)
	for line := range strings.Lines(string(body)) {
		if name, text, found := strings.Cut(strings.TrimSpace(line), " "); found && name != "#" && !strings.Contains(name, "{") {
			if values[name], err = strconv.ParseFloat(text, 64); err != nil {
				return nil, fmt.Errorf("metric %s: %w", name, err)
			}
		}
	}
	return values, nil
}

// RecordProfile writes a CPU profile of the process with this internal address to path. It takes as long as the profile.
func RecordProfile(ctx context.Context, addr, path string, length time.Duration) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", addr, int(max(1, length.Seconds())))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	profile, err := apiclient.RoundTrip(http.DefaultClient, req)
	if err != nil {
		return err
	}
	return os.WriteFile(path, profile, 0o600)
}
