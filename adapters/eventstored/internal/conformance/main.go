// Command conformance serves an event store until it receives SIGTERM. The store is empty or contains the data set that the
// official Go client's tests expect. With -certs, it uses TLS and the user of those tests. .ci/conformance runs the tests
// against it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/eventstored/store"
	"github.com/waypost/waypost/adapters/eventstored/testcert"
)

const closeTimeout = 10 * time.Second

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil { //nolint:forbidigo // contexts begin here
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:2113", "`host:port` to listen on")
	resources := flags.String("populate", "", "the client's resources/test `directory`: start with the data set that it describes")
	certs := flags.String("certs", "", "the client's certs `directory`: serve with its node certificate and the user admin")
	makeCerts := flags.String("make-certs", "", "create the certificates in that `directory` instead of serving")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *makeCerts != "" {
		_, err := testcert.Write(*makeCerts)
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if *resources != "" {
		events, err := dataSet(*resources)
		if err != nil {
			return err
		}
		if err := store.Load(store.Options{Dir: dir, Logger: logger, Now: time.Now}, events); err != nil {
			return err
		}
	}
	options := eventstored.Options{Dir: dir, Addr: *addr, Insecure: *certs == "", Logger: logger}
	if *certs != "" {
		certificate, err := eventstored.LoadCertificate(filepath.Join(*certs, "node", "node.crt"), filepath.Join(*certs, "node", "node.key"))
		if err != nil {
			return err
		}
		users, err := eventstored.ParseUsers("admin:changeit")
		if err != nil {
			return err
		}
		options.Certificate, options.Authenticate = certificate.Certificate, users.Authenticate
	}
	server, err := eventstored.Open(ctx, options)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(os.Stdout, server.Addr()); err != nil {
		return errors.Join(err, server.Close(ctx))
	}
	select {
	case <-ctx.Done():
	case err = <-server.Err():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return errors.Join(err, server.Close(closing))
}
