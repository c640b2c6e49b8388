package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Values of Control.PairLimit.
const (
	// PairLimitOff sets no limit per recipient.
	PairLimitOff = "off"
	// PairLimitMeta allows one message every 6 s to each recipient, and a burst of 45 borrowed from the future.
	PairLimitMeta = "meta"
)

// Control contains every setting of the simulator that can be changed while it runs. Shares are from 0 to 1. The JSON
// names are those of PUT /control. The other tags define command-line flags.
type Control struct {
	// Rate is the throughput of each number in messages per second. A call above Rate × 1.05 in a sliding second,
	// including inbound messages, fails with 130429. Zero means no limit.
	Rate int `json:"rate" help:"Messages per second of each number. Calls above 1.05 times this rate fail with 130429. 0 means no limit." default:"80"`
	// PairLimit is PairLimitOff or PairLimitMeta.
	PairLimit string `json:"pair_limit" help:"Limit per recipient: off, or meta (one message every 6 s, bursts of 45)." default:"off" enum:"off,meta"`
	// Latency is the time until a response.
	Latency Duration `json:"latency" help:"Time until a response." default:"50ms"`
	// LatencyJitter changes each latency by a uniform random amount up to this, in either direction.
	LatencyJitter Duration `json:"latency_jitter" help:"Random part of the latency, in either direction." default:"0s"`

	// ErrorRate is the share of calls that fail with one of ErrorCodes.
	ErrorRate float64 `json:"error_rate" help:"Share of calls that fail with one of the error codes." default:"0"`
	// ErrorCodes are the codes for ErrorRate, with equal probability.
	ErrorCodes []int `json:"error_codes" help:"Error codes to choose from." default:"131000"`
	// DropResponseRate is the share of calls that are accepted and whose connection is then cut.
	DropResponseRate float64 `json:"drop_response_rate" help:"Share of calls that are accepted and then cut." default:"0"`
	// TimeoutRate is the share of calls without a response. See LostAcceptRate.
	TimeoutRate float64 `json:"timeout_rate" help:"Share of calls without a response." default:"0"`
	// Empty5xxRate is the share of calls with the response 502 without a body. See LostAcceptRate.
	Empty5xxRate float64 `json:"empty_5xx_rate" name:"empty-5xx-rate" help:"Share of calls with the response 502 without a body." default:"0"`
	// Garbled200Rate is the share of calls that are accepted and get the response 200 with half a body.
	Garbled200Rate float64 `json:"garbled_200_rate" name:"garbled-200-rate" help:"Share of calls that are accepted and get the response 200 with a truncated body." default:"0"`
	// LostAcceptRate is the share of the calls affected by TimeoutRate or Empty5xxRate that are accepted anyway.
	LostAcceptRate float64 `json:"lost_accept_rate" help:"Share of the timed-out and empty 5xx calls that are accepted anyway." default:"0"`
	// HangNumbers are the phone number IDs whose calls are neither accepted nor get a response.
	HangNumbers []string `json:"hang_numbers" help:"Phone number IDs whose calls hang." `

	// Tokens are the valid access tokens. If empty, any token is valid unless it is in InvalidTokens.
	Tokens []string `json:"tokens" help:"Valid access tokens. If empty, any token is valid."`
	// InvalidTokens fail with 190.
	InvalidTokens []string `json:"invalid_tokens" help:"Access tokens that fail with 190."`
	// UnknownNumbers are phone number IDs that fail with 100 and subcode 33: no such object.
	UnknownNumbers []string `json:"unknown_numbers" help:"Phone number IDs that do not exist."`
	// FailNumbers makes every message of a phone number ID fail with an error code. Its health stays AVAILABLE.
	FailNumbers map[string]int `json:"fail_numbers" help:"Phone number IDs and the error code that their calls fail with."`
	// BlockedNumbers is like FailNumbers, and the health query returns BLOCKED with that code.
	BlockedNumbers map[string]int `json:"blocked_numbers" help:"Like fail-numbers, and the health query returns BLOCKED."`
	// FailRecipients makes every message to a recipient (digits only) fail with an error code.
	FailRecipients map[string]int `json:"fail_recipients" help:"Recipients (digits only) and the error code that messages to them fail with."`
	// FailTemplates makes every message with the template of that name fail with an error code.
	FailTemplates map[string]int `json:"fail_templates" help:"Template names and the error code that messages with them fail with."`
	// Templates are the templates of the business account. A change is reported by webhooks. Messages of other templates,
	// and of those that are not APPROVED, fail. If empty, every template is accepted and none can be listed.
	Templates []TemplateSpec `json:"templates" help:"Templates of the business account; only at run time." kong:"-"`
	// MessagingLimit is the number of people in 24 hours to whom the numbers together can send templates while no window is
	// open. Others fail with 131048: which error Meta returns is not documented. A change is reported by a webhook.
	MessagingLimit int `json:"messaging_limit" help:"People in 24 hours whom all numbers together can message outside a window. 0 means no limit." default:"0"`
	// Qualities are the quality ratings of phone number IDs: GREEN, which is the default, YELLOW, or RED. A webhook reports
	// when one becomes RED, and when it stops to be.
	Qualities map[string]string `json:"qualities" help:"Phone number IDs and their quality ratings: GREEN, YELLOW, or RED."`
	// HighThroughput are the phone number IDs that WhatsApp has upgraded to 1,000 messages per second. A webhook reports an
	// upgrade. It doesn't change Rate.
	HighThroughput []string `json:"high_throughput" help:"Phone number IDs whose throughput is shown as upgraded; the rate stays."`
	// Restrictions are those of the business account, such as RESTRICTED_BIZ_INITIATED_MESSAGING. Messages that one forbids
	// fail with 368. A change is reported by a webhook.
	Restrictions []string `json:"restrictions" help:"Restrictions of the business account, such as RESTRICTED_BIZ_INITIATED_MESSAGING."`
	// ThrottleStatus is the HTTP status of throttling errors: 400 as documented, or 429 as some proxies return.
	ThrottleStatus int `json:"throttle_status" help:"HTTP status of throttling errors: 400 or 429." default:"400"`
	// RetryAfter is sent as Retry-After with throttling errors, in whole seconds, rounded up. If zero, it is omitted,
	// as Meta does.
	RetryAfter Duration `json:"retry_after" help:"Retry-After of throttling errors. 0s means none." default:"0s"`

	// WebhookURL receives the webhooks. If empty, there are none.
	WebhookURL string `json:"webhook_url" kong:"-"`
	// WebhookDelay is the delay before the sent status, again before delivered, and again before read.
	WebhookDelay Duration `json:"webhook_delay" help:"Delay before the sent status and between the statuses." default:"50ms"`
	// WebhookBatch is the maximum number of updates in one webhook, 1 to 1000.
	WebhookBatch int `json:"webhook_batch" help:"Maximum number of updates in one webhook." default:"10"`
	// WebhookLinger is how long an update can wait for others to fill a batch.
	WebhookLinger Duration `json:"webhook_linger" help:"How long an update waits for its batch to fill." default:"20ms"`
	// WebhookConcurrency is the maximum number of concurrent webhooks, 1 to 1024.
	WebhookConcurrency int `json:"webhook_concurrency" help:"Maximum number of concurrent webhooks." default:"64"`
	// WebhookDuplicateRate is the share of updates that are sent a second time, up to 2 s later.
	WebhookDuplicateRate float64 `json:"webhook_duplicate_rate" help:"Share of updates sent twice." default:"0"`
	// WebhookReorder is the share of messages whose statuses are sent in random order. True means all.
	WebhookReorder Share `json:"webhook_reorder" help:"Share of messages whose statuses are sent in random order. true means all." default:"0"`
	// WebhookDropRate is the share of updates that are never sent.
	WebhookDropRate float64 `json:"webhook_drop_rate" help:"Share of updates that are never sent." default:"0"`
	// ReadRate is the share of delivered messages that are read.
	ReadRate float64 `json:"read_rate" help:"Share of delivered messages that are read." default:"1"`
	// FailAfterAcceptRate is the share of accepted messages whose only status is failed.
	FailAfterAcceptRate float64 `json:"fail_after_accept_rate" help:"Share of accepted messages whose only status is failed." default:"0"`
	// FailAfterAcceptCodes are the codes for FailAfterAcceptRate, with equal probability.
	FailAfterAcceptCodes []int `json:"fail_after_accept_codes" help:"Error codes of failed statuses." default:"131026"`
	// UserIDs makes webhooks report the business-scoped user ID of everyone, as Meta does since April 2026. Those of
	// people who are known only by their user ID report it in any case.
	UserIDs bool `json:"user_ids" name:"user-ids" help:"Report everyone's business-scoped user ID in webhooks, as Meta does since April 2026." default:"false"`
	// DropUserIDsInTo accepts messages with a user ID in to, and drops them without a status, which Meta sometimes does.
	// Otherwise, they fail with 100.
	DropUserIDsInTo bool `json:"drop_user_ids_in_to" name:"drop-user-ids-in-to" help:"Accept and drop messages with a user ID in to, instead of refusing them with 100." default:"false"`
	// FreeServiceMessages is the number of messages without a template that a number can send in a month before they
	// are charged. Meta allows 1,000 since 2026-10-01.
	FreeServiceMessages int `json:"free_service_messages" help:"Messages without a template per number and month that the pricing of statuses shows as free." default:"1000"`
	// InboundRate is the number of messages per second that users write to each number that has been called.
	InboundRate float64 `json:"inbound_rate" help:"Messages per second that users write to each number in use." default:"0"`
	// ReplyRate is the share of accepted messages whose recipients reply after their last status.
	ReplyRate float64 `json:"reply_rate" help:"Share of accepted messages that get a reply." default:"0"`
	// InboundTexts are what users write at InboundRate and ReplyRate, in turn: for example "STOP".
	InboundTexts []string `json:"inbound_texts" help:"Texts that users write, in turn." default:"Thank you!"`
	// InboundMediaRate is the share of these messages that are images instead.
	InboundMediaRate float64 `json:"inbound_media_rate" help:"Share of the messages of users that are images." default:"0"`
	// EnforceWindow refuses messages without a template with 131047, as Meta does, unless the recipient wrote to the
	// number within WindowLength.
	EnforceWindow bool `json:"enforce_window" help:"Refuse messages without a template, with 131047, to users who have not written within the window." default:"false"`
	// WindowLength is the length of the service window. Meta's is 24 hours.
	WindowLength Duration `json:"window_length" help:"How long after their last message users can get messages without a template." default:"24h0m0s"`

	// Seed determines every random choice.
	Seed uint64 `json:"seed" help:"Seed of all random choices." default:"1"`
}

