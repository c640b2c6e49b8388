// Package terminal decides what commands print for a person at a terminal.
package terminal

import (
	"io"
	"os"
	"slices"
	"strings"
)

// Is reports whether w is a terminal.
func Is(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// OneLine returns an error as one line. It drops repeated parts, such as those of several attempts to connect.
func OneLine(err error) string {
	var parts []string
	for line := range strings.Lines(err.Error()) {
		part := strings.Join(strings.Fields(line), " ")
		same := slices.IndexFunc(parts, func(p string) bool { return strings.HasPrefix(part, p) || strings.HasPrefix(p, part) })
		switch {
		case part == "":
		case same < 0:
			parts = append(parts, part)
		case len(part) > len(parts[same]): // the last one also says how to fix it
			parts[same] = part
		}
	}
	return strings.ReplaceAll(strings.Join(parts, "; "), ":; ", ": ")
}
