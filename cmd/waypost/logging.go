package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/waypost/waypost/app/request"
)

// logSettings say how a command logs.
type logSettings struct {
	LogLevel  string `help:"How much is logged." enum:"debug,info,warn,error" default:"info" env:"WAYPOST_LOG_LEVEL"`
	LogFormat string `help:"text or json; text on a terminal and json elsewhere if empty." enum:",text,json" default:"" env:"WAYPOST_LOG_FORMAT"`
}

func (s logSettings) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "text" || (s.LogFormat == "" && isTerminal(w)) {
		return slog.New(request.Handler{Handler: slog.NewTextHandler(w, options)}), nil
	}
	return slog.New(request.Handler{Handler: slog.NewJSONHandler(w, options)}), nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// oneLine is an error as the one line that a person reads. Parts that say the same,
// as of several tries to connect, are said once.
func oneLine(err error) string {
	var parts []string
	for line := range strings.Lines(err.Error()) {
		part := strings.Join(strings.Fields(line), " ")
		same := slices.IndexFunc(parts, func(p string) bool { return strings.HasPrefix(part, p) || strings.HasPrefix(p, part) })
		switch {
		case part == "":
		case same < 0:
			parts = append(parts, part)
		case len(part) > len(parts[same]): // the last of them has the remedy behind it
			parts[same] = part
		}
	}
	return strings.ReplaceAll(strings.Join(parts, "; "), ":; ", ": ")
}
