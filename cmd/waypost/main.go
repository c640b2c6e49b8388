// Command waypost sends messages through the WhatsApp Business Cloud API: each message once, at the rate that WhatsApp allows, with
// every step recorded. Each command has a file here that parses its flags, calls a package below internal, and prints the result.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/waypost/waypost/cmd/waypost/internal/platform"
	"github.com/waypost/waypost/cmd/waypost/internal/terminal"
)

// Exit codes of the public surface.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

type cli struct {
	Serve      serveCommand      `cmd:"" help:"Run Waypost. Without any settings, it runs on its own event store and Postgres."`
	Demo       demoCommand       `cmd:"" help:"Run Waypost with a simulated WhatsApp, one sender, and light traffic. Try this first."`
	Simulator  simulatorCommand  `cmd:"" help:"Run a simulated WhatsApp Cloud API that behaves like Meta's." envprefix:"WAYPOST_SIMULATOR_"`
	Eventstore eventstoreCommand `cmd:"" help:"Run only the embedded event store, or check and copy its data."`
	Query      queryCommand      `cmd:"" help:"Send a GraphQL query or mutation to Waypost. If no key is set, the ADMIN key of this machine is used."`
	Replay     replayCommand     `cmd:"" help:"Print the event log as an auditor sees it."`
	Rebuild    rebuildCommand    `cmd:"" help:"Rebuild the read models from the event log alongside the live ones, then swap them in."`
	Verify     verifyCommand     `cmd:"" help:"Verify the read models against the event log, row by row."`
	Key        keyCommand        `cmd:"" help:"Create, list, and revoke API keys in the event log, without a key. For operators who are locked out."`
	Send       sendCommand       `cmd:"" help:"Queue one message, or a CSV or JSONL file of messages. Running the same file again sends nothing twice."`
	Templates  templatesCommand  `cmd:"" help:"List the message templates, or sync those of a business account with WhatsApp."`
	Migrate    migrateCommand    `cmd:"" help:"Migrate the schema of an external Postgres up or down, or show its status."`
	Bench      benchCommand      `cmd:"" help:"Measure Waypost against the simulator."`
	Backup     backupCommand     `cmd:"" help:"Back up the embedded event store, the vault, and the keys. Waypost can be running or stopped."`
	Restore    restoreCommand    `cmd:"" help:"Create a data directory from a backup."`
	Doctor     doctorCommand     `cmd:"" help:"Check everything that Waypost depends on, and say how to fix what is wrong."`
	Version    versionCommand    `cmd:"" help:"Print the versions of Waypost and Go, and the commit."`
}

func main() {
	syscall.Umask(0o077) // files can contain keys or personal data, so other users can't read them
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run runs the command in args and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	var c cli
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("waypost"),
		kong.Description("Sends each WhatsApp message once, and shows the state of every message."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.Configuration(platform.LoadSettingsFile, platform.SettingsPath),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
	)
	if err != nil {
		fmt.Fprintln(stderr, "waypost:", terminal.OneLine(err))
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
		fmt.Fprintf(stderr, "waypost: %v; see %s --help\n", err, usageCommand(err))
		return exitUsage
	}
	for _, warning := range exposed(parsed) {
		fmt.Fprintln(stderr, "warning:", warning)
	}
	ctx, stop := interruptible()
	defer stop()
	err = parsed.Run(&environment{ctx: ctx, stdin: os.Stdin, stdout: stdout, stderr: stderr})
	switch {
	case err == nil, errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitDone
	default:
		fmt.Fprintln(stderr, "waypost:", terminal.OneLine(err))
		return exitFailed
	}
}

// usageCommand returns the command whose usage explains err: the last one that was recognized.
func usageCommand(err error) string {
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

// environment is what a command gets from main.
type environment struct {
	ctx            context.Context //nolint:containedctx // it lives as long as the one command that gets it
	stdin          io.Reader
	stdout, stderr io.Writer
}

// interruptible returns a context that ends with the first Ctrl-C, SIGTERM, or SIGHUP. The second signal ends the process immediately,
// which is safe because everything that was accepted is in the event log. Ctrl-C and SIGHUP stay ignored if the parent process, such
// as nohup, ignores them.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
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

// exposed returns a warning for each secret on the command line, where every user of
// this machine can read it. A flag's tag "secret" is empty if its value is one, and
// "url" if its value is a URL that may hold a password.
func exposed(parsed *kong.Context) (warnings []string) {
	for _, p := range parsed.Path {
		if p.Flag == nil || p.Resolved || !p.Flag.Tag.Has("secret") || len(p.Flag.Envs) == 0 {
			continue
		}
		value := fmt.Sprint(p.Flag.Target.Interface())
		u, err := url.Parse(value)
		if value == "" || p.Flag.Tag.Get("secret") == "url" && (err != nil || u.User == nil) {
			continue
		}
		warnings = append(warnings, fmt.Sprintf("--%s: every user of this machine can read its value in the list of processes; set %s instead",
			p.Flag.Name, p.Flag.Envs[0]))
	}
	return warnings
}