// DefaultControl returns the default settings of a simulator.
func DefaultControl() Control {
	return Control{
		Rate:                 80,
		PairLimit:            PairLimitOff,
		Latency:              Duration(50 * time.Millisecond),
		ErrorCodes:           []int{131000},
		ThrottleStatus:       400,
		WebhookDelay:         Duration(50 * time.Millisecond),
		WebhookBatch:         10,
		WebhookLinger:        Duration(20 * time.Millisecond),
		WebhookConcurrency:   64,
		ReadRate:             1,
		FailAfterAcceptCodes: []int{131026},
		FreeServiceMessages:  1000,
		InboundTexts:         []string{"Thank you!"},
		WindowLength:         Duration(24 * time.Hour),
		Seed:                 1,
	}
}

// Update returns c with its settings replaced by those in data, a JSON object. Settings that are not in data stay
// unchanged, and null restores the value from initial. An unknown name or an invalid value is an error that names it.
// In that case, nothing is updated.
func (c Control) Update(data []byte, initial Control) (Control, error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(data, &given); err != nil {
		return Control{}, fmt.Errorf("settings must be one JSON object: %w", err)
	}
	into := reflect.ValueOf(&c).Elem()
	beginning := reflect.ValueOf(initial)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		i := settingIndex(name)
		if i < 0 {
			return Control{}, fmt.Errorf("unknown setting %q; use any of %s", name, strings.Join(settingNames(), ", "))
		}
		if string(given[name]) == "null" {
			into.Field(i).Set(beginning.Field(i))
			continue
		}
		// Decode into a fresh value, because decoding into the old one would merge maps and write into shared slices.
		fresh := reflect.New(into.Field(i).Type())
		if err := json.Unmarshal(given[name], fresh.Interface()); err != nil {
			return Control{}, fmt.Errorf("setting %q: %w", name, err)
		}
		into.Field(i).Set(fresh.Elem())
	}
	if err := c.validate(); err != nil {
		return Control{}, err
	}
	return c, nil
}

