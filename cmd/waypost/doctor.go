package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/privatepg"
	"github.com/waypost/waypost/adapters/vault"
	"github.com/waypost/waypost/adapters/whatsapp"
)

const (
	// diskFull is the share of a disk from which on it is as good as full.
	diskFull = 0.9
	// clockSkew is how far this machine's clock may be from WhatsApp's: its times are
	// whole seconds, and signatures of others go by minutes.
	clockSkew = 5 * time.Second
	// checkTimeout bounds each question asked over the network.
	checkTimeout = 15 * time.Second
)

// errUnwell ends doctor when something has to be seen to.
var errUnwell = errors.New("something has to be seen to, see above")

type doctorCommand struct {
	settings `embed:""`
}

// finding is one thing that was looked at.
type finding struct {
	what  string
	level level
	// is says how it is, remedy what to do about it.
	is, remedy string
}

type level string

const (
	levelGood level = "ok"
	levelWarn level = "warn"
	levelBad  level = "bad"
)

// Run looks at what the platform stands on, as the settings of serve name it.
// Nothing is started or changed.
func (c doctorCommand) Run(env *environment) error {
	d := doctor{settings: &c.settings}
	run, err := readRunFile(c.DataDir)
	d.running = err == nil && alive(run.PID)
	d.run = run
	for _, look := range []func(context.Context){
		d.dataFolder, d.ports, d.secretKey, d.eventstore, d.postgres, d.whatsapp,
	} {
		ctx, cancel := context.WithTimeout(env.ctx, 4*checkTimeout)
		look(ctx)
		cancel()
	}
	d.close(env.ctx)
	bad := false
	for _, f := range d.findings {
		bad = bad || f.level == levelBad
		fmt.Fprintf(env.stdout, "%-4s  %-22s %s\n", f.level, f.what, f.is)
		if f.remedy != "" {
			fmt.Fprintf(env.stdout, "      %-22s → %s\n", "", f.remedy)
		}
	}
	if bad {
		return errUnwell
	}
	return nil
}

// doctor collects findings.
type doctor struct {
	settings *settings
	running  bool
	run      runFile
	stores   *stores // reached for the questions about senders
	findings []finding
}

func (d *doctor) good(what, is string, args ...any) {
	d.findings = append(d.findings, finding{what, levelGood, fmt.Sprintf(is, args...), ""})
}

func (d *doctor) warn(what, remedy, is string, args ...any) {
	d.findings = append(d.findings, finding{what, levelWarn, fmt.Sprintf(is, args...), remedy})
}

func (d *doctor) bad(what, remedy, is string, args ...any) {
	d.findings = append(d.findings, finding{what, levelBad, fmt.Sprintf(is, args...), remedy})
}

func (d *doctor) close(ctx context.Context) {
	if d.stores == nil {
		return
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := d.stores.close(closing); err != nil {
		d.warn("stores", "", "closing them: %s", oneLine(err))
	}
}

func (d *doctor) dataFolder(context.Context) {
	const what = "data folder"
	dir := d.settings.DataDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.good(what, "%s does not exist yet; the first start makes it", dir)
		dir = existingParent(dir)
	case err != nil:
		d.bad(what, "choose another with --data-dir", "%v", err)
		return
	case info.Mode().Perm()&0o077 != 0:
		d.warn(what, "chmod 700 "+dir, "%s may be read by other users: it holds keys", dir)
	default:
		d.good(what, "%s", dir)
	}
	probe, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		d.bad(what, "make it writable for this user, or choose another with --data-dir", "%v", err)
	} else {
		_ = probe.Close()
		_ = os.Remove(probe.Name())
	}
	used, free, err := diskUse(dir)
	switch {
	case err != nil:
		d.warn("disk", "", "cannot be looked at: %v", err)
	case used >= diskFull:
		d.bad("disk", "make room, or move the data folder to a larger disk: nothing is accepted on a full one", "%.0f %% used, %s free", used*100, bytesText(free))
	default:
		d.good("disk", "%.0f %% used, %s free", used*100, bytesText(free))
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
	for _, a := range []struct{ flag, addr string }{{"--addr", d.settings.Addr}, {"--webhook-addr", d.settings.WebhookAddr}, {"--metrics-addr", d.settings.MetricsAddr}} {
		if a.addr == "" {
			continue
		}
		if d.running {
			d.good("port "+a.addr, "the platform runs as process %d at %s", d.run.PID, d.run.URL)
			return
		}
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", a.addr)
		if err != nil {
			d.bad("port "+a.addr, "end what listens there or choose another with "+a.flag, "%v", err)
			continue
		}
		_ = l.Close()
		d.good("port "+a.addr, "free")
	}
}

