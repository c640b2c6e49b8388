package broker

import (
	"context"
	"log/slog"

	"github.com/ThreeDotsLabs/watermill"
)

// A clientLogger is the logger for Watermill's clients. Most of their errors mean that
// the broker is temporarily unreachable, so they are logged as warnings. Debug and trace
// messages are dropped because the SQS client logs whole messages there and the SQL
// client logs its arguments.
type clientLogger struct{ to *slog.Logger }

func newClientLogger(to *slog.Logger, kind string) watermill.LoggerAdapter {
	return clientLogger{to.With("broker", kind)}
}

// Error logs a warning.
func (l clientLogger) Error(msg string, err error, _ watermill.LogFields) {
	l.to.LogAttrs(context.Background(), slog.LevelWarn, "broker client: "+msg, slog.Any("error", err)) //nolint:forbidigo // Watermill doesn't pass a context
}

// Info logs at the debug level because Watermill reports every subscription.
func (l clientLogger) Info(msg string, _ watermill.LogFields) {
	l.to.LogAttrs(context.Background(), slog.LevelDebug, "broker client: "+msg) //nolint:forbidigo // as above
}

// Debug drops the message.
func (clientLogger) Debug(string, watermill.LogFields) {}

// Trace drops the message.
func (clientLogger) Trace(string, watermill.LogFields) {}

// With drops the fields because they contain queue URLs, queries, and arguments.
func (l clientLogger) With(watermill.LogFields) watermill.LoggerAdapter { return l }
