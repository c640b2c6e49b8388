// Package doctor checks everything that Waypost depends on.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/waypost/waypost/adapters/datadir"
	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored/store"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/privatepg"
	"github.com/waypost/waypost/adapters/vault"
	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
	"github.com/waypost/waypost/cmd/waypost/internal/terminal"
)

const (
	// diskFull is the used fraction of a disk that is reported as full.
	diskFull = 0.9
	// clockSkew is the tolerated difference between this machine's clock and WhatsApp's, whose times are whole seconds.
	clockSkew = 5 * time.Second
	// checkTimeout bounds each request over the network.
	checkTimeout = 15 * time.Second
)

// Finding is the result of one check.
type Finding struct {
	What   string
	Level  Level
	Detail string
	Remedy string // empty if there is nothing to do
}

// Level is the severity of a finding.
type Level string

// The levels of findings. Only LevelBad makes the command fail.
const (
	levelOK   Level = "ok"
	levelWarn Level = "warn"
	LevelBad  Level = "bad"
)

// Examine checks everything that the process on the data directory of s, or the demo in it, depends on. If none runs, it checks
// what a process with the settings s would depend on. It starts and changes nothing.
func Examine(ctx context.Context, s *platform.Settings) []Finding {
	settings := *s
	d := doctor{settings: &settings}
	dir, run, err := platform.FindRunning(s.DataDir)
	switch {
	case err != nil:
		d.warn("Waypost", "", "%s", terminal.OneLine(err))
	case run == nil:
		d.ok("Waypost", "does not run on %s; this checks the settings of this shell", s.DataDir)
	default:
		d.run, settings.DataDir, settings.WhatsappURL = run, dir, run.WhatsApp.URL
		d.ok("Waypost", "runs as process %d at %s", run.PID, run.URL)
	}
	for _, check := range []func(context.Context){
		d.dataDirectory, d.ports, d.secretKey, d.eventstore, d.postgres, d.whatsapp,
	} {
		ctx, cancel := context.WithTimeout(ctx, 4*checkTimeout)
		check(ctx)
		cancel()
	}
	d.close(ctx)
	return d.findings
}

// doctor collects findings.
type doctor struct {
	settings *platform.Settings
	run      *platform.RunFile // nil if no process runs on the data directory
	stores   *platform.Stores  // nil until reach opens them
	findings []Finding
}

func (d *doctor) ok(what, is string, args ...any) {
	d.findings = append(d.findings, Finding{what, levelOK, fmt.Sprintf(is, args...), ""})
}

func (d *doctor) warn(what, remedy, is string, args ...any) {
	d.findings = append(d.findings, Finding{what, levelWarn, fmt.Sprintf(is, args...), remedy})
}

func (d *doctor) bad(what, remedy, is string, args ...any) {
	d.findings = append(d.findings, Finding{what, LevelBad, fmt.Sprintf(is, args...), remedy})
}

func (d *doctor) close(ctx context.Context) {
	if d.stores == nil {
		return
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), platform.CloseTimeout)
	defer cancel()
	if err := d.stores.Close(closing); err != nil {
		d.warn("stores", "", "closing them: %s", terminal.OneLine(err))
	}
}

func (d *doctor) dataDirectory(context.Context) {
	const what = "data directory"
	dir := d.settings.DataDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.ok(what, "%s does not exist yet; the first start creates it", dir)
		dir = existingParent(dir)
	case err != nil:
		d.bad(what, "choose another with --data-dir", "%v", err)
		return
	case info.Mode().Perm()&0o077 != 0:
		d.warn(what, "chmod 700 "+dir, "%s contains keys but is readable by other users", dir)
	default:
		d.ok(what, "%s", dir)
	}
	probe, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		d.bad(what, "make it writable for this user, or choose another with --data-dir", "%v", err)
	} else {
		_ = probe.Close()
		_ = os.Remove(probe.Name())
	}
	used, free, err := datadir.DiskUse(dir)
	switch {
	case err != nil:
		d.warn("disk", "", "cannot be checked: %v", err)
	case used >= diskFull:
		d.bad("disk", "free space, or move the data directory to a larger disk; on a full disk, nothing is accepted", "%.0f%% used, %s free", used*100, bytesText(free))
	default:
		d.ok("disk", "%.0f%% used, %s free", used*100, bytesText(free))
	}
}

