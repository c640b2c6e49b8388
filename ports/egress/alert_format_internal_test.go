package egress

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/alert"
)

// anAlert returns an alert right after a transition.
func anAlert(transition string) query.Alert {
	raised := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	a := query.Alert{
		ID: uuid.MustParse("0193a3c2-7c1e-7a57-9a51-0a1b2c3d4e5f"), At: raised, Alert: alert.Alert{
			Rule: "error-rate", Kind: alert.ErrorRate, Severity: alert.Critical, State: alert.Raised, Sender: "shop",
			Summary: "5% of <messages> & more fail", Value: 0.05, Threshold: 0.02, Explanation: []string{"5 of 100", "code 131026: 5"}, RaisedAt: raised,
		},
	}
	if transition == "acknowledged" {
		a.State, a.AcknowledgedAt, a.Note = alert.Acknowledged, raised.Add(time.Minute), "on it"
		a.AcknowledgedBy = domain.Actor{Kind: domain.ActorKey, ID: "key-7"}
	}
	if transition == "resolved" {
		a.State, a.ResolvedAt = alert.Resolved, raised.Add(90*time.Second)
	}
	return a
}

// TestAlertFormats compares the three formats with the bodies that the receivers document.
func TestAlertFormats(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format     AlertFormat
		transition string
		want       string
	}{
		{FormatWaypost, "raised", `{"type":"alert.raised","timestamp":"2026-03-01T09:00:00Z","data":{"id":"0193a3c2-7c1e-7a57-9a51-0a1b2c3d4e5f","kind":"ERROR_RATE","severity":"CRITICAL","state":"RAISED","senderId":"shop","summary":"5% of <messages> & more fail","value":0.05,"threshold":0.02,"explanation":["5 of 100","code 131026: 5"],"raisedAt":"2026-03-01T09:00:00Z"}}`},
		{FormatWaypost, "acknowledged", `{"type":"alert.acknowledged","timestamp":"2026-03-01T09:00:00Z","data":{"id":"0193a3c2-7c1e-7a57-9a51-0a1b2c3d4e5f","kind":"ERROR_RATE","severity":"CRITICAL","state":"ACKNOWLEDGED","senderId":"shop","summary":"5% of <messages> & more fail","value":0.05,"threshold":0.02,"explanation":["5 of 100","code 131026: 5"],"raisedAt":"2026-03-01T09:00:00Z","acknowledgedAt":"2026-03-01T09:01:00Z","acknowledgedBy":{"kind":"KEY","id":"key-7"},"note":"on it"}}`},
		{FormatSlack, "raised", `{"text":"CRITICAL ERROR_RATE raised: 5% of &lt;messages&gt; &amp; more fail","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"*CRITICAL ERROR_RATE raised*\n5% of &lt;messages&gt; &amp; more fail"}},{"type":"context","elements":[{"type":"mrkdwn","text":"5 of 100\ncode 131026: 5\nalert 0193a3c2-7c1e-7a57-9a51-0a1b2c3d4e5f"}]}]}`},
		{FormatSlack, "acknowledged", `{"text":"CRITICAL ERROR_RATE acknowledged: 5% of &lt;messages&gt; &amp; more fail","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"*CRITICAL ERROR_RATE acknowledged*\n5% of &lt;messages&gt; &amp; more fail"}},{"type":"context","elements":[{"type":"mrkdwn","text":"by KEY key-7\non it\nalert 0193a3c2-7c1e-7a57-9a51-0a1b2c3d4e5f"}]}]}`},
		{FormatSlack, "resolved", `{"text":"CRITICAL ERROR_RATE resolved: 5% of &lt;messages&gt; &amp; more fail","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"*CRITICAL ERROR_RATE resolved*\n5% of &lt;messages&gt; &amp; more fail"}},{"type":"context","elements":[{"type":"mrkdwn","text":"after 1 min 30 s\nalert 0193a3c2-7c1e-7a57-9a51-0a1b2c3d4e5f"}]}]}`},
		{FormatPagerDuty, "raised", `{"routing_key":"R0UT1NG\"KEY","event_action":"trigger","dedup_key":"0193a3c2-7c1e-7a57-9a51-0a1b2c3d4e5f","client":"Waypost","payload":{"summary":"5% of <messages> & more fail","source":"waypost","severity":"critical","timestamp":"2026-03-01T09:00:00Z","component":"shop","class":"ERROR_RATE","custom_details":{"id":"0193a3c2-7c1e-7a57-9a51-0a1b2c3d4e5f","kind":"ERROR_RATE","severity":"CRITICAL","state":"RAISED","senderId":"shop","summary":"5% of <messages> & more fail","value":0.05,"threshold":0.02,"explanation":["5 of 100","code 131026: 5"],"raisedAt":"2026-03-01T09:00:00Z"}}}`},
		{FormatPagerDuty, "acknowledged", `{"routing_key":"R0UT1NG\"KEY","event_action":"acknowledge","dedup_key":"0193a3c2-7c1e-7a57-9a51-0a1b2c3d4e5f","client":"Waypost"}`},
		{FormatPagerDuty, "resolved", `{"routing_key":"R0UT1NG\"KEY","event_action":"resolve","dedup_key":"0193a3c2-7c1e-7a57-9a51-0a1b2c3d4e5f","client":"Waypost"}`},
	} {
		body, err := c.format.encode(c.transition, anAlert(c.transition))
		if err == nil {
			body, err = c.format.seal(body, `R0UT1NG"KEY`)
		}
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%s %s: %v: %s", c.format, c.transition, err, body)
		}
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		if g, w := encoded(t, got), encoded(t, want); g != w {
			t.Errorf("%s %s:\n%s\nwant\n%s", c.format, c.transition, g, w)
		}
	}
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhatIsTooLongForAReceiverIsCut(t *testing.T) {
	t.Parallel()
	a := anAlert("raised")
	a.Summary = strings.Repeat("ü", 2*maxBlock)
	if n := len([]rune(newPagerDutyEvent("raised", a).Payload.Summary)); n != maxSummary {
		t.Errorf("PagerDuty's summary has %d characters, want %d", n, maxSummary)
	}
	if n := len([]rune(newSlackMessage("raised", a).Blocks[0].Text.Text)); n != maxBlock {
		t.Errorf("Slack's text has %d characters, want %d", n, maxBlock)
	}
}
