package platform

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"github.com/waypost/waypost/domain/message"
)

// The roles of a process.
const (
	roleAPI      = "api"
	roleWebhook  = "webhook"
	roleDispatch = "dispatch"
	roleProject  = "project"
	roleAlert    = "alert"
)

func allRoles() []string {
	return []string{roleAPI, roleWebhook, roleDispatch, roleProject, roleAlert}
}

// Settings are the settings of serve. A flag takes precedence over the environment, the environment over waypost.yaml, and that over
// the default.
type Settings struct {
	Addr                 string         `help:"Address for GraphQL, webhooks, the web UI, and health checks." default:"127.0.0.1:8080" env:"WAYPOST_ADDR"`
	WebhookAddr          string         `help:"Separate address for WhatsApp webhooks. If empty, --addr serves them." env:"WAYPOST_WEBHOOK_ADDR"`
	MetricsAddr          string         `help:"Internal address that serves /metrics without a key. If empty, --addr serves it to keys with the scope READ." env:"WAYPOST_METRICS_ADDR"`
	Pprof                bool           `help:"Serve profiles of the Go runtime at /debug/pprof/ of --metrics-addr." env:"WAYPOST_PPROF"`
	Roles                []string       `help:"Roles of this process: api, webhook, dispatch, project, alert." default:"api,webhook,dispatch,project,alert" env:"WAYPOST_ROLES"`
	DataDir              string         `help:"Directory for the embedded event store, the private Postgres, and generated keys." default:"./waypost-data" env:"WAYPOST_DATA_DIR" type:"path"`
	EventstoreURL        string         `secret:"url" help:"External event store, EventStoreDB 23.10+ or KurrentDB (esdb://…). If empty, the embedded store is used." env:"WAYPOST_EVENTSTORE_URL"`
	EventstoreAddr       string         `help:"TCP address of the embedded event store for EventStoreDB's clients, with TLS and users. If empty, there is none, and this user's commands reach the store through a Unix socket." env:"WAYPOST_EVENTSTORE_ADDR"`
	EventstoreLiveBuffer int            `help:"For tests: the embedded event store drops a live subscription when more events than this wait for it, as EventStoreDB does at 32. 0 never does." default:"0" hidden:"" env:"WAYPOST_EVENTSTORE_LIVE_BUFFER"`
	EventstorePort       EventstorePort `embed:"" prefix:"eventstore-"`
	PostgresURL          string         `secret:"url" help:"External Postgres 14+ (postgres://…). If empty, a private Postgres is started." env:"WAYPOST_POSTGRES_URL"`
	SecretKey            string         `secret:"" help:"Encryption key, 32 bytes in base64. To rotate, separate keys with commas, newest first. If empty, a generated key in the data directory is used. Required with an external store." env:"WAYPOST_SECRET_KEY"`
	AdminKey             string         `secret:"" help:"API key with the ADMIN scope. If empty, one is generated on the first start." env:"WAYPOST_ADMIN_KEY"`

	WhatsappURL         string `help:"Base URL of the Cloud API." default:"https://graph.facebook.com/v25.0" env:"WAYPOST_WHATSAPP_URL"`
	WhatsappToken       string `secret:"" help:"Access token for senders without their own." env:"WAYPOST_WHATSAPP_TOKEN"`
	WhatsappAppSecret   string `secret:"" help:"App secret for webhook signatures. Several, separated by commas, are all accepted. If empty, webhooks are rejected." env:"WAYPOST_WHATSAPP_APP_SECRET"`
	WhatsappVerifyToken string `secret:"" help:"Token that Meta sends to verify the webhook. If empty, verification is rejected." env:"WAYPOST_WHATSAPP_VERIFY_TOKEN"`

	RetrySchedule     []time.Duration `help:"Delays before each retry. After the last one, the message becomes a dead letter." default:"1s,2s,4s" env:"WAYPOST_RETRY_SCHEDULE"`
	CallTimeout       time.Duration   `help:"Timeout for one call to WhatsApp." default:"30s" env:"WAYPOST_CALL_TIMEOUT"`
	SettleAfter       time.Duration   `help:"How long to wait for a status after a lost response." default:"30s" env:"WAYPOST_SETTLE_AFTER"`
	SettleAfterOutage time.Duration   `help:"The same, from the time webhooks are recorded again, if recording was interrupted after the call." default:"5m" env:"WAYPOST_SETTLE_AFTER_OUTAGE"`
	ThrottleLimit     int             `help:"Throttled calls allowed per message before it becomes a dead letter." default:"20" env:"WAYPOST_THROTTLE_LIMIT"`
	PairLimit         string          `help:"Enforce WhatsApp's limit per recipient (one message every 6 s, bursts of 45): on or off." default:"on" enum:"on,off" env:"WAYPOST_PAIR_LIMIT"`
	Portfolios        []string        `help:"Business accounts whose numbers share one messaging limit, each as account=portfolio with a portfolio name of your choice. An account that is not listed has a limit of its own." env:"WAYPOST_PORTFOLIOS"`
	DeliverWithin     time.Duration   `help:"How long after WhatsApp's acceptance a delivery is overdue, for messages that don't say it. If empty, it never is." env:"WAYPOST_DELIVER_WITHIN"`
	ContentRetention  time.Duration   `help:"How long to keep personal data of messages, for example 2160h for 90 days. If empty, it is kept forever." env:"WAYPOST_CONTENT_RETENTION"`
	DrainTimeout      time.Duration   `help:"How long shutdown waits for calls in flight." default:"10s" env:"WAYPOST_DRAIN_TIMEOUT"`

	EmbedOrigins []string `name:"embed-origins" help:"Origins whose pages can contain a view of the web UI in a frame, for example https://shop.example.com. If empty, none." env:"WAYPOST_EMBED_ORIGINS"`
	CORSOrigins  []string `name:"cors-origins" help:"Origins whose pages can use the API, for example https://*.example.com." env:"WAYPOST_CORS_ORIGINS"`

	signInSettings
	brokerSettings
	hookSettings
	notifySettings
	traceSettings
	LogSettings

	// attached is set if the stores are the embedded ones of another process.
	attached bool
	// anyLength and acceptShorter open an event log that is shorter than it was: to examine it, or to accept the loss.
	anyLength, acceptShorter bool
}

