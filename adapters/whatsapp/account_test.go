package whatsapp_test

import (
	"testing"

	"github.com/waypost/waypost/domain/sender"
)

func TestMessagingLimits(t *testing.T) {
	t.Parallel()
	rows := table(t)
	unlimited := sender.Limit{Unlimited: true}
	for given, want := range map[string]sender.Limit{
		`250`: {People: 250}, `"250"`: {People: 250}, `"TIER_50"`: {People: 50}, `"TIER_250"`: {People: 250},
		`"TIER_1K"`: {People: 1000}, `"TIER_2K"`: {People: 2000}, `"tier_10k"`: {People: 10_000}, `"TIER_100K"`: {People: 100_000},
		`"TIER_UNLIMITED"`: unlimited, `-1`: unlimited, `"-1"`: unlimited,
		`0`: {}, `"TIER_NOT_SET"`: {}, `"TIER_UNTIERED"`: {}, `null`: {}, `""`: {}, `{}`: {}, `"TIER_K"`: {}, `99999999999999999999`: {}, `-2`: {},
	} {
		d := rows.ParseWebhook([]byte(`{"object":"whatsapp_business_account","entry":[{"id":"1","time":1793000000,"changes":[
			{"field":"business_capability_update","value":{"max_daily_conversations_per_business":` + given + `}}]}]}`))
		var got sender.Limit
		for _, r := range d.Accounts {
			got = *r.Limit
		}
		if got != want || len(d.Accounts) > 0 && got == (sender.Limit{}) {
			t.Errorf("%s is %+v, want %+v", given, got, want)
		}
	}
}
