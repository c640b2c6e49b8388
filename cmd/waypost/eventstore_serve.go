package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/waypost/waypost/adapters/eventstored"
)

type eventstoreServe struct {
	Addr    string `help:"Where it listens. Beyond loopback addresses it needs a certificate and users." default:"127.0.0.1:2113" env:"WAYPOST_EVENTSTORE_ADDR"`
	TLSCert string `help:"PEM file of the certificate, with its chain; read again when it changes." env:"WAYPOST_EVENTSTORE_TLS_CERT" type:"path"`
	TLSKey  string `help:"PEM file of the certificate's key." env:"WAYPOST_EVENTSTORE_TLS_KEY" type:"path"`
	Users   string `help:"name:password, comma-separated: who may read and write. Better given as WAYPOST_EVENTSTORE_USERS_FILE, which is read again when it changes." env:"WAYPOST_EVENTSTORE_USERS"`
	eventstoreData
}

// Run serves until it is told to stop or the disk fails.
func (c eventstoreServe) Run(env *environment) error {
	log, err := c.logger(env.stderr)
	if err != nil {
		return err
	}
	options := eventstored.Options{Dir: c.DataDir, Addr: c.Addr, Logger: log}
	if err := c.protect(&options, log); err != nil {
		return err
	}
	tuneRuntime()
	server, err := eventstored.Open(env.ctx, options)
	if err != nil {
		if errors.Is(err, eventstored.ErrUnprotected) {
			err = fmt.Errorf("%w (--tls-cert, --tls-key, --users)", err)
		}
		return err
	}
	fmt.Fprintf(env.stdout, "event store: WAYPOST_EVENTSTORE_URL=%s\n", server.URL())
	if options.Authenticate != nil {
		fmt.Fprintln(env.stdout, "put name:password@ in front of the address; &tlsCAFile=PATH at the end for an authority of your own")
	}
	var fault error
	select {
	case <-env.ctx.Done():
	case fault = <-server.Err():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(env.ctx), closeTimeout)
	defer cancel()
	if err := server.Close(ctx); fault == nil {
		fault = err
	}
	return fault
}

// protect sets up TLS and users, as far as they are given.
func (c eventstoreServe) protect(o *eventstored.Options, log *slog.Logger) error {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key belong together: give both or none")
	}
	if c.TLSCert != "" {
		certificate, err := eventstored.LoadCertificate(c.TLSCert, c.TLSKey)
		if err != nil {
			return fmt.Errorf("--tls-cert: %w", err)
		}
		o.Certificate = certificate.Certificate
	}
	given, err := newSecret("WAYPOST_EVENTSTORE_USERS", c.Users)
	if err != nil || given.get() == "" {
		return err
	}
	list := &userList{given: given, log: log}
	if list.users, err = eventstored.ParseUsers(given.get()); err != nil {
		return fmt.Errorf("WAYPOST_EVENTSTORE_USERS: %w", err)
	}
	list.text = given.get()
	o.Authenticate = list.authenticate
	return nil
}

// userList are the users as their setting has them now.
type userList struct {
	given *secret
	log   *slog.Logger

	mu    sync.Mutex
	text  string
	users eventstored.Users
}

func (l *userList) authenticate(name, password string) bool {
	return l.current().Authenticate(name, password)
}

// current leaves the users as they were when the new ones cannot be read.
func (l *userList) current() eventstored.Users {
	text := l.given.get()
	l.mu.Lock()
	defer l.mu.Unlock()
	if text == l.text {
		return l.users
	}
	l.text = text
	users, err := eventstored.ParseUsers(text)
	if err != nil {
		l.log.Error("users of the event store have changed and cannot be read; those before stay", "error", err)
		return l.users
	}
	l.users = users
	return users
}
