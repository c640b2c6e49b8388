package eventstore_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/eventstored/testcert"
	"github.com/waypost/waypost/app/event"
)

// startProtected starts a store with TLS and the user "way post", whose password needs escaping in a URL.
func startProtected(t testing.TB) (st *store, urlWith func(password string) string) {
	t.Helper()
	files, err := testcert.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := eventstored.LoadCertificate(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	users, err := eventstored.ParseUsers("way post:p@ss:w/rd")
	if err != nil {
		t.Fatal(err)
	}
	st = startStore(t, func(o *eventstored.Options) {
		o.Certificate, o.Authenticate = certificate.Certificate, users.Authenticate
	})
	return st, func(password string) string {
		u := url.URL{Scheme: "esdb", User: url.UserPassword("way post", password), Host: st.opts.Addr}
		return u.String() + "?tls=true&gossipTimeout=1&tlsCAFile=" + files.CA
	}
}

func TestCredentialsInTheURL(t *testing.T) {
	ctx := testContext(t)
	st, urlWith := startProtected(t)
	log := openLog(t, urlWith("p@ss:w/rd"))
	if _, err := log.Append(ctx, "a", event.NoStream(), count(1)); err != nil {
		t.Fatal(err)
	}
	// They are also sent after a restart, and with subscriptions.
	st.stop()
	st.start()
	if _, err := log.Append(ctx, "a", event.ExactRevision(0), count(2)); err != nil {
		t.Fatal(err)
	}
	seen, err := collect(ctx, log, event.Subscription{}, func(seen []event.Recorded, _ event.Batch) bool { return len(seen) == 2 })
	if err != nil || len(seen) != 2 {
		t.Fatalf("%d events, %v", len(seen), err)
	}
}

// Rejected credentials are reported immediately, because a retry would not help.
func TestWrongCredentials(t *testing.T) {
	_, urlWith := startProtected(t)
	for name, c := range map[string]struct {
		url  string
		want error
	}{
		"wrong password": {urlWith("p@ss"), eventstore.ErrRefused},
		"none":           {strings.Replace(urlWith(""), "way%20post:@", "", 1), eventstore.ErrForbidden},
	} {
		_, err := eventstore.Open(testContext(t), eventstore.Options{URL: c.url, Codec: newCodec(t)})
		if !errors.Is(err, c.want) || errors.Is(err, event.ErrUnavailable) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "p@ss") {
			t.Errorf("%s: the error contains the password: %v", name, err)
		}
	}
}