func (d *doctor) secretKey(context.Context) {
	const what = "secret key"
	given, err := newSecret("WAYPOST_SECRET_KEY", d.settings.SecretKey)
	if err != nil {
		d.bad(what, "name a file that can be read", "%v", err)
		return
	}
	path := filepath.Join(d.settings.DataDir, "secret.key")
	_, missing := os.Stat(path)
	switch text := given.get(); {
	case text != "":
		if _, err := vault.ParseKeys(text); err != nil {
			d.bad(what, "make one with: openssl rand -base64 32", "WAYPOST_SECRET_KEY: %v", err)
			return
		}
		d.good(what, "given")
	case d.settings.EventstoreURL != "" || d.settings.PostgresURL != "":
		d.bad(what, "make one with openssl rand -base64 32, keep it safe, and give it to every process", "WAYPOST_SECRET_KEY is required with a given event store or Postgres")
	case missing != nil:
		d.good(what, "made at the first start, in %s; back it up: without it tokens and personal data are lost", path)
	default:
		if _, err := vault.LoadOrMakeKeys(path); err != nil {
			d.bad(what, "put the right file back from a backup", "%v", err)
			return
		}
		d.good(what, "%s", path)
	}
}

func (d *doctor) eventstore(ctx context.Context) {
	const what = "event store"
	if d.settings.EventstoreURL == "" && !d.running {
		d.good(what, "embedded; starts with the platform")
		return
	}
	st, err := d.reach(ctx)
	if err != nil {
		d.bad(what, "see that it runs and that WAYPOST_EVENTSTORE_URL is right", "%s", oneLine(err))
		return
	}
	if err := st.log.Ping(ctx); err != nil {
		d.bad(what, "see that it runs", "%s", oneLine(err))
		return
	}
	d.good(what, "answers; the log is %s", st.logID)
}

// reach opens the stores that run, once.
func (d *doctor) reach(ctx context.Context) (*stores, error) {
	if d.stores != nil {
		return d.stores, nil
	}
	s := storeSettings{
		DataDir: d.settings.DataDir, EventstoreURL: d.settings.EventstoreURL, PostgresURL: d.settings.PostgresURL,
		SecretKey: d.settings.SecretKey, LogLevel: "error",
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	st, err := s.open(ctx, &environment{ctx: ctx, stderr: discard{}})
	d.stores = st
	return st, err
}

// discard is a terminal that nobody looks at.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func (d *doctor) postgres(ctx context.Context) {
	const what = "Postgres"
	switch {
	case d.settings.PostgresURL != "":
		if err := migrated(ctx, d.settings.PostgresURL); err != nil {
			d.bad(what, "see that it runs, that WAYPOST_POSTGRES_URL is right, and that waypost migrate up was run", "%s", oneLine(err))
			return
		}
		d.good(what, "answers; all migrations are applied")
	case d.running:
		st, err := d.reach(ctx)
		if err == nil {
			err = st.pool.Ping(ctx)
		}
		if err != nil {
			d.bad(what, "look at the platform's log; it starts its own Postgres again by itself", "%s", oneLine(err))
			return
		}
		d.good(what, "private cluster, answers")
	default:
		dir, version, err := privatepg.Installed(ctx)
		if err != nil {
			d.bad(what, "or give one with WAYPOST_POSTGRES_URL", "%s", oneLine(err))
			return
		}
		d.good(what, "version %d in %s; starts with the platform", version, dir)
	}
}

