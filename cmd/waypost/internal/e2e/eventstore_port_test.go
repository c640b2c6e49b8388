package e2e

import (
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

// portURL is how a client gets in by a port whose user and certificate were made.
func portURL(t *testing.T, dir, addr, password string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "port.users"))
	if err != nil {
		t.Fatal(err)
	}
	name, made, _ := strings.Cut(strings.TrimSpace(string(text)), ":")
	if password == "" {
		password = made
	}
	u := url.URL{Scheme: "esdb", User: url.UserPassword(name, password), Host: addr}
	return u.String() + "?tls=true&tlsCAFile=" + filepath.Join(dir, "port.crt")
}

// checkPort fails unless the port lets in its user only.
func checkPort(t *testing.T, dir, addr string) {
	t.Helper()
	codec, err := platform.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	open := func(url string) error {
		log, err := eventstore.Open(t.Context(), eventstore.Options{URL: url, Codec: codec})
		if err == nil {
			err = log.Close(t.Context())
		}
		return err
	}
	if err := open(portURL(t, dir, addr, "")); err != nil {
		t.Errorf("its user: %v", err)
	}
	if err := open(portURL(t, dir, addr, "wrong")); !errors.Is(err, eventstore.ErrRefused) {
		t.Errorf("a wrong password: %v", err)
	}
	u := url.URL{Scheme: "esdb", Host: addr}
	if err := open(u.String() + "?tls=true&tlsCAFile=" + filepath.Join(dir, "port.crt")); !errors.Is(err, eventstore.ErrForbidden) {
		t.Errorf("no user: %v", err)
	}
	if err := open(u.String() + "?tls=false"); err == nil {
		t.Error("it lets in a client without TLS")
	}
	for _, name := range []string{"port.users", "port.key", "port.crt"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", name, info, err)
		}
	}
}

// `waypost eventstore` serves to the user and the certificate that it makes, the same
// after a restart.
func TestEventstoreMakesWhatProtectsItsPort(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for clients that are refused")
	}
	t.Parallel()
	dir, addr := e2etest.StartEventstore(t.Context(), t, "--log-level", "info")
	checkPort(t, dir, addr)
	users, err := os.ReadFile(filepath.Join(dir, "port.users"))
	if err != nil || !strings.HasPrefix(string(users), "waypost:") {
		t.Errorf("the user is %q, %v", users, err)
	}
}

// The platform's event store has a port only if one is asked for, and no open one
// then.
func TestPlatformsEventStorePort(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for clients that are refused")
	}
	t.Parallel()
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	r := e2etest.Start(t.Context(), t, []string{"WAYPOST_EVENTSTORE_ADDR=" + addr}, nil)
	dir := filepath.Join(r.DataDir(), "eventstore")
	checkPort(t, dir, addr)
	if list := keyRun(t, r.DataDir(), "list"); !strings.Contains(list, "NAME") {
		t.Errorf("the commands don't reach it while it has a port: %s", list)
	}
	users, err := os.ReadFile(filepath.Join(dir, "port.users"))
	if err != nil {
		t.Fatal(err)
	}
	_, password, _ := strings.Cut(strings.TrimSpace(string(users)), ":")
	e2etest.CheckNotLogged(t, r.Serve.Log, password)
	if err := r.Serve.Stop(); err != nil {
		t.Fatal(err)
	}
	r.Env = nil
	if err := r.StartServe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		_ = conn.Close()
		t.Error("it has a port without being asked for one")
	}
}