func settingIndex(name string) int { return slices.Index(settingNames(), name) }

func settingNames() []string {
	t := reflect.TypeFor[Control]()
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("json")
	}
	return names
}

func (c Control) validate() error {
	var errs []error
	for name, share := range map[string]float64{
		"error_rate": c.ErrorRate, "drop_response_rate": c.DropResponseRate, "timeout_rate": c.TimeoutRate,
		"empty_5xx_rate": c.Empty5xxRate, "garbled_200_rate": c.Garbled200Rate, "lost_accept_rate": c.LostAcceptRate,
		"webhook_duplicate_rate": c.WebhookDuplicateRate, "webhook_reorder": float64(c.WebhookReorder),
		"webhook_drop_rate": c.WebhookDropRate, "read_rate": c.ReadRate, "fail_after_accept_rate": c.FailAfterAcceptRate,
		"reply_rate": c.ReplyRate, "inbound_media_rate": c.InboundMediaRate,
	} {
		if !(share >= 0 && share <= 1) {
			errs = append(errs, fmt.Errorf("setting %q must be from 0 to 1", name))
		}
	}
	for name, length := range map[string]Duration{
		"latency": c.Latency, "latency_jitter": c.LatencyJitter, "retry_after": c.RetryAfter,
		"webhook_delay": c.WebhookDelay, "webhook_linger": c.WebhookLinger,
	} {
		if length < 0 || length > Duration(time.Hour) {
			errs = append(errs, fmt.Errorf("setting %q must be from 0s to 1h", name))
		}
	}
	for _, rule := range []struct {
		holds bool
		text  string
	}{
		{c.Rate >= 0 && c.Rate <= 1_000_000, `"rate" must be from 0 to 1000000`},
		{c.PairLimit == PairLimitOff || c.PairLimit == PairLimitMeta, `"pair_limit" must be "off" or "meta"`},
		{c.ErrorRate == 0 || len(c.ErrorCodes) > 0, `"error_codes" must not be empty while "error_rate" is above 0`},
		{c.FailAfterAcceptRate == 0 || len(c.FailAfterAcceptCodes) > 0, `"fail_after_accept_codes" must not be empty while "fail_after_accept_rate" is above 0`},
		{c.ThrottleStatus == 400 || c.ThrottleStatus == 429, `"throttle_status" must be 400 or 429`},
		{c.WebhookBatch >= 1 && c.WebhookBatch <= 1000, `"webhook_batch" must be from 1 to 1000`},
		{c.WebhookConcurrency >= 1 && c.WebhookConcurrency <= 1024, `"webhook_concurrency" must be from 1 to 1024`},
		{c.FreeServiceMessages >= 0, `"free_service_messages" must not be negative`},
		{len(c.InboundTexts) > 0, `"inbound_texts" must not be empty`},
		{c.WindowLength >= 0 && c.WindowLength <= Duration(30*24*time.Hour), `"window_length" must be from 0s to 720h`},
		{c.InboundRate >= 0 && c.InboundRate <= 10_000, `"inbound_rate" must be from 0 to 10000`},
	} {
		if !rule.holds {
			errs = append(errs, errors.New("setting "+rule.text))
		}
	}
	if err := validateTemplates(c.Templates); err != nil {
		errs = append(errs, err)
	}
	if err := validateAccount(&c); err != nil {
		errs = append(errs, err)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// Duration is a duration in Go's notation, such as "50ms".
type Duration time.Duration

// MarshalText formats d as time.Duration's String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText parses what time.ParseDuration parses.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("must be a duration such as \"50ms\": %w", err)
	}
	*d = Duration(parsed)
	return nil
}

