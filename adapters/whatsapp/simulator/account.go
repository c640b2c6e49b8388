package simulator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// limitPeriod is the time in which a messaging limit counts people.
	// Source: Meta's page on messaging limits.
	limitPeriod = 24 * time.Hour
	// unlimited is the name of the largest messaging limit, and the number that webhooks reported for it.
	unlimited         = "TIER_UNLIMITED"
	unlimitedReported = -1

	qualityGreen = "GREEN"
	qualityRed   = "RED"
	// highRate is the throughput of a number with the level HIGH, in messages per second.
	highRate = 1000

	restrictedBusinessInitiated = "RESTRICTED_BIZ_INITIATED_MESSAGING"
	restrictedUserInitiated     = "RESTRICTED_CUSTOMER_INITIATED_MESSAGING"
	restrictedUtility           = "RESTRICTED_UTILITY_TEMPLATES"

	// codeRestricted is the error of a call that a restriction forbids, and codeLimit that of one to a person beyond the
	// messaging limit. Meta documents neither, so they are the closest ones that it documents.
	codeRestricted = 368
	codeLimit      = 131048
)

// validateAccount checks the settings about the business account.
func validateAccount(c *Control) error {
	if c.MessagingLimit < 0 || c.MessagingLimit > 100_000 {
		return fmt.Errorf(`setting "messaging_limit" must be from 0 to 100000`)
	}
	for id, quality := range c.Qualities {
		if !slices.Contains([]string{qualityGreen, "YELLOW", qualityRed}, quality) {
			return fmt.Errorf(`setting "qualities" of %q must be GREEN, YELLOW, or RED`, id)
		}
	}
	known := []string{restrictedBusinessInitiated, restrictedUserInitiated, restrictedUtility}
	for _, kind := range c.Restrictions {
		if !slices.Contains(known, kind) {
			return fmt.Errorf(`setting "restrictions" must have only %s`, strings.Join(known, ", "))
		}
	}
	return nil
}

func (set *settings) quality(id string) string { return orElse(set.Qualities[id], qualityGreen) }

func (set *settings) throughput(id string) string {
	if set.Rate >= highRate || slices.Contains(set.HighThroughput, id) {
		return "HIGH"
	}
	return "STANDARD"
}

func (set *settings) messagingLimit() string {
	switch n := set.MessagingLimit; {
	case n == 0:
		return unlimited
	case n%1000 == 0:
		return fmt.Sprintf("TIER_%dK", n/1000)
	default:
		return fmt.Sprintf("TIER_%d", n)
	}
}

// restricts reports whether a restriction forbids a message.
func (set *settings) restricts(t *template) bool {
	for _, kind := range set.Restrictions {
		switch {
		case kind == restrictedBusinessInitiated && t != nil, kind == restrictedUserInitiated && t == nil:
			return true
		case kind == restrictedUtility && t != nil && t.Language != nil:
			if known, ok := set.templates[t.Name+"/"+t.Language.Code]; ok && known.category() == "UTILITY" {
				return true
			}
		}
	}
	return false
}

// accountChanges returns what webhooks report when the settings before become those after.
func accountChanges(before, after *settings) []change {
	var changes []change
	if before.MessagingLimit != after.MessagingLimit {
		people := after.MessagingLimit
		if people == 0 {
			people = unlimitedReported
		}
		changes = append(changes, change{"business_capability_update", map[string]any{"max_daily_conversations_per_business": people}})
	}
	numbers := make(map[string]bool)
	for _, ids := range [][]string{
		slices.Collect(maps.Keys(before.Qualities)), slices.Collect(maps.Keys(after.Qualities)), before.HighThroughput, after.HighThroughput,
	} {
		for _, id := range ids {
			numbers[id] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(numbers)) {
		report := func(event string) {
			changes = append(changes, change{"phone_number_quality_update", map[string]any{
				"display_phone_number": displayNumber(id), "event": event, "max_daily_conversations_per_business": after.messagingLimit(),
			}})
		}
		switch was, is := before.quality(id) == qualityRed, after.quality(id) == qualityRed; {
		case is && !was:
			report("FLAGGED")
		case was && !is:
			report("UNFLAGGED")
		}
		if before.throughput(id) == "STANDARD" && after.throughput(id) == "HIGH" {
			report("THROUGHPUT_UPGRADE")
		}
	}
	if !slices.Equal(before.Restrictions, after.Restrictions) {
		restrictions := make([]map[string]any, len(after.Restrictions))
		for i, kind := range after.Restrictions {
			restrictions[i] = map[string]any{"restriction_type": kind, "expiration": time.Now().Add(limitPeriod).Unix()}
		}
		changes = append(changes, change{"account_update", map[string]any{"event": "ACCOUNT_RESTRICTION", "restriction_info": restrictions}})
	}
	return changes
}

// people are those who count toward the messaging limit, over all numbers.
type people struct {
	mu sync.Mutex
	at map[string]time.Duration // time of the latest message that counts
}

// admit counts a person, and reports whether the limit allows that.
func (p *people) admit(to recipient, now time.Duration, limit int) bool {
	person := to.user
	if to.waID != "" {
		person = UserID(to.waID)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, counted := p.at[person]; !counted && len(p.at) >= limit {
		maps.DeleteFunc(p.at, func(_ string, at time.Duration) bool { return now-at >= limitPeriod })
		if len(p.at) >= limit {
			return false
		}
	}
	if p.at == nil {
		p.at = make(map[string]time.Duration)
	}
	p.at[person] = now
	return true
}
