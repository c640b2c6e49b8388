package harness

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
)

// logTimeout bounds the reading of the simulator's log.
const logTimeout = 30 * time.Second

// CallLog is every call that the simulator remembers, in the order of arrival.
func (r *TestEnv) CallLog(ctx context.Context) ([]simulator.Call, error) {
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.SimURL+"/log", nil)
	if err != nil {
		return nil, err
	}
	body, err := apiclient.RoundTrip(http.DefaultClient, req)
	if err != nil {
		return nil, err
	}
	var calls []simulator.Call
	for decoder := json.NewDecoder(bytes.NewReader(body)); ; {
		var c simulator.Call
		if err := decoder.Decode(&c); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read the simulator's log: %w", err)
		}
		calls = append(calls, c)
	}
	slices.SortFunc(calls, func(a, b simulator.Call) int { return int(a.AtNanos - b.AtNanos) })
	return calls, nil
}

// Written are the times at which the lanes wrote their calls, by sender and in
// order, from the lines that the platform logs for each call.
func (r *TestEnv) Written() (map[string][]time.Duration, error) {
	logs, err := filepath.Glob(filepath.Join(r.Dir, "serve*.log"))
	if err != nil {
		return nil, err
	}
	times := make(map[string][]time.Duration)
	for _, path := range logs {
		if err := ReadWritten(path, times); err != nil {
			return nil, err
		}
	}
	for _, list := range times {
		slices.Sort(list)
	}
	return times, nil
}

// ReadWritten adds the times at which calls were written, by sender, from the log at path.
func ReadWritten(path string, into map[string][]time.Duration) error {
	return readLines(path, func(raw []byte) {
		var line struct {
			Msg     string    `json:"msg"`
			Sender  string    `json:"sender"`
			Written time.Time `json:"written"`
		}
		if json.Unmarshal(raw, &line) == nil && line.Msg == "call" && !line.Written.IsZero() {
			into[line.Sender] = append(into[line.Sender], time.Duration(line.Written.UnixNano()))
		}
	})
}

// WebhookTimes returns how long each webhook took that Waypost responded to with 200 between two times, from the line that it logs
// for each one.
func (r *TestEnv) WebhookTimes(from, to time.Time) (times []time.Duration, err error) {
	err = r.readWebhooks(func(w loggedWebhook) {
		if !w.Time.Before(from) && !w.Time.After(to) {
			times = append(times, w.Took)
		}
	})
	return times, err
}

// WebhookStarts returns when Waypost received each webhook that it responded to with 200, by the ID of the delivery.
func (r *TestEnv) WebhookStarts() (map[string]time.Time, error) {
	starts := make(map[string]time.Time)
	err := r.readWebhooks(func(w loggedWebhook) { starts[w.Delivery] = w.Time.Add(-w.Took) })
	return starts, err
}

// loggedWebhook is the line that Waypost logs when it has responded to a webhook.
type loggedWebhook struct {
	Time     time.Time     `json:"time"`
	Msg      string        `json:"msg"`
	Delivery string        `json:"delivery"`
	Status   int           `json:"status"`
	Took     time.Duration `json:"took"`
}

func (r *TestEnv) readWebhooks(each func(loggedWebhook)) error {
	return readLines(r.Serve.Log, func(raw []byte) {
		var w loggedWebhook
		if json.Unmarshal(raw, &w) == nil && w.Msg == "webhook" && w.Status == http.StatusOK {
			each(w)
		}
	})
}

// readLines calls each with every line of a file.
func readLines(path string, each func(line []byte)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		each(lines.Bytes())
	}
	return lines.Err()
}
