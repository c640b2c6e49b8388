package simulator_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
)

// People who are known by a user ID alone are reported without a number, and with one once the business wrote to it.
func TestUserIDs(t *testing.T) {
	r := newReceiver(t)
	s := start(t, r.URL, func(c *simulator.Control) { c.UserIDs = true; c.ReadRate = 0; c.WebhookBatch = 100 })
	last := func() string {
		settle(t, s)
		r.mu.Lock()
		defer r.mu.Unlock()
		all := string(bytes.Join(r.bodies, nil))
		r.bodies = nil
		return all
	}
	user := simulator.UserID(to[1:])
	message := func(user, callback string) string {
		return fmt.Sprintf(`{"messaging_product":"whatsapp","recipient":%q,"type":"text","text":{"body":"Hello"},"biz_opaque_callback_data":%q}`, user, callback)
	}
	a := mustCall(t, s, message(user, "wp1:m1:1"))
	contains(t, string(a.body), fmt.Sprintf(`"contacts":[{"input":%q,"user_id":%q}]`, user, user))
	hidden := last()
	contains(t, hidden, fmt.Sprintf(`"contacts":[{"profile":{"name":"Ada Example"},"user_id":%q}]`, user))
	contains(t, hidden, fmt.Sprintf(`"recipient_user_id":%q`, user))
	if strings.Contains(hidden, `"recipient_id"`) {
		t.Errorf("a number is reported: %s", hidden)
	}
	a = mustCall(t, s, textTo(to, "wp1:m2:1"))
	contains(t, string(a.body), fmt.Sprintf(`"wa_id":%q`, to[1:]))
	contains(t, last(), fmt.Sprintf(`"recipient_id":%q,"recipient_user_id":%q`, to[1:], user))
	mustCall(t, s, message(user, "wp1:m3:1"))
	contains(t, last(), fmt.Sprintf(`"wa_id":%q,"user_id":%q`, to[1:], user))
}

// A user ID in to is refused. Meta sometimes accepts such a message and drops it.
func TestAUserIDInTo(t *testing.T) {
	r := newReceiver(t)
	s := start(t, r.URL, nil)
	user := simulator.UserID(to[1:])
	if code := mustCall(t, s, textTo(user, "wp1:m1:1")).code(t); code != 100 {
		t.Errorf("refused with %d", code)
	}
	c := s.Control()
	c.DropUserIDsInTo = true
	if err := s.SetControl(c); err != nil {
		t.Fatal(err)
	}
	if a := mustCall(t, s, textTo(user, "wp1:m2:1")); a.status != 200 {
		t.Errorf("response %d: %s", a.status, a.body)
	}
	settle(t, s)
	if got := r.of("wp1:m2:1"); len(got) > 0 {
		t.Errorf("the message got the statuses %v", got)
	}
}

func contains(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("%s is not in %s", part, text)
	}
}