func existingParent(dir string) string {
	for {
		parent := filepath.Dir(dir)
		if _, err := os.Stat(parent); err == nil || parent == dir {
			return parent
		}
		dir = parent
	}
}

func (d *doctor) ports(ctx context.Context) {
	if d.run != nil {
		return // it has them
	}
	for _, a := range []struct{ flag, addr string }{{"--addr", d.settings.Addr}, {"--webhook-addr", d.settings.WebhookAddr}, {"--metrics-addr", d.settings.MetricsAddr}} {
		if a.addr == "" {
			continue
		}
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", a.addr)
		if err != nil {
			d.bad("port "+a.addr, "stop the process that listens there, or choose another with "+a.flag, "%v", err)
			continue
		}
		_ = l.Close()
		d.ok("port "+a.addr, "free")
	}
}

func (d *doctor) secretKey(context.Context) {
	const what = "secret key"
	given, err := platform.NewSecret("WAYPOST_SECRET_KEY", d.settings.SecretKey)
	if err != nil {
		d.bad(what, "name a readable file", "%v", err)
		return
	}
	path := filepath.Join(d.settings.DataDir, "secret.key")
	_, missing := os.Stat(path)
	switch text := given.Get(); {
	case text != "":
		if _, err := vault.ParseKeys(text); err != nil {
			d.bad(what, "generate one with: openssl rand -base64 32", "WAYPOST_SECRET_KEY: %v", err)
			return
		}
		d.ok(what, "set")
	case d.settings.EventstoreURL != "" || d.settings.PostgresURL != "":
		d.bad(what, "generate one with openssl rand -base64 32, keep it safe, and set it for every process", "WAYPOST_SECRET_KEY is required with an external event store or Postgres")
	case missing != nil:
		d.ok(what, "generated on the first start, in %s; back it up, because tokens and personal data cannot be read without it", path)
	default:
		if _, err := vault.LoadOrMakeKeys(path); err != nil {
			d.bad(what, "restore the right file from a backup", "%v", err)
			return
		}
		d.ok(what, "%s", path)
	}
}

func (d *doctor) eventstore(ctx context.Context) {
	const what = "event store"
	if d.settings.EventstoreURL == "" && d.run == nil {
		d.stoppedEventstore(what)
		return
	}
	if d.settings.EventstoreURL != "" && !d.eventstoreRights(ctx) {
		return
	}
	st, err := d.reach(ctx)
	if err != nil {
		d.bad(what, "check that it is running and that WAYPOST_EVENTSTORE_URL is correct", "%s", terminal.OneLine(err))
		return
	}
	if err := st.Log.Ping(ctx); err != nil {
		d.bad(what, "check that it is running", "%s", terminal.OneLine(err))
		return
	}
	d.ok(what, "responds; the log is %s", st.LogID)
	d.logLength(ctx, st)
}

// stoppedEventstore checks the embedded store of a stopped Waypost.
func (d *doctor) stoppedEventstore(what string) {
	dir := filepath.Join(d.settings.DataDir, "eventstore")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		d.ok(what, "embedded; starts with Waypost")
		return
	}
	found, err := store.Inspect(store.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	switch {
	case errors.Is(err, store.ErrLocked):
		d.ok(what, "embedded; in use by another process")
	case err != nil:
		d.bad(what, "see Backup and restore in docs/operations.md", "%s", terminal.OneLine(err))
	default:
		d.ok(what, "embedded, can be opened, ends before position %d; starts with Waypost", found.End)
	}
}

