package graph_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestGraphQLWSClient follows updates with the npm client graphql-ws, cuts its
// connection and lets it reconnect, and revokes its key.
func TestGraphQLWSClient(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("fetches packages from npm")
	}
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "graphql-ws"))))
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	install, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	npm := exec.CommandContext(install, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--cache", filepath.Join(dir, ".cache"))
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Skipf("npm cannot install packages: %v: %s", err, out)
	}

	p := setup(t)
	id, secret := p.createKey(map[string]any{"name": "browser", "scopes": []string{"READ"}})
	_, start := p.queue("start")
	var want []string
	queue := func(n int) {
		for range n {
			_, cursor := p.queue(fmt.Sprint(len(want)))
			want = append(want, cursor)
		}
	}
	// The client cuts its connection after the first update. The others are queued after that, so that it can only
	// see them over its second connection.
	const updates = 20
	queue(1)
	ctx, stop := context.WithTimeout(p.ctx, patience)
	defer stop()
	node := exec.CommandContext(ctx, "node", "follow.mjs", "ws"+strings.TrimPrefix(p.url, "http"), secret, start, strconv.Itoa(updates))
	node.Dir = dir
	node.WaitDelay = time.Second
	out, err := node.StdoutPipe()
	must(t, err)
	node.Stderr = os.Stderr
	must(t, node.Start())
	var output []string
	var seen []string
	connected := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var line struct {
			Connected, Done bool
			Cursor          string
			Closed          int
		}
		must(t, json.Unmarshal(lines.Bytes(), &line))
		output = append(output, lines.Text())
		switch {
		case line.Connected:
			connected++
		case line.Closed != 0 && len(want) == 1:
			queue(updates - 1)
		case line.Cursor != "":
			seen = append(seen, line.Cursor)
		case line.Done:
			p.ok("admin", `mutation($id: ID!) { revokeApiKey(id: $id) { id } }`, map[string]any{"id": id})
		}
	}
	must(t, node.Wait())
	if strings.Join(seen, " ") != strings.Join(want, " ") {
		t.Errorf("saw %d updates, want %d in their order: %s", len(seen), len(want), strings.Join(output, "\n"))
	}
	// The client stops retrying on 4401, and on no other code that it receives here.
	if last := output[len(output)-1]; connected < 2 || last != `{"error":4401}` {
		t.Errorf("connected %d times and ended with %s", connected, last)
	}
}
