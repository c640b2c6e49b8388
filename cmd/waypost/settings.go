package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// settings are those of serve. A flag beats the environment, the environment
// beats waypost.yaml, that beats the default.
type settings struct {
	Addr          string   `help:"HTTP: GraphQL, webhooks, the page, health." default:"127.0.0.1:8080" env:"WAYPOST_ADDR"`
	WebhookAddr   string   `help:"Where webhooks are taken in, if not on --addr." env:"WAYPOST_WEBHOOK_ADDR"`
	MetricsAddr   string   `help:"Where /metrics is served, if not on --addr." env:"WAYPOST_METRICS_ADDR"`
	Roles         []string `help:"What this process does: api, webhook, dispatch, project, alert." default:"api,webhook,dispatch,project,alert" env:"WAYPOST_ROLES"`
	DataDir       string   `help:"Where the embedded parts keep their data." default:"./waypost-data" env:"WAYPOST_DATA_DIR" type:"path"`
	EventstoreURL string   `help:"esdb://… of EventStoreDB 23.10+ or KurrentDB; the embedded store if empty." env:"WAYPOST_EVENTSTORE_URL"`
	PostgresURL   string   `help:"postgres://… 14+; a private cluster if empty." env:"WAYPOST_POSTGRES_URL"`
	SecretKey     string   `help:"32 bytes base64, comma-separated for rotation; kept in the data folder if empty." env:"WAYPOST_SECRET_KEY"`
	AdminKey      string   `help:"The ADMIN key; made at the first start if empty." env:"WAYPOST_ADMIN_KEY"`

	WhatsappURL         string `help:"Base URL of the Cloud API." default:"https://graph.facebook.com/v25.0" env:"WAYPOST_WHATSAPP_URL"`
	WhatsappToken       string `help:"Access token for senders that have none of their own." env:"WAYPOST_WHATSAPP_TOKEN"`
	WhatsappAppSecret   string `help:"Comma-separated; any one may have signed a webhook. Empty: webhooks are refused." env:"WAYPOST_WHATSAPP_APP_SECRET"`
	WhatsappVerifyToken string `help:"Token by which Meta verifies the webhook. Empty: verification is refused." env:"WAYPOST_WHATSAPP_VERIFY_TOKEN"`

	RetrySchedule     []time.Duration `help:"Delays before the retries; used up means dead letter." default:"1s,2s,4s" env:"WAYPOST_RETRY_SCHEDULE"`
	CallTimeout       time.Duration   `help:"Bound of one call to WhatsApp." default:"30s" env:"WAYPOST_CALL_TIMEOUT"`
	SettleAfter       time.Duration   `help:"How long a lost answer waits for a status." default:"30s" env:"WAYPOST_SETTLE_AFTER"`
	SettleAfterOutage time.Duration   `help:"The same when, since the call, webhooks could not be recorded." default:"5m" env:"WAYPOST_SETTLE_AFTER_OUTAGE"`
	ThrottleLimit     int             `help:"Throttled calls of one message before it is a dead letter." default:"20" env:"WAYPOST_THROTTLE_LIMIT"`
	PairLimit         string          `help:"Keep to WhatsApp's limit for one recipient, a message in 6 s and bursts of 45: on or off." default:"on" enum:"on,off" env:"WAYPOST_PAIR_LIMIT"`
	ContentRetention  time.Duration   `help:"How long personal data of messages are kept, such as 2160h for 90 days; empty: for ever." env:"WAYPOST_CONTENT_RETENTION"`
	DrainTimeout      time.Duration   `help:"How long calls in flight may take at the end." default:"10s" env:"WAYPOST_DRAIN_TIMEOUT"`

	CORSOrigins  []string `name:"cors-origins" help:"Origins whose pages may use the API, such as https://*.example.com." env:"WAYPOST_CORS_ORIGINS"`
	OIDCIssuer   string   `name:"oidc-issuer" help:"OpenID Connect issuer whose tokens with a scope claim count beside keys." env:"WAYPOST_OIDC_ISSUER"`
	OIDCAudience string   `name:"oidc-audience" help:"What these tokens must name as their audience." env:"WAYPOST_OIDC_AUDIENCE"`

	brokerSettings
	hookSettings
	notifySettings
	traceSettings
	logSettings

	// attached is set when the stores are those embedded in another process.
	attached bool
}

// defaultSettings are those of serve without flags, files and environment: a demo
// in a shell that is set up for an installation must not reach its stores or
// broker.
func defaultSettings() (*settings, error) {
	s := new(settings)
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

// allRoles are the parts of the platform that a process may take on.
func allRoles() []string { return []string{"api", "webhook", "dispatch", "project", "alert"} }

func (s *settings) has(role string) bool { return slices.Contains(s.Roles, role) }

// isOrigin reports whether text may be an origin, or a pattern of some.
func isOrigin(text string) bool {
	if text == "*" {
		return true
	}
	scheme, host, found := strings.Cut(text, "://")
	return found && scheme != "" && host != "" && !strings.ContainsAny(host, "/ ")
}

// validate names the first setting that cannot be, and what to do.
func (s *settings) validate() error {
	if len(s.Roles) == 0 {
		return fmt.Errorf("--roles: none is given; give some of %v, or leave it out for all", allRoles())
	}
	for _, r := range s.Roles {
		if !slices.Contains(allRoles(), r) {
			return fmt.Errorf("--roles: %q is none of %v", r, allRoles())
		}
	}
	for _, a := range []struct{ name, addr string }{{"--addr", s.Addr}, {"--webhook-addr", s.WebhookAddr}, {"--metrics-addr", s.MetricsAddr}} {
		if a.addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(a.addr); err != nil {
			return fmt.Errorf("%s: %w; give host:port", a.name, err)
		}
	}
	for _, o := range s.CORSOrigins {
		if !isOrigin(o) {
			return fmt.Errorf("--cors-origins: %q is no origin; give one like https://app.example.com, https://*.example.com or *", o)
		}
	}
	if (s.OIDCIssuer == "") != (s.OIDCAudience == "") {
		return errors.New("--oidc-issuer and --oidc-audience belong together: give both or none")
	}
	if u, err := url.Parse(s.WhatsappURL); err != nil || u.Host == "" {
		return fmt.Errorf("--whatsapp-url: %q is no URL; give one like https://graph.facebook.com/v25.0", s.WhatsappURL)
	}
	for _, d := range s.RetrySchedule {
		if d <= 0 || d > 24*time.Hour {
			return fmt.Errorf("--retry-schedule: %s is not between 0 and 24h", d)
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
		if d.value < d.low || d.value > 24*time.Hour {
			return fmt.Errorf("%s: %s is not between %s and 24h", d.name, d.value, d.low)
		}
	}
	if err := errors.Join(s.brokerSettings.check(), s.hookSettings.check(), s.notifySettings.check(), s.traceSettings.check()); err != nil {
		return err
	}
	if s.ContentRetention != 0 && s.ContentRetention < time.Second {
		return fmt.Errorf("--content-retention: %s is less than 1s; leave it empty to keep personal data", s.ContentRetention)
	}
	if s.ThrottleLimit < 1 {
		return fmt.Errorf("--throttle-limit: %d is less than 1", s.ThrottleLimit)
	}
	return nil
}