// logLength compares the end of the event log with the positions of its consumers.
func (d *doctor) logLength(ctx context.Context, st *platform.Stores) {
	const what = "end of the log"
	if st.Pool == nil {
		return
	}
	err := st.Log.FoundShorter(ctx)
	var shorter *event.ShorterError
	if errors.As(err, &shorter) {
		d.bad(what, "see Shorter log in docs/operations.md", "%s", terminal.OneLine(shorter))
		return
	}
	loss, err := st.Loss(ctx)
	switch {
	case err != nil:
		d.warn(what, "", "cannot be checked: %s", terminal.OneLine(err))
	case len(loss.Consumers) > 0:
		d.warn(what, "run waypost verify to find out for certain", "%s", terminal.OneLine(loss))
	default:
		d.ok(what, "no consumer is beyond it")
	}
}

// eventstoreRights tests each right that Waypost needs at an external event store. It returns false if one is missing.
func (d *doctor) eventstoreRights(ctx context.Context) bool {
	const what = "event store rights"
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	rights, err := eventstore.CheckRights(ctx, d.settings.EventstoreURL)
	if err != nil {
		d.bad(what, "correct WAYPOST_EVENTSTORE_URL", "%s", terminal.OneLine(err))
		return false
	}
	var granted []string
	for _, r := range rights {
		switch {
		case r.Err == nil:
			granted = append(granted, r.Name)
		case errors.Is(r.Err, eventstore.ErrForbidden):
			d.bad(what, r.Grant, "the user is not allowed to %s", r.Name)
		case errors.Is(r.Err, eventstore.ErrRefused):
			d.bad(what, "correct the user and password in WAYPOST_EVENTSTORE_URL", "%s", terminal.OneLine(r.Err))
			return false
		default:
			d.bad(what, "check that it is running and that WAYPOST_EVENTSTORE_URL is correct", "%s: %s", r.Name, terminal.OneLine(r.Err))
			return false
		}
	}
	if len(granted) < len(rights) {
		return false
	}
	d.ok(what, "the user is allowed to %s", strings.Join(granted, ", "))
	return true
}

