// Command waypost sends messages through the WhatsApp Business Cloud API: each
// once, at the rate WhatsApp allows, with every step on record.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes of the public surface.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

type cli struct {
	Serve      serveCommand      `cmd:"" help:"Run the platform. With no settings at all it runs on its own event store and Postgres."`
	Demo       demoCommand       `cmd:"" help:"Run the platform with a simulated WhatsApp, a sender and light traffic: what to try first."`
	Simulator  simulatorCommand  `cmd:"" help:"Run a WhatsApp Cloud API that behaves as Meta's does." envprefix:"WAYPOST_SIMULATOR_"`
	Eventstore eventstoreCommand `cmd:"" help:"Run the embedded event store alone, or check and copy its data."`
	Query      queryCommand      `cmd:"" help:"Ask a platform a GraphQL query or mutation, with the ADMIN key of this machine if no other is given."`
	Replay     replayCommand     `cmd:"" help:"Print the log as an auditor reads it."`
	Rebuild    rebuildCommand    `cmd:"" help:"Build the read models again from the log, beside the live ones, and swap."`
	Verify     verifyCommand     `cmd:"" help:"Fold the log and hold the read models against it, row by row."`
	Key        keyCommand        `cmd:"" help:"Make, list and revoke API keys on the log itself: for who is locked out."`
	Send       sendCommand       `cmd:"" help:"Queue one message, or a CSV or JSONL file of them; a second run of the same file sends nothing twice."`
	Migrate    migrateCommand    `cmd:"" help:"Bring the schema of a given Postgres up or down, or show where it stands."`
	Bench      benchCommand      `cmd:"" help:"Measure against the simulator."`
	Backup     backupCommand     `cmd:"" help:"Copy the embedded event store, the vault and the keys, running or not."`
	Restore    restoreCommand    `cmd:"" help:"Make a data folder from a backup."`
	Doctor     doctorCommand     `cmd:"" help:"Look at what the platform stands on, and say what to do about it."`
	Version    versionCommand    `cmd:"" help:"Print version, commit and Go."`
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program: it answers the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	var c cli
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("waypost"),
		kong.Description("Sends WhatsApp messages, each once, and shows where every one of them is."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.Configuration(loadSettingsFile, settingsPath),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
	)
	if err != nil {
		fmt.Fprintln(stderr, "waypost:", oneLine(err))
		return exitUsage
	}
	if len(args) > 0 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	parsed, err := parser.Parse(args)
	if exit >= 0 { // help was printed
		return exit
	}
	if err != nil {
		fmt.Fprintf(stderr, "waypost: %v; see %s --help\n", err, misused(err))
		return exitUsage
	}
	ctx, stop := interruptible()
	defer stop()
	err = parsed.Run(&environment{ctx: ctx, stdout: stdout, stderr: stderr})
	switch {
	case err == nil, errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitDone
	default:
		fmt.Fprintln(stderr, "waypost:", oneLine(err))
		return exitFailed
	}
}

// misused is the command that was not understood, as far as it was.
func misused(err error) string {
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil {
		for _, step := range slices.Backward(wrong.Context.Path) {
			if step.Command != nil {
				return "waypost " + step.Command.Path()
			}
		}
	}
	return "waypost"
}

// environment is what a command has of the world around it.
type environment struct {
	ctx            context.Context //nolint:containedctx // it lives as long as the one command that it is handed to
	stdout, stderr io.Writer
}

// interruptible is a context that ends with the first Ctrl-C or SIGTERM. The
// second one ends the program at once: what was accepted is in the log.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			cancel()
		case <-done:
			return
		}
		select {
		case <-signals:
			os.Exit(exitFailed)
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}
