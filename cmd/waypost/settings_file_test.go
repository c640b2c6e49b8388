package main

import (
	"os"
	"strings"
	"testing"

	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

// A flag takes precedence over the environment, the environment over waypost.yaml, and that over the default. Each start is refused with an
// error that names the effective value.
func TestPrecedenceOfSettings(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tt := range []struct {
		name, file string
		env        map[string]string
		args       []string
		want       string
		exit       int
	}{
		{"the file", "serve:\n  whatsapp-url: of-the-file\n", nil, nil, "of-the-file", exitFailed},
		{"the environment beats the file", "serve:\n  whatsapp-url: of-the-file\n", map[string]string{"WAYPOST_WHATSAPP_URL": "of-the-environment"}, nil, "of-the-environment", exitFailed},
		{"a flag beats both", "serve:\n  whatsapp-url: of-the-file\n", map[string]string{"WAYPOST_WHATSAPP_URL": "of-the-environment"}, []string{"--whatsapp-url", "of-the-flag"}, "of-the-flag", exitFailed},
		{"no setting", "serve:\n  adr: 127.0.0.1:0\n", nil, nil, "serve-adr", exitUsage},
		{"no command", "addr: 127.0.0.1:0\n", nil, nil, `"addr"`, exitUsage},
		{"no YAML", "serve: [\n", nil, nil, "waypost.yaml", exitUsage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(platform.SettingsPath, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			code, _, stderr := runHere(append([]string{"serve"}, tt.args...)...)
			if code != tt.exit || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, %q; want %d and one line with %s", code, stderr, tt.exit, tt.want)
			}
		})
	}
}
