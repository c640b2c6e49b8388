package eventstored

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// ErrUnprotected is wrapped by Open if its address would be open to others without TLS or without users.
var ErrUnprotected = errors.New("every client that reaches it could read and write")

// checkProtection requires TLS and users for a TCP address, unless Options allow it without. EventStoreDB's clients
// send a password only over TLS, so users without TLS would protect nothing.
func (o *Options) checkProtection(at net.Addr) error {
	if o.Certificate != nil && o.Authenticate != nil {
		return nil
	}
	if tcp, ok := at.(*net.TCPAddr); o.Insecure && ok && tcp.IP.IsLoopback() {
		if o.Authenticate != nil {
			return fmt.Errorf("event store on %s has users but no TLS, and clients send no password without it: %w; also configure a certificate", at, ErrUnprotected)
		}
		return nil
	}
	var lacks string
	switch {
	case o.Certificate == nil && o.Authenticate == nil:
		lacks = "no TLS and no users"
	case o.Certificate == nil:
		lacks = "users but no TLS, and clients send no password without it"
	default:
		lacks = "no users"
	}
	return fmt.Errorf("event store on %s has %s: %w; configure a certificate and users", at, lacks, ErrUnprotected)
}

// securityOptions returns the options of the gRPC server on the TCP address. Clients of the Unix socket need no
// credentials.
func (o *Options) securityOptions() []grpc.ServerOption {
	var options []grpc.ServerOption
	if o.Certificate != nil {
		options = append(options, grpc.Creds(exceptSocket{credentials.NewTLS(&tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return o.Certificate() },
		})}))
	}
	if o.Authenticate != nil {
		options = append(options, grpc.UnaryInterceptor(o.authorizeUnary), grpc.StreamInterceptor(o.authorizeStream))
	}
	return options
}

// unixNetwork is the network of connections to the socket.
const unixNetwork = "unix"

// exceptSocket requires TLS on all connections except those to the socket.
type exceptSocket struct {
	credentials.TransportCredentials
}

func (c exceptSocket) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if conn.LocalAddr().Network() == unixNetwork {
		return insecure.NewCredentials().ServerHandshake(conn)
	}
	return c.TransportCredentials.ServerHandshake(conn)
}

func (c exceptSocket) Clone() credentials.TransportCredentials {
	return exceptSocket{c.TransportCredentials.Clone()}
}

func (o *Options) authorizeUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := o.authorize(ctx, info.FullMethod); err != nil {
		if trailer := trailerOfRefusal(err); trailer != nil {
			if trailerErr := grpc.SetTrailer(ctx, trailer); trailerErr != nil {
				return nil, errors.Join(err, trailerErr)
			}
		}
		return nil, err
	}
	return handle(ctx, req)
}

func (o *Options) authorizeStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	err := o.authorize(stream.Context(), info.FullMethod)
	if err == nil {
		return handle(srv, stream)
	}
	if info.IsClientStream && !info.IsServerStream {
		drain(stream)
	}
	if trailer := trailerOfRefusal(err); trailer != nil {
		stream.SetTrailer(trailer)
	}
	return err
}

// drain receives what a client still sends, so that the client sees why the call is rejected (see
// streamsService.Append).
func drain(stream grpc.ServerStream) {
	for size := 0; size < maxMessageBytes; {
		var f frame
		if stream.RecvMsg(&f) != nil {
			return
		}
		size += len(f.bytes) + 1
	}
}

// openServices are the services that clients call before they send credentials.
var openServices = []string{"/event_store.client.server_features.ServerFeatures/", "/event_store.client.gossip.Gossip/"}

// authorize rejects calls without a user or with a wrong password, unless they came over the socket.
func (o *Options) authorize(ctx context.Context, method string) error {
	if p, ok := peer.FromContext(ctx); ok && p.Addr.Network() == unixNetwork {
		return nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	header := md.Get("authorization")
	if len(header) == 0 {
		for _, open := range openServices {
			if strings.HasPrefix(method, open) {
				return nil
			}
		}
		return status.Error(codes.PermissionDenied, "access denied: no credentials were sent")
	}
	name, password, ok := parseBasic(header[0])
	if !ok || !o.Authenticate(name, password) {
		return status.Error(codes.Unauthenticated, "authentication failed: wrong user name or password")
	}
	return nil
}

func trailerOfRefusal(err error) metadata.MD {
	if status.Code(err) != codes.PermissionDenied {
		return nil
	}
	return metadata.Pairs(trailerException, "access-denied")
}

func parseBasic(header string) (name, password string, ok bool) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "basic") {
		return "", "", false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(raw), ":")
}

// Users maps the names of users, who have all rights, to a digest of their password.
type Users map[string][sha256.Size]byte

// ParseUsers parses users written as name:password, separated by commas or line ends. So a password can contain colons,
// but neither of these.
func ParseUsers(text string) (Users, error) {
	users := Users{}
	for entry := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		name, password, ok := strings.Cut(strings.TrimSpace(entry), ":")
		switch {
		case !ok || name == "" || password == "":
			return nil, fmt.Errorf("user %d is not of the form name:password", len(users)+1)
		case users.has(name):
			return nil, fmt.Errorf("user %q is listed twice", name)
		}
		users[name] = sha256.Sum256([]byte(password))
	}
	if len(users) == 0 {
		return nil, errors.New("there are no users; list them as name:password, separated by commas")
	}
	return users, nil
}

func (u Users) has(name string) bool {
	_, ok := u[name]
	return ok
}

// Authenticate reports whether the user has this password. It takes as long for a user that does not exist.
func (u Users) Authenticate(name, password string) bool {
	want, known := u[name]
	got := sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && known
}

// certificateCheck is how often the files of a certificate are checked for a change.
const certificateCheck = time.Second

// CertificateFile is a certificate and its key in PEM files. They are read again when they change, so that a renewal
// needs no restart. While the new files are not usable, the previous certificate stays in use.
type CertificateFile struct {
	certPath, keyPath string

	mu      sync.Mutex
	current *tls.Certificate
	changed [2]time.Time
	checked time.Time
}

// LoadCertificate reads a certificate, with its chain, and its key.
func LoadCertificate(certPath, keyPath string) (*CertificateFile, error) {
	f := &CertificateFile{certPath: certPath, keyPath: keyPath, checked: time.Now()}
	var err error
	if f.changed, err = f.modified(); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	cert, err := tls.LoadX509KeyPair(certPath, keyPath)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", certPath, keyPath, err)
	}
	f.current = &cert
	return f, nil
}

// Certificate returns the current certificate. It is meant for Options.
func (f *CertificateFile) Certificate() (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.checked) >= certificateCheck {
		f.checked = now
		f.reload()
	}
	return f.current, nil
}

func (f *CertificateFile) reload() {
	changed, err := f.modified()
	if err != nil || changed == f.changed {
		return
	}
	// The files are replaced one after the other, so they may not match for a moment.
	if cert, err := tls.LoadX509KeyPair(f.certPath, f.keyPath); err == nil {
		f.current, f.changed = &cert, changed
	}
}

func (f *CertificateFile) modified() (times [2]time.Time, err error) {
	for i, path := range []string{f.certPath, f.keyPath} {
		info, err := os.Stat(path)
		if err != nil {
			return times, err
		}
		times[i] = info.ModTime()
	}
	return times, nil
}
