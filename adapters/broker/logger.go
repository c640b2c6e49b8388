package broker

import (
	"context"
	"log/slog"

	"github.com/ThreeDotsLabs/watermill"
)

// clientLogger is what Watermill's clients log to. Their errors are mostly of a
// broker that is away and will be back, so they are warnings here. Debug and trace
// are dropped: the SQS client logs whole messages there, the SQL client its
// arguments.
type clientLogger struct{ to *slog.Logger }

func newClientLogger(to *slog.Logger, kind string) watermill.LoggerAdapter {
	return clientLogger{to.With("broker", kind)}
}

// Error logs a warning.
func (l clientLogger) Error(msg string, err error, _ watermill.LogFields) {
	l.to.LogAttrs(context.Background(), slog.LevelWarn, "broker client: "+msg, slog.Any("error", err)) //nolint:forbidigo // Watermill passes none on
}

// Info logs at debug: Watermill tells of every subscription.
func (l clientLogger) Info(msg string, _ watermill.LogFields) {
	l.to.LogAttrs(context.Background(), slog.LevelDebug, "broker client: "+msg) //nolint:forbidigo // as above
}

// Debug drops what it is given.
func (clientLogger) Debug(string, watermill.LogFields) {}

// Trace drops what it is given.
func (clientLogger) Trace(string, watermill.LogFields) {}

// With drops the fields: they hold queues' addresses, queries and arguments.
func (l clientLogger) With(watermill.LogFields) watermill.LoggerAdapter { return l }
