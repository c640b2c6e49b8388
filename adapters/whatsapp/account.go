package whatsapp

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/domain/sender"
)

// The fields with reports about accounts and numbers. They are also kept as received.
const (
	fieldAccount      = "account_update"
	fieldQuality      = "phone_number_quality_update"
	fieldCapabilities = "business_capability_update"
)

// highThroughput is what an upgrade allows a number, in messages per second.
// Source: Meta's page on throughput.
const highThroughput = 1000

// peopleLimit is a messaging limit as a number, or as the name of a tier such as TIER_2K.
type peopleLimit struct{ *sender.Limit }

// UnmarshalJSON decodes any value. What is not a limit results in none.
func (l *peopleLimit) UnmarshalJSON(data []byte) error {
	l.Limit = limitOf(strings.Trim(string(data), `"`))
	return nil
}

// limitOf parses a limit: a number, or a word such as TIER_1K. It returns nil if the text is neither.
func limitOf(s string) *sender.Limit {
	tier := strings.TrimPrefix(strings.ToUpper(s), "TIER_")
	if tier == "UNLIMITED" || tier == "-1" { // -1 is Meta's older form
		return &sender.Limit{Unlimited: true}
	}
	digits, inThousands := strings.CutSuffix(tier, "K")
	people, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || people <= 0 {
		return nil
	}
	if inThousands {
		people *= 1000
	}
	return &sender.Limit{People: int(people)}
}

// accountReports returns what a change says about the numbers of a business account. Most fields say nothing.
// Sources: Meta's references of the three webhook fields, September 2026.
func accountReports(account, field string, value json.RawMessage, at time.Time) []sender.Report {
	switch field {
	case fieldAccount:
		return accountUpdate(account, value, at)
	case fieldQuality:
		return qualityUpdate(account, value, at)
	case fieldCapabilities:
		var v struct {
			Limit peopleLimit `json:"max_daily_conversations_per_business"`
		}
		if json.Unmarshal(value, &v) == nil && v.Limit.Limit != nil {
			return []sender.Report{{BusinessAccountID: account, At: at, Limit: v.Limit.Limit}}
		}
	}
	return nil
}

func qualityUpdate(account string, value json.RawMessage, at time.Time) []sender.Report {
	var v struct {
		Display text        `json:"display_phone_number"`
		Event   text        `json:"event"`
		Limit   peopleLimit `json:"max_daily_conversations_per_business"`
		Current peopleLimit `json:"current_limit"` // the older name
	}
	if json.Unmarshal(value, &v) != nil {
		return nil
	}
	var reports []sender.Report
	number := sender.Report{BusinessAccountID: account, DisplayPhoneNumber: string(v.Display), At: at}
	switch v.Event {
	case "FLAGGED":
		number.Quality = sender.QualityRed
	case "UNFLAGGED": // it is not low any longer, and may be medium or high
		number.Quality = sender.QualityUnknown
	case "THROUGHPUT_UPGRADE":
		number.Throughput = highThroughput
	}
	if v.Display != "" && (number.Quality != "" || number.Throughput > 0) {
		reports = append(reports, number)
	}
	if v.Limit.Limit == nil {
		v.Limit = v.Current
	}
	if v.Limit.Limit != nil { // all numbers share it, since October 2025
		reports = append(reports, sender.Report{BusinessAccountID: account, At: at, Limit: v.Limit.Limit})
	}
	return reports
}

func accountUpdate(account string, value json.RawMessage, at time.Time) []sender.Report {
	var v struct {
		Event  text `json:"event"`
		Number text `json:"phone_number"`
		WABA   struct {
			ID text `json:"waba_id"`
		} `json:"waba_info"`
		Ban struct {
			State text `json:"waba_ban_state"`
		} `json:"ban_info"`
		Restrictions *[]struct {
			Type       text    `json:"restriction_type"`
			Expiration instant `json:"expiration"`
			Remedy     string  `json:"remediation"`
		} `json:"restriction_info"`
	}
	if json.Unmarshal(value, &v) != nil {
		return nil
	}
	if v.WABA.ID != "" { // the entry is about the portfolio then
		account = string(v.WABA.ID)
	}
	r := sender.Report{BusinessAccountID: account, DisplayPhoneNumber: string(v.Number), At: at}
	restrict := func(kind string, until time.Time, remedy string) {
		if kind != "" {
			r.Restrictions = append(r.Restrictions, sender.Restriction{Type: kind, At: at, Until: until, Remedy: prose(remedy)})
		}
	}
	switch v.Event + " " + v.Ban.State {
	case "ACCOUNT_RESTRICTION ":
		if v.Restrictions == nil {
			return nil
		}
		for _, n := range *v.Restrictions {
			restrict(string(n.Type), n.Expiration.Time, n.Remedy)
		}
		r.AllRestored = len(*v.Restrictions) == 0
	case "DISABLED_UPDATE DISABLE":
		restrict(sender.RestrictionDisabled, time.Time{}, "")
	case "DISABLED_UPDATE SCHEDULE_FOR_DISABLE":
		restrict(sender.RestrictionScheduled, time.Time{}, "")
	case "DISABLED_UPDATE REINSTATE":
		r.AllRestored = true
	case "ACCOUNT_DELETED ":
		restrict(sender.RestrictionDeleted, time.Time{}, "")
	case "ACCOUNT_OFFBOARDED ":
		restrict(sender.RestrictionOffboarded, time.Time{}, "")
	case "ACCOUNT_RECONNECTED ":
		r.Restored = []string{sender.RestrictionOffboarded}
	}
	if len(r.Restrictions) == 0 && len(r.Restored) == 0 && !r.AllRestored {
		return nil
	}
	return []sender.Report{r}
}
