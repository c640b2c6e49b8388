package whatsapp

import (
	"encoding/json"
	"testing"

	"github.com/waypost/waypost/domain/sender"
)

func TestMessagingLimits(t *testing.T) {
	t.Parallel()
	unlimited := sender.Limit{Unlimited: true}
	for given, want := range map[string]sender.Limit{
		`250`: {People: 250}, `"250"`: {People: 250}, `"TIER_50"`: {People: 50}, `"TIER_250"`: {People: 250},
		`"TIER_1K"`: {People: 1000}, `"TIER_2K"`: {People: 2000}, `"tier_10k"`: {People: 10_000}, `"TIER_100K"`: {People: 100_000},
		`"TIER_UNLIMITED"`: unlimited, `-1`: unlimited, `"-1"`: unlimited,
		`0`: {}, `"TIER_NOT_SET"`: {}, `"TIER_UNTIERED"`: {}, `null`: {}, `""`: {}, `{}`: {}, `"TIER_K"`: {}, `99999999999999999999`: {}, `-2`: {},
	} {
		var got peopleLimit
		if err := json.Unmarshal([]byte(given), &got); err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		if got.Limit == nil {
			got.Limit = &sender.Limit{}
		}
		if *got.Limit != want {
			t.Errorf("%s is %+v, want %+v", given, *got.Limit, want)
		}
	}
}
