package httpapi_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/sender"
)

func accountChange(field string, at int, value string) string {
	return fmt.Sprintf(`{"object":"whatsapp_business_account","entry":[{"id":%q,"time":%d,"changes":[{"field":%q,"value":%s}]}]}`, accountID, at, field, value)
}

// What WhatsApp reports about an account is on its senders before the webhook is acknowledged, and
// once.
func TestReportsAboutAccountsAreRecorded(t *testing.T) {
	p := start(t)
	known := len(p.types(event.SenderStream(senderID)))
	for range 2 {
		for _, body := range []string{
			accountChange("account_update", 1793000002, `{"event":"DISABLED_UPDATE","ban_info":{"waba_ban_state":"DISABLE"}}`),
			accountChange("account_update", 1793000001, `{"event":"DISABLED_UPDATE","ban_info":{"waba_ban_state":"REINSTATE"}}`), // late
			accountChange("business_capability_update", 1793000001, `{"max_daily_conversations_per_business":"TIER_2K"}`),
			accountChange("account_alerts", 1793000001, `{"entity_type":"BUSINESS"}`),
		} {
			p.mustDeliver(body)
		}
	}
	want := []string{"AccountRestricted", "AccountRestored", "MessagingLimitChanged"}
	if got := p.types(event.SenderStream(senderID))[known:]; !slices.Equal(got, want) {
		t.Errorf("recorded %v, want %v", got, want)
	}
	s, err := p.senders.LoadLatest(t.Context(), senderID)
	if err != nil || s.State() != sender.StateHeld || s.Limit.People != 2000 {
		t.Errorf("%s with a limit of %d, %v", s.State(), s.Limit.People, err)
	}
}
