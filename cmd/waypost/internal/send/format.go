package send

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Format is the format of a file of messages.
type Format string

// The formats of files.
const (
	FormatCSV   Format = "csv"
	FormatJSONL Format = "jsonl"
)

// FormatOf returns the format of a file by the extension of its name, or "" if
// the extension is unknown.
func FormatOf(path string) Format {
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case ext == ".csv", ext == ".tsv":
		return FormatCSV
	case slices.Contains([]string{".jsonl", ".ndjson"}, ext):
		return FormatJSONL
	}
	return ""
}

// merged is a line's input completed by the defaults; labels are put together.
func merged(line, defaults map[string]any) map[string]any {
	out := make(map[string]any, len(line)+len(defaults))
	maps.Copy(out, defaults)
	maps.Copy(out, line)
	own, _ := line["labels"].([]any)
	more, _ := defaults["labels"].([]any)
	if labels := slices.Concat(own, more); len(labels) > 0 {
		out["labels"] = labels
	}
	return out
}
