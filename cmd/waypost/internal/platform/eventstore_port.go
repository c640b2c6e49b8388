package platform

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/vault"
)

// EventstorePort are the settings that protect the TCP port of an embedded event store. Missing ones are generated, because
// EventStoreDB's clients send passwords only over TLS.
type EventstorePort struct {
	TLSCert string `help:"PEM file of the certificate for the event store's port, with its chain. It is read again when it changes. If empty, a certificate is generated in the store's data directory." env:"WAYPOST_EVENTSTORE_TLS_CERT" type:"path"`
	TLSKey  string `help:"PEM file of the certificate's key." env:"WAYPOST_EVENTSTORE_TLS_KEY" type:"path"`
	Users   string `secret:"" help:"Users that can read and write through the event store's port: name:password, comma-separated. Prefer WAYPOST_EVENTSTORE_USERS_FILE, which is read again when it changes. If empty, a user is generated in the store's data directory." env:"WAYPOST_EVENTSTORE_USERS"`
}

// portUser is the name of the generated user.
const portUser = "waypost"

// portUsersFile is the file of the generated user in the event store's data directory, in the format of WAYPOST_EVENTSTORE_USERS.
const portUsersFile = "port.users"

// Protection describes how clients authenticate at a port.
type Protection struct {
	// cert and Users are the generated files. They are empty if the settings name files or users.
	cert, Users string
}

// Protect sets TLS and users for the port in o.
func (p EventstorePort) Protect(o *eventstored.Options, log *slog.Logger) (made Protection, err error) {
	if (p.TLSCert == "") != (p.TLSKey == "") {
		return made, errors.New("--tls-cert and --tls-key (WAYPOST_EVENTSTORE_TLS_CERT and WAYPOST_EVENTSTORE_TLS_KEY) belong together; set both or neither")
	}
	given, err := NewSecret("WAYPOST_EVENTSTORE_USERS", p.Users)
	if err != nil {
		return made, err
	}
	text := given.Get()
	if text == "" {
		made.Users = filepath.Join(o.Dir, portUsersFile)
		if text, err = makePortUser(made.Users); err != nil {
			return made, err
		}
		given = &Secret{value: text}
	}
	list := &userList{given: given, log: log, text: text}
	if list.users, err = eventstored.ParseUsers(text); err != nil {
		return made, fmt.Errorf("WAYPOST_EVENTSTORE_USERS: %w", err)
	}
	o.Authenticate = list.authenticate
	cert, key := p.TLSCert, p.TLSKey
	if cert == "" {
		if cert, key, err = eventstored.MakeCertificate(o.Dir, o.Addr, time.Now()); err != nil {
			return made, err
		}
		made.cert = cert
	}
	certificate, err := eventstored.LoadCertificate(cert, key)
	if err != nil {
		return made, fmt.Errorf("--tls-cert: %w", err)
	}
	o.Certificate = certificate.Certificate
	return made, nil
}

// makePortUser returns the user in a file, and generates both if the file is missing.
func makePortUser(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("user of the event store: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("user of the event store: %w", err)
	}
	user := portUser + ":" + rand.Text()
	if err := vault.WriteSecret(path, []byte(user+"\n")); err != nil {
		return "", fmt.Errorf("user of the event store: %w", err)
	}
	return user, nil
}

// URLFor returns the connection string for clients, with a placeholder for name and password.
func (m Protection) URLFor(s *eventstored.Server) string {
	u := strings.Replace(s.TCPURL(), "esdb://", "esdb://NAME:PASSWORD@", 1)
	if m.cert != "" {
		u += "&tlsCAFile=" + m.cert
	}
	return u
}

// userList returns the users that the setting currently contains.
type userList struct {
	given *Secret
	log   *slog.Logger

	mu    sync.Mutex // guards the fields below
	text  string
	users eventstored.Users
}

func (l *userList) authenticate(name, password string) bool {
	return l.current().Authenticate(name, password)
}

// current returns the current users. If the setting became invalid, it returns the last valid ones.
func (l *userList) current() eventstored.Users {
	text := l.given.Get()
	l.mu.Lock()
	defer l.mu.Unlock()
	if text == l.text {
		return l.users
	}
	l.text = text
	users, err := eventstored.ParseUsers(text)
	if err != nil {
		l.log.Error("failed to parse the changed users of the event store; the previous ones stay valid", "error", err)
		return l.users
	}
	l.users = users
	return users
}