// Share is a part of a whole, from 0 to 1, which can also be written as false (0) or true (1).
type Share float64

// UnmarshalJSON decodes a number, false, or true.
func (s *Share) UnmarshalJSON(data []byte) error { return s.UnmarshalText(data) }

// UnmarshalText parses a number, "false", or "true".
func (s *Share) UnmarshalText(text []byte) error {
	switch string(text) {
	case "true":
		*s = 1
	case "false":
		*s = 0
	default:
		share, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return errors.New("must be a number from 0 to 1, true, or false")
		}
		*s = Share(share)
	}
	return nil
}

// settings is a Control in the form that calls use: validated, shared, and never changed.
type settings struct {
	Control
	hang, unknown         map[string]bool
	tokens, invalidTokens map[string]bool
	limit                 int                     // messages in a sliding second; 0 means no limit
	templates             map[string]TemplateSpec // by name and language
}

// tolerance is the load at which a number is throttled, in percent of its rate.
const tolerance = 105

func newSettings(c Control) *settings {
	return &settings{
		Control:       c,
		hang:          set(c.HangNumbers),
		unknown:       set(c.UnknownNumbers),
		tokens:        set(c.Tokens),
		invalidTokens: set(c.InvalidTokens),
		limit:         c.Rate * tolerance / 100,
		templates:     byTemplate(c.Templates),
	}
}

func set(list []string) map[string]bool {
	members := make(map[string]bool, len(list))
	for _, member := range list {
		members[member] = true
	}
	return members
}