// reach opens the running stores, once.
func (d *doctor) reach(ctx context.Context) (*platform.Stores, error) {
	if d.stores != nil {
		return d.stores, nil
	}
	s := platform.StoreSettings{
		DataDir: d.settings.DataDir, EventstoreURL: d.settings.EventstoreURL, PostgresURL: d.settings.PostgresURL,
		SecretKey: d.settings.SecretKey, LogLevel: "error",
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	st, err := s.Open(ctx, io.Discard, platform.AnyLength)
	d.stores = st
	return st, err
}

func (d *doctor) postgres(ctx context.Context) {
	const what = "Postgres"
	switch {
	case d.settings.PostgresURL != "":
		if err := platform.CheckMigrated(ctx, d.settings.PostgresURL); err != nil {
			d.bad(what, "check that it is running, that WAYPOST_POSTGRES_URL is correct, and that waypost migrate up was run", "%s", terminal.OneLine(err))
			return
		}
		d.ok(what, "responds; all migrations are applied")
	case d.run != nil:
		st, err := d.reach(ctx)
		if err == nil {
			err = st.Pool.Ping(ctx)
		}
		if err != nil {
			d.bad(what, "check Waypost's log; Waypost restarts its own Postgres automatically", "%s", terminal.OneLine(err))
			return
		}
		d.ok(what, "private cluster, responds")
	default:
		dir, version, err := privatepg.Installed(ctx)
		if err != nil {
			d.bad(what, "or set WAYPOST_POSTGRES_URL", "%s", terminal.OneLine(err))
			return
		}
		d.ok(what, "version %d in %s; starts with Waypost", version, dir)
	}
}

func (d *doctor) whatsapp(ctx context.Context) {
	secrets, err := platform.LoadWhatsAppSecrets(d.settings)
	if err != nil {
		d.bad("WhatsApp", "name readable files", "%s", terminal.OneLine(err))
		return
	}
	has := platform.RunWhatsApp{AppSecrets: len(secrets.App.List()), VerifyToken: secrets.Verify.Get() != ""}
	if d.run != nil {
		has = d.run.WhatsApp
	}
	if has.AppSecrets == 0 {
		d.bad("app secret", "set WAYPOST_WHATSAPP_APP_SECRET (App settings, Basic)", "missing: every webhook is rejected, so no statuses are received")
	} else {
		d.ok("app secret", "%d set", has.AppSecrets)
	}
	if !has.VerifyToken {
		d.warn("verify token", "set WAYPOST_WHATSAPP_VERIFY_TOKEN, and enter the same token at Meta", "missing: Meta cannot verify the webhook")
	} else {
		d.ok("verify token", "set")
	}
	table, err := whatsapp.LoadErrorTable()
	if err != nil {
		d.bad("WhatsApp", "", "%v", err)
		return
	}
	client, err := whatsapp.NewClient(whatsapp.Options{URL: d.settings.WhatsappURL, Timeout: checkTimeout, Errors: table})
	if err != nil {
		d.bad("WhatsApp", "correct WAYPOST_WHATSAPP_URL", "%s", terminal.OneLine(err))
		return
	}
	if d.stores == nil || d.stores.Pool == nil {
		d.warn("senders", "start Waypost and run doctor again", "not checked: senders are known only while Waypost is running")
		return
	}
	senders, err := postgres.NewReadModel(d.stores.Pool).SenderStates(ctx)
	if err != nil {
		d.bad("senders", "", "%s", terminal.OneLine(err))
		return
	}
	if len(senders) == 0 {
		d.warn("senders", "register one with registerSender", "no sender is registered")
	}
	caller := &platform.Caller{Client: client, Tokens: vault.NewTokens(d.stores.Pool, d.stores.Keys, platform.NewID), Fallback: secrets.Token}
	for _, s := range senders {
		what := "sender " + s.ID
		if s.TokenID == "" && secrets.Token.Get() == "" && has.Token {
			if s.Hold != nil {
				d.bad(what, "see the sender in the web UI", "held: %s", s.Hold.Message)
			} else {
				d.ok(what, "not held; it uses the running process's default token, so its calls show whether WhatsApp accepts it")
			}
			continue
		}
		can, failure, err := caller.Probe(ctx, s)
		switch {
		case err != nil:
			d.bad(what, "check that this machine can reach "+d.settings.WhatsappURL, "%s", terminal.OneLine(err))
			continue
		case !can:
			d.bad(what, failure.Advice, "cannot send: %s", failure.Message)
			continue
		}
		d.ok(what, "its token is accepted and its number can send")
		d.subscription(ctx, client, caller, s.ID, s.BusinessAccountID, s.TokenID)
	}
}

func (d *doctor) subscription(ctx context.Context, client *whatsapp.Client, c *platform.Caller, id, account, tokenID string) {
	what := "webhooks of " + id
	if account == "" {
		d.warn(what, "set its businessAccountId with updateSender", "not checked: the sender has no business account")
		return
	}
	token, err := c.Token(ctx, id, tokenID)
	if err != nil {
		return // the probe reported it
	}
	s, err := client.Subscription(ctx, account, token)
	switch {
	case err != nil:
		d.warn(what, "the token needs whatsapp_business_management for this check", "%s", terminal.OneLine(err))
	case !s.Subscribed:
		d.bad(what, "POST /"+account+"/subscribed_apps with the app's token", "no app is subscribed to the business account, so no statuses are received")
	default:
		d.ok(what, "subscribed")
	}
	if skew := time.Since(s.Now); !s.Now.IsZero() && skew.Abs() > clockSkew {
		d.bad("clock", "synchronize it with NTP", "differs from WhatsApp's by %s", skew.Round(time.Second))
	} else if !s.Now.IsZero() {
		d.ok("clock", "within %s of WhatsApp's", clockSkew)
	}
}

// bytesText returns a size for a reader.
func bytesText(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	size, i := float64(n), 0
	for size >= 1024 && i < len(units)-1 {
		size, i = size/1024, i+1
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", size), ".0") + " " + units[i]
}
