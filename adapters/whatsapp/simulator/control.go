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
	// PairLimitOff lets any number of messages go to one recipient.
	PairLimitOff = "off"
	// PairLimitMeta allows one message in 6 s to each recipient, and 45 at once borrowed from the future.
	PairLimitMeta = "meta"
)

// Control holds everything about the simulator that can be changed while it runs. Shares are from 0 to 1.
// The names in JSON are those of PUT /control; the other tags serve command-line flags.
type Control struct {
	// Rate is the throughput of each number in messages per second. Above Rate × 1.05 in a sliding second,
	// inbound messages included, a call is answered 130429. 0 means no limit.
	Rate int `json:"rate" help:"Messages a second of each number; above 1.05 times that a call is answered 130429. 0: no limit." default:"80"`
	// PairLimit is PairLimitOff or PairLimitMeta.
	PairLimit string `json:"pair_limit" help:"Limit for one recipient: off, or meta (1 in 6 s, bursts of 45)." default:"off" enum:"off,meta"`
	// Latency is how long an answer takes.
	Latency Duration `json:"latency" help:"How long an answer takes." default:"50ms"`
	// LatencyJitter moves each latency by a uniform random amount up to this, either way.
	LatencyJitter Duration `json:"latency_jitter" help:"Random part of the latency, either way." default:"0s"`

	// ErrorRate is the share of calls answered with one of ErrorCodes.
	ErrorRate float64 `json:"error_rate" help:"Share of calls answered with one of the error codes." default:"0"`
	// ErrorCodes are the codes ErrorRate picks from, all alike.
	ErrorCodes []int `json:"error_codes" help:"Error codes to pick from." default:"131000"`
	// DropResponseRate is the share of calls that are accepted and whose connection is then cut.
	DropResponseRate float64 `json:"drop_response_rate" help:"Share of calls accepted and then cut." default:"0"`
	// TimeoutRate is the share of calls that are never answered. See LostAcceptRate.
	TimeoutRate float64 `json:"timeout_rate" help:"Share of calls never answered." default:"0"`
	// Empty5xxRate is the share of calls answered 502 without a body. See LostAcceptRate.
	Empty5xxRate float64 `json:"empty_5xx_rate" name:"empty-5xx-rate" help:"Share of calls answered 502 without a body." default:"0"`
	// Garbled200Rate is the share of calls that are accepted and answered 200 with half a body.
	Garbled200Rate float64 `json:"garbled_200_rate" name:"garbled-200-rate" help:"Share of calls accepted and answered 200 with a truncated body." default:"0"`
	// LostAcceptRate is the share of the calls hit by TimeoutRate or Empty5xxRate that were accepted all the same.
	LostAcceptRate float64 `json:"lost_accept_rate" help:"Share of the timed-out and empty 5xx calls that were accepted all the same." default:"0"`
	// HangNumbers are phone number ids whose calls are never answered nor accepted.
	HangNumbers []string `json:"hang_numbers" help:"Phone number ids whose calls hang." `

	// Tokens are the access tokens that are valid. Empty: any token is, unless it is in InvalidTokens.
	Tokens []string `json:"tokens" help:"Valid access tokens; none given: any is valid."`
	// InvalidTokens are answered 190.
	InvalidTokens []string `json:"invalid_tokens" help:"Access tokens answered 190."`
	// UnknownNumbers are phone number ids answered 100 with subcode 33: no such object.
	UnknownNumbers []string `json:"unknown_numbers" help:"Phone number ids that do not exist."`
	// FailNumbers answers every message of a phone number id with an error code; its health stays AVAILABLE.
	FailNumbers map[string]int `json:"fail_numbers" help:"Phone number ids and the error code each of their calls is answered with."`
	// BlockedNumbers is like FailNumbers, and the health query says BLOCKED with that code.
	BlockedNumbers map[string]int `json:"blocked_numbers" help:"As fail-numbers, and the health query says BLOCKED."`
	// FailRecipients answers every message to a recipient (digits alone) with an error code.
	FailRecipients map[string]int `json:"fail_recipients" help:"Recipients, in digits, and the error code of messages to them."`
	// FailTemplates answers every message with the template of that name with an error code.
	FailTemplates map[string]int `json:"fail_templates" help:"Template names and the error code of messages with them."`
	// ThrottleStatus is the HTTP status of throttling errors: 400 as documented, or 429 as some proxies do.
	ThrottleStatus int `json:"throttle_status" help:"HTTP status of throttling errors: 400 or 429." default:"400"`
	// RetryAfter is sent as Retry-After, in whole seconds rounded up, with throttling errors. 0: not at all, as Meta.
	RetryAfter Duration `json:"retry_after" help:"Retry-After of throttling errors; 0s: none." default:"0s"`

	// WebhookURL receives the webhooks. Empty: none are made.
	WebhookURL string `json:"webhook_url" kong:"-"`
	// WebhookDelay passes before the sent status, again before delivered, and again before read.
	WebhookDelay Duration `json:"webhook_delay" help:"Time before the sent status, and between the statuses." default:"50ms"`
	// WebhookBatch is the most updates in one webhook, 1 to 1000.
	WebhookBatch int `json:"webhook_batch" help:"Most updates in one webhook." default:"10"`
	// WebhookLinger is how long an update may wait for others to fill a batch.
	WebhookLinger Duration `json:"webhook_linger" help:"How long an update waits for its batch to fill." default:"20ms"`
	// WebhookConcurrency is the most webhooks under way at once, 1 to 1024.
	WebhookConcurrency int `json:"webhook_concurrency" help:"Most webhooks under way at once." default:"64"`
	// WebhookDuplicateRate is the share of updates that come a second time, up to 2 s later.
	WebhookDuplicateRate float64 `json:"webhook_duplicate_rate" help:"Share of updates sent twice." default:"0"`
	// WebhookReorder is the share of messages whose statuses come in random order; true means all.
	WebhookReorder Share `json:"webhook_reorder" help:"Share of messages whose statuses come in random order; true: all." default:"0"`
	// WebhookDropRate is the share of updates that are never sent.
	WebhookDropRate float64 `json:"webhook_drop_rate" help:"Share of updates never sent." default:"0"`
	// ReadRate is the share of delivered messages that are read.
	ReadRate float64 `json:"read_rate" help:"Share of delivered messages that are read." default:"1"`
	// FailAfterAcceptRate is the share of accepted messages that get the one status failed.
	FailAfterAcceptRate float64 `json:"fail_after_accept_rate" help:"Share of accepted messages whose status is failed." default:"0"`
	// FailAfterAcceptCodes are the codes FailAfterAcceptRate picks from, all alike.
	FailAfterAcceptCodes []int `json:"fail_after_accept_codes" help:"Error codes of failed statuses." default:"131026"`
	// InboundRate is how many messages a second users write to each number that has been called.
	InboundRate float64 `json:"inbound_rate" help:"Messages a second that users write to each number in use." default:"0"`

	// Seed decides every random choice.
	Seed uint64 `json:"seed" help:"Seed of every random choice." default:"1"`
}

