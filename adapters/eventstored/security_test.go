package eventstored_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/eventstored/testcert"
	"github.com/waypost/waypost/adapters/polltest"
)

func certificates(t testing.TB) testcert.Files {
	t.Helper()
	files, err := testcert.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func withTLS(t testing.TB, files testcert.Files) func(*eventstored.Options) {
	t.Helper()
	certificate, err := eventstored.LoadCertificate(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	return func(o *eventstored.Options) { o.Certificate = certificate.Certificate }
}

func withUsers(t testing.TB, text string) func(*eventstored.Options) {
	t.Helper()
	users, err := eventstored.ParseUsers(text)
	if err != nil {
		t.Fatal(err)
	}
	return func(o *eventstored.Options) { o.Authenticate = users.Authenticate }
}

// urlOf returns the connection string of a server with TLS for a user.
func urlOf(s *eventstored.Server, user string, files testcert.Files) string {
	if user != "" {
		user += "@"
	}
	return "esdb://" + user + s.Addr() + "?tls=true&tlsCAFile=" + files.CA
}

// openToAll opens the TCP address without protection.
func openToAll(o *eventstored.Options) { o.Insecure = true }

func TestAddressesAreProtected(t *testing.T) {
	tls, users := withTLS(t, certificates(t)), withUsers(t, "ops:secret")
	for name, tt := range map[string]struct {
		addr    string
		options []func(*eventstored.Options)
		want    string // if empty, the server opens
	}{
		"none":                         {"", nil, ""},
		"loopback, open":               {"127.0.0.1:0", nil, "has no TLS and no users"},
		"loopback, TLS only":           {"127.0.0.1:0", []func(*eventstored.Options){tls}, "has no users"},
		"loopback, users only":         {"127.0.0.1:0", []func(*eventstored.Options){users}, "has users but no TLS"},
		"loopback, both":               {"127.0.0.1:0", []func(*eventstored.Options){tls, users}, ""},
		"loopback, insecure":           {"127.0.0.1:0", []func(*eventstored.Options){openToAll}, ""},
		"loopback, insecure with TLS":  {"127.0.0.1:0", []func(*eventstored.Options){openToAll, tls}, ""},
		"loopback, insecure and users": {"127.0.0.1:0", []func(*eventstored.Options){openToAll, users}, "has users but no TLS"},
		"everywhere, insecure":         {"0.0.0.0:0", []func(*eventstored.Options){openToAll}, "has no TLS and no users"},
		"everywhere, by default":       {":0", []func(*eventstored.Options){openToAll}, "has no TLS and no users"},
		"everywhere, TLS only":         {"0.0.0.0:0", []func(*eventstored.Options){openToAll, tls}, "has no users"},
		"everywhere, users only":       {"0.0.0.0:0", []func(*eventstored.Options){openToAll, users}, "has users but no TLS"},
		"everywhere, both":             {"0.0.0.0:0", []func(*eventstored.Options){tls, users}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			opts := eventstored.Options{Dir: t.TempDir(), Addr: tt.addr, Logger: slog.New(slog.DiscardHandler)}
			for _, o := range tt.options {
				o(&opts)
			}
			s, err := eventstored.Open(context.Background(), opts)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Close(testContext(t)); err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v, want one line with %q", err, tt.want)
			}
			if !errors.Is(err, eventstored.ErrUnprotected) {
				t.Errorf("%v does not wrap ErrUnprotected", err)
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	files := certificates(t)
	s := startServer(t, withTLS(t, files), withUsers(t, "ops:se:cret,reader:other"))
	for name, tt := range map[string]struct {
		user string
		want codes.Code
	}{
		"right":                        {"ops:se:cret", codes.OK},
		"another user":                 {"reader:other", codes.OK},
		"wrong password":               {"ops:other", codes.Unauthenticated},
		"unknown user":                 {"unknown:se:cret", codes.Unauthenticated},
		"no credentials":               {"", codes.PermissionDenied},
		"the beginning of a password":  {"ops:se", codes.Unauthenticated},
		"a password with more to it":   {"ops:se:cret:", codes.Unauthenticated},
		"another user's good password": {"reader:se:cret", codes.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t, urlOf(s, tt.user, files))
			ctx := testContext(t)
			check := func(call string, err error) {
				t.Helper()
				if got := grpcCode(err); got != tt.want {
					t.Errorf("%s: %v (%s), want %s", call, err, got, tt.want)
				}
			}
			_, err := c.AppendToStream(ctx, "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, newEvents(20)...)
			check("append", err)
			_, err = readAllOnce(t, c)
			check("read", err)
			_, err = c.SetStreamMetadata(ctx, "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, esdb.StreamMetadata{})
			check("metadata", err)
			err = c.CreatePersistentSubscription(ctx, "s", "g-"+strings.ReplaceAll(name, " ", "-"), esdb.PersistentStreamSubscriptionOptions{})
			check("group", err)
			sub, err := c.SubscribeToAll(ctx, esdb.SubscribeToAllOptions{})
			check("subscription", err)
			if err == nil {
				_ = sub.Close()
			}
			if _, err := c.GetServerVersion(); err != nil {
				t.Errorf("the server's version is kept secret: %v", err)
			}
		})
	}
}

func readAllOnce(t testing.TB, c *esdb.Client) ([]*esdb.ResolvedEvent, error) {
	t.Helper()
	r, err := c.ReadAll(testContext(t), esdb.ReadAllOptions{From: esdb.Start{}}, 1)
	if err != nil {
		return nil, err
	}
	return collect(r)
}

// grpcCode returns the gRPC code of a client error.
func grpcCode(err error) codes.Code {
	if err == nil {
		return codes.OK
	}
	var e *esdb.Error
	for errors.As(err, &e) && e.Err() != nil {
		err = e.Err()
	}
	return status.Code(err)
}

// Other clients send what the Go client never does: no header at all on a batch append, or a header that is not Basic.
func TestCredentialsOfOtherClients(t *testing.T) {
	files := certificates(t)
	s := startServer(t, withTLS(t, files), withUsers(t, "ops:secret"))
	transport, err := credentials.NewClientTLSFromFile(files.CA, "")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(transport))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	for header, want := range map[string]codes.Code{
		"":                         codes.PermissionDenied,
		"Bearer b3BzOnNlY3JldA==":  codes.Unauthenticated,
		"Basic no-base64!":         codes.Unauthenticated,
		"Basic b3Bz":               codes.Unauthenticated, // "ops"
		"basic b3BzOnNlY3JldA==":   codes.OK,
		"Basic  b3BzOnNlY3JldA== ": codes.OK,
	} {
		ctx := testContext(t)
		if header != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", header)
		}
		call, err := streams.NewStreamsClient(conn).BatchAppend(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := call.CloseSend(); err != nil {
			t.Fatal(err)
		}
		_, err = call.Recv()
		if got := status.Code(err); got != want && (want != codes.OK || err.Error() != "EOF") {
			t.Errorf("header %q: %v, want %s", header, err, want)
		}
		trailer := call.Trailer().Get("exception")
		if want == codes.PermissionDenied && (len(trailer) != 1 || trailer[0] != "access-denied") {
			t.Errorf("header %q: trailer %v", header, trailer)
		}
		_, err = streams.NewStreamsClient(conn).Delete(ctx, &streams.DeleteReq{Options: &streams.DeleteReq_Options{
			StreamIdentifier:       &shared.StreamIdentifier{StreamName: []byte("s")},
			ExpectedStreamRevision: &streams.DeleteReq_Options_Any{Any: &shared.Empty{}},
		}})
		if want == codes.OK {
			want = codes.FailedPrecondition // the stream was never written
		}
		if got := status.Code(err); got != want {
			t.Errorf("header %q, delete: %v, want %s", header, err, want)
		}
	}
}

// A client that trusts another authority, or none, cannot connect. Neither can a client without TLS.
func TestCertificateIsChecked(t *testing.T) {
	files := certificates(t)
	s := startServer(t, withTLS(t, files), withUsers(t, "ops:secret"))
	for name, url := range map[string]string{
		"another authority": "esdb://ops:secret@" + s.Addr() + "?maxDiscoverAttempts=1&tlsCAFile=" + files.UntrustedCA,
		"the machine's own": "esdb://ops:secret@" + s.Addr() + "?maxDiscoverAttempts=1",
		"no TLS":            "esdb://" + s.Addr() + "?tls=false&maxDiscoverAttempts=1",
	} {
		if _, err := readAllOnce(t, connect(t, url)); err == nil {
			t.Errorf("%s: a client connected", name)
		}
	}
	if _, err := readAllOnce(t, connect(t, urlOf(s, "ops:secret", files))); err != nil {
		t.Error(err)
	}
}

// A renewed certificate is used for new connections without a restart. A half-written one is not used.
func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	files, renewed := certificates(t), certificates(t)
	s := startServer(t, withTLS(t, files), withUsers(t, "ops:secret"))
	replaceFile(t, files.Cert, renewed.Cert)
	if _, err := readAllOnce(t, connect(t, urlOf(s, "ops:secret", files))); err != nil {
		t.Fatalf("with half of a new certificate: %v", err)
	}
	replaceFile(t, files.Key, renewed.Key)
	polltest.Until(t, "the new certificate is used", func() bool {
		_, err := readAllOnce(t, connect(t, urlOf(s, "ops:secret", renewed)+"&maxDiscoverAttempts=1"))
		return err == nil
	})
}

// TestCertificateWithoutItsKeyIsNotUsed renews the two files one after the other.
func TestCertificateWithoutItsKeyIsNotUsed(t *testing.T) {
	t.Parallel()
	files, renewed := certificates(t), certificates(t)
	synctest.Test(t, func(t *testing.T) {
		f, err := eventstored.LoadCertificate(files.Cert, files.Key)
		if err != nil {
			t.Fatal(err)
		}
		current := func() []byte {
			t.Helper()
			time.Sleep(time.Minute) // until the files are checked again
			c, err := f.Certificate()
			if err != nil {
				t.Fatal(err)
			}
			return c.Certificate[0]
		}
		before := current()
		replaceFile(t, files.Cert, renewed.Cert)
		if !bytes.Equal(current(), before) {
			t.Error("half of a new certificate is used")
		}
		replaceFile(t, files.Key, renewed.Key)
		if bytes.Equal(current(), before) {
			t.Error("the new certificate is not used")
		}
	})
}

// replaceFile replaces a file's content with another file's and changes its time.
func replaceFile(t *testing.T, to, from string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o600)
	}
	if err == nil {
		later := time.Now().Add(time.Minute)
		err = os.Chtimes(to, later, later)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestParseUsers(t *testing.T) {
	users, err := eventstored.ParseUsers(" a:1, b:2:3\r\nc:4\n")
	if err != nil || len(users) != 3 || !users.Authenticate("b", "2:3") || users.Authenticate("b", "2") || users.Authenticate("d", "") {
		t.Errorf("%d users, %v", len(users), err)
	}
	for _, text := range []string{"", ",", "a", "a:", ":1", "a:secret,a:other"} {
		if _, err := eventstored.ParseUsers(text); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
