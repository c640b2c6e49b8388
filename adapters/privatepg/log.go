package privatepg

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

const (
	tailLines  = 30   // kept, to report why a process ended
	lineLength = 1024 // in bytes; the rest of a line is cut off
)

// stopped is the message of each session that is still open at a stop. It is not
// logged.
const stopped = "terminating connection due to administrator command"

// tail receives the output of a process line by line: it keeps the last lines and
// passes each line to the logger, if there is one.
type tail struct {
	logger *slog.Logger

	mu      sync.Mutex
	kept    []string
	partial []byte
}

// Write implements [io.Writer].
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte{'\n'})
		t.partial = append(t.partial, part[:min(len(part), lineLength-len(t.partial))]...)
		if ended {
			t.add(string(t.partial))
			t.partial = t.partial[:0]
		}
		rest = after
	}
	return len(p), nil
}

func (t *tail) add(line string) {
	if line = strings.TrimSpace(line); line == "" {
		return
	}
	if len(t.kept) == tailLines {
		t.kept = slices.Delete(t.kept, 0, 1)
	}
	t.kept = append(t.kept, line)
	if t.logger != nil {
		severity, text, found := strings.Cut(line, ":  ")
		if !found {
			severity, text = "", line
		}
		report := t.logger.Debug // LOG, ordinary messages
		switch severity {
		case "PANIC": // the server ends
			report = t.logger.Error
		case "FATAL", "WARNING": // a session ends
			if text != stopped {
				report = t.logger.Warn
			}
		}
		report("postgres: " + text)
	}
}

// lines returns the last lines written.
func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.kept)
}