// DefaultSettings returns the settings of serve without flags, files, or environment. A demo must not reach the stores or the broker
// of an installation that the shell is set up for.
func DefaultSettings() (*Settings, error) {
	s := new(Settings)
	err := kong.ApplyDefaults(s, kong.PostBuild(func(k *kong.Kong) error {
		for _, flag := range k.Model.Flags {
			flag.Envs, flag.Tag.Envs = nil, nil
		}
		return nil
	}))
	if err != nil {
		return nil, fmt.Errorf("default settings: %w", err)
	}
	return s, nil
}

func (s *Settings) has(role string) bool { return slices.Contains(s.Roles, role) }

// validate returns an error for the first invalid setting.
func (s *Settings) validate() error {
	for _, check := range []func() error{
		s.checkRoles, s.checkAddresses, s.checkOrigins, s.checkPairs, s.checkSignIn, s.checkSending,
		s.brokerSettings.check, s.hookSettings.check, s.notifySettings.check, s.traceSettings.check,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Settings) checkRoles() error {
	if len(s.Roles) == 0 {
		return fmt.Errorf("--roles: must name at least one of %v; omit it for all", allRoles())
	}
	for _, r := range s.Roles {
		if !slices.Contains(allRoles(), r) {
			return fmt.Errorf("--roles: unknown role %q; use any of %v", r, allRoles())
		}
	}
	return nil
}

func (s *Settings) checkAddresses() error {
	for _, a := range []struct{ name, addr string }{
		{"--addr", s.Addr},
		{"--webhook-addr", s.WebhookAddr},
		{"--metrics-addr", s.MetricsAddr},
		{"--eventstore-addr", s.EventstoreAddr},
	} {
		if a.addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(a.addr); err != nil {
			return fmt.Errorf("%s: %w; use host:port", a.name, err)
		}
	}
	if u, err := url.Parse(s.WhatsappURL); err != nil || u.Host == "" {
		return fmt.Errorf("--whatsapp-url: %q is not a valid URL; use one like https://graph.facebook.com/v25.0", s.WhatsappURL)
	}
	return nil
}

func (s *Settings) checkOrigins() error {
	for _, o := range s.CORSOrigins {
		if !isOrigin(o) {
			return fmt.Errorf("--cors-origins: %q is not a valid origin; use one like https://app.example.com, https://*.example.com, or *", o)
		}
	}
	for _, o := range s.EmbedOrigins {
		if !isFrameOrigin(o) {
			return fmt.Errorf("--embed-origins: %q is not a valid origin; use one like https://app.example.com or https://*.example.com", o)
		}
	}
	return nil
}

// isFrameOrigin reports whether text is an origin that a Content-Security-Policy can name. Any other text could
// change the policy.
func isFrameOrigin(text string) bool {
	scheme, host, found := strings.Cut(text, "://")
	return found && (scheme == "https" || scheme == "http") && frameHost.MatchString(host)
}

var frameHost = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?$`)

// isOrigin reports whether text is an origin or a pattern of origins.
func isOrigin(text string) bool {
	if text == "*" {
		return true
	}
	scheme, host, found := strings.Cut(text, "://")
	return found && scheme != "" && host != "" && !strings.ContainsAny(host, "/ ")
}

// checkPairs checks settings that exclude or require each other.
func (s *Settings) checkPairs() error {
	if s.Pprof && s.MetricsAddr == "" {
		return errors.New("--pprof: profiles are served on --metrics-addr only, because they need no key; set it to an internal address")
	}
	if s.EventstoreAddr != "" && s.EventstoreURL != "" {
		return errors.New("--eventstore-addr is for the embedded event store, but --eventstore-url names an external one; omit one of them")
	}
	return nil
}

// portfolios returns the portfolios in the settings by business account.
func (s *Settings) portfolios() (map[string]string, error) {
	const longest = 128
	of := make(map[string]string, len(s.Portfolios))
	for _, pair := range s.Portfolios {
		account, portfolio, found := strings.Cut(pair, "=")
		if !found || account == "" || portfolio == "" || len(portfolio) > longest || !utf8.ValidString(portfolio) || strings.ContainsRune(portfolio, 0) {
			return nil, fmt.Errorf("--portfolios: %q must be account=portfolio, with a portfolio name of 1 to %d bytes; for example 102290129340398=acme", pair, longest)
		}
		if _, twice := of[account]; twice {
			return nil, fmt.Errorf("--portfolios: account %q is given twice; it belongs to one portfolio", account)
		}
		of[account] = portfolio
	}
	return of, nil
}

// checkSending checks the settings of dispatch and retention.
func (s *Settings) checkSending() error {
	const day = 24 * time.Hour
	if _, err := s.portfolios(); err != nil {
		return err
	}
	for _, d := range s.RetrySchedule {
		if d <= 0 || d > day {
			return fmt.Errorf("--retry-schedule: must be between 0 and 24h, got %s", d)
		}
	}
	for _, d := range []struct {
		name       string
		value, low time.Duration
	}{
		{"--call-timeout", s.CallTimeout, 100 * time.Millisecond},
		{"--settle-after", s.SettleAfter, 0},
		{"--settle-after-outage", s.SettleAfterOutage, 0},
		{"--drain-timeout", s.DrainTimeout, 0},
	} {
		if d.value < d.low || d.value > day {
			return fmt.Errorf("%s: must be between %s and 24h, got %s", d.name, d.low, d.value)
		}
	}
	if s.ContentRetention != 0 && s.ContentRetention < time.Second {
		return fmt.Errorf("--content-retention: must be at least 1s, got %s; leave it empty to keep personal data", s.ContentRetention)
	}
	if d := s.DeliverWithin; d != 0 && (d < message.MinDeliverWithin || d > message.MaxDeliverWithin) {
		return fmt.Errorf("--deliver-within: must be between %s and %s, got %s; leave it empty for none", message.MinDeliverWithin, message.MaxDeliverWithin, d)
	}
	if s.ThrottleLimit < 1 {
		return fmt.Errorf("--throttle-limit: must be at least 1, got %d", s.ThrottleLimit)
	}
	return nil
}