func (d *doctor) whatsapp(ctx context.Context) {
	secrets, err := loadWhatsappSecrets(d.settings)
	if err != nil {
		d.bad("WhatsApp", "name files that can be read", "%s", oneLine(err))
		return
	}
	if len(secrets.app.list()) == 0 {
		d.bad("app secret", "set WAYPOST_WHATSAPP_APP_SECRET (App settings, Basic)", "missing: every webhook is refused, no status comes in")
	} else {
		d.good("app secret", "%d given", len(secrets.app.list()))
	}
	if secrets.verify.get() == "" {
		d.warn("verify token", "set WAYPOST_WHATSAPP_VERIFY_TOKEN, and give Meta the same", "missing: Meta cannot verify the webhook's address")
	} else {
		d.good("verify token", "given")
	}
	table, err := whatsapp.LoadErrorTable()
	if err != nil {
		d.bad("WhatsApp", "", "%v", err)
		return
	}
	client, err := whatsapp.NewClient(whatsapp.Options{URL: d.settings.WhatsappURL, Timeout: checkTimeout, Errors: table})
	if err != nil {
		d.bad("WhatsApp", "correct WAYPOST_WHATSAPP_URL", "%s", oneLine(err))
		return
	}
	if d.stores == nil || d.stores.pool == nil {
		d.warn("senders", "start the platform and run doctor again", "not looked at: what is registered is known to a running platform")
		return
	}
	senders, err := postgres.NewReadModel(d.stores.pool).SenderStates(ctx)
	if err != nil {
		d.bad("senders", "", "%s", oneLine(err))
		return
	}
	if len(senders) == 0 {
		d.warn("senders", "register one with registerSender", "none is registered")
	}
	caller := &caller{client: client, tokens: vault.NewTokens(d.stores.pool, d.stores.keys, newID), fallback: secrets.token}
	for _, s := range senders {
		what := "sender " + s.ID
		can, failure, err := caller.Probe(ctx, s)
		switch {
		case err != nil:
			d.bad(what, "see that this machine reaches "+d.settings.WhatsappURL, "%s", oneLine(err))
			continue
		case !can:
			d.bad(what, failure.Advice, "cannot send: %s", failure.Message)
			continue
		}
		d.good(what, "its token is taken and its number may send")
		d.subscription(ctx, client, caller, s.ID, s.BusinessAccountID, s.TokenID)
	}
}

func (d *doctor) subscription(ctx context.Context, client *whatsapp.Client, c *caller, id, account, tokenID string) {
	what := "webhooks of " + id
	if account == "" {
		d.warn(what, "give its businessAccountId with updateSender", "not looked at: the sender names no business account")
		return
	}
	token, err := c.token(ctx, id, tokenID)
	if err != nil {
		return // the probe said so
	}
	s, err := client.Subscription(ctx, account, token)
	switch {
	case err != nil:
		d.warn(what, "the token needs whatsapp_business_management to be asked", "%s", oneLine(err))
	case !s.Subscribed:
		d.bad(what, "POST /"+account+"/subscribed_apps with the app's token", "no app is subscribed to the business account: no status comes in")
	default:
		d.good(what, "subscribed")
	}
	if skew := time.Since(s.Now); !s.Now.IsZero() && skew.Abs() > clockSkew {
		d.bad("clock", "set it by NTP", "%s away from WhatsApp's", skew.Round(time.Second))
	} else if !s.Now.IsZero() {
		d.good("clock", "within %s of WhatsApp's", clockSkew)
	}
}

// bytesText is a size as people read it.
func bytesText(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	size, i := float64(n), 0
	for size >= 1024 && i < len(units)-1 {
		size, i = size/1024, i+1
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", size), ".0") + " " + units[i]
}