// DefaultControl returns the settings a simulator has when nothing else is asked for.
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
		Seed:                 1,
	}
}

// Update returns c with the settings in data, a JSON object, put in place of its own. A setting that is not
// named stays, null brings back what initial has, and a name that is unknown or a value that is not allowed is an
// error that names it; then nothing of the update holds.
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
			return Control{}, fmt.Errorf("unknown setting %q; there are %s", name, strings.Join(settingNames(), ", "))
		}
		if string(given[name]) == "null" {
			into.Field(i).Set(beginning.Field(i))
			continue
		}
		// A fresh value, since decoding into the old one would merge maps and write into shared slices.
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
		{c.InboundRate >= 0 && c.InboundRate <= 10_000, `"inbound_rate" must be from 0 to 10000`},
	} {
		if !rule.holds {
			errs = append(errs, errors.New("setting "+rule.text))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// Duration is a length of time written as Go writes it, such as "50ms".
type Duration time.Duration

// MarshalText writes d as time.Duration's String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("want a duration such as \"50ms\": %w", err)
	}
	*d = Duration(parsed)
	return nil
}

// Share is a part of a whole, from 0 to 1, that may also be given as false (0) or true (1).
type Share float64

// UnmarshalJSON reads a number, false or true.
func (s *Share) UnmarshalJSON(data []byte) error { return s.UnmarshalText(data) }

// UnmarshalText reads a number, "false" or "true".
func (s *Share) UnmarshalText(text []byte) error {
	switch string(text) {
	case "true":
		*s = 1
	case "false":
		*s = 0
	default:
		share, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return errors.New("want a share from 0 to 1, or true or false")
		}
		*s = Share(share)
	}
	return nil
}

// settings is a Control in the form that calls look at: checked, shared by all and never changed.
type settings struct {
	Control
	hang, unknown         map[string]bool
	tokens, invalidTokens map[string]bool
	limit                 int // messages in a sliding second; 0: none
}

// tolerance is how far a number may go before it is throttled, in percent of its rate.
const tolerance = 105

func newSettings(c Control) *settings {
	return &settings{
		Control:       c,
		hang:          set(c.HangNumbers),
		unknown:       set(c.UnknownNumbers),
		tokens:        set(c.Tokens),
		invalidTokens: set(c.InvalidTokens),
		limit:         c.Rate * tolerance / 100,
	}
}

func set(list []string) map[string]bool {
	members := make(map[string]bool, len(list))
	for _, member := range list {
		members[member] = true
	}
	return members
}
