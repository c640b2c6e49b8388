package platform

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/waypost/waypost/app/request"
	"github.com/waypost/waypost/cmd/waypost/internal/terminal"
)

// LogSettings are the settings of a command's log.
type LogSettings struct {
	LogLevel  string `help:"Minimum level to log." enum:"debug,info,warn,error" default:"info" env:"WAYPOST_LOG_LEVEL"`
	LogFormat string `help:"text or json. If empty, text on a terminal and json elsewhere." enum:",text,json" default:"" env:"WAYPOST_LOG_FORMAT"`
}

// Logger returns a logger that writes to w.
func (s LogSettings) Logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "text" || (s.LogFormat == "" && terminal.Is(w)) {
		return slog.New(request.Handler{Handler: slog.NewTextHandler(w, options)}), nil
	}
	return slog.New(request.Handler{Handler: slog.NewJSONHandler(w, options)}), nil
}
