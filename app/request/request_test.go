package request_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/waypost/waypost/app/request"
)

func TestLinesOfARequestCarryItsID(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(request.Handler{Handler: slog.NewTextHandler(&out, nil)}).With("part", "test")
	r := &request.Request{ID: "r-1"}
	ctx := request.NewContext(t.Context(), r)
	log.InfoContext(ctx, "inside")
	log.Info("outside")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "part=test request=r-1") || strings.Contains(lines[1], "request=") {
		t.Errorf("logged %q", lines)
	}
	for range 100 {
		request.AddAttrs(ctx, slog.String("a", "b"))
	}
	if n := len(r.Attrs()); n == 0 || n > 20 {
		t.Errorf("%d notes are kept", n)
	}
	request.AddAttrs(context.Background(), slog.String("a", "b"))
	if request.ID(context.Background()) != "" {
		t.Error("no request has an id")
	}
}
