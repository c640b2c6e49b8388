package simulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
)

// request makes a request and returns the response.
func request(t *testing.T, method, url, token, body string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	read, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{got.StatusCode, got.Header, read}
}

// written returns the messages that users wrote, as received, in any order.
func (r *receiver) written(t *testing.T) []string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, body := range r.bodies {
		var hook struct {
			Entry []struct {
				Changes []struct {
					Value struct {
						Contacts []json.RawMessage
						Messages []json.RawMessage
					}
				}
			}
		}
		if err := json.Unmarshal(body, &hook); err != nil {
			t.Fatal(err)
		}
		for _, entry := range hook.Entry {
			for _, change := range entry.Changes {
				for i, m := range change.Value.Messages {
					all = append(all, string(change.Value.Contacts[i])+string(m))
				}
			}
		}
	}
	return all
}

// What a script lets a user write arrives as Meta sends it, and its file can be downloaded with a token.
func TestScriptedInbound(t *testing.T) {
	r := newReceiver(t)
	s := start(t, r.URL, func(c *simulator.Control) { c.InvalidTokens = []string{"bad"} })
	inbound := "http://" + s.Addr() + "/inbound"
	for body, want := range map[string]int{
		`{"phone_number_id":"1","from":"4917","name":"Bea","text":"STOP \"now\""}`:                                                                            200,
		`{"phone_number_id":"1","from":"4917","user_id":"DE.1","type":"image","content":{"caption":"the receipt"},"file":"R0lGODlh","mime_type":"image/gif"}`: 200,
		`{"phone_number_id":"1","user_id":"DE.2","type":"location","content":{"latitude":1}}`:                                                                 200,
		`{"phone_number_id":"1","text":"x"}`:    400,
		`{"from":"4917","text":"x"}`:            400,
		`{"phone_number_id":"1","from":"4917"}`: 400,
		`nothing`:                               400,
	} {
		if a := request(t, http.MethodPost, inbound, "", body); a.status != want {
			t.Errorf("%s: status %d, %s", body, a.status, a.body)
		}
	}
	settle(t, s)
	all := strings.Join(r.written(t), "\n")
	for _, want := range []string{
		`{"profile":{"name":"Bea"},"wa_id":"4917"}`, `,"type":"text","text":{"body":"STOP \"now\""}}`, `"from":"4917"`,
		`"caption":"the receipt"`, `"mime_type":"image/gif"`, `"from":"4917","from_user_id":"DE.1"`,
		`{"profile":{"name":"Ada Example"},"user_id":"DE.2"}`, `"from_user_id":"DE.2"`, `,"location":{"latitude":1},"type":"location"}`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%s is not in\n%s", want, all)
		}
	}
	_, id, _ := strings.Cut(all, `"image":{"caption":"the receipt","id":"`)
	id, _, _ = strings.Cut(id, `"`)
	var about struct{ URL, ID, File_size, Mime_type string } //nolint:revive // as Meta names them
	a := request(t, http.MethodGet, s.URL()+"/"+id, "token", "")
	if err := json.Unmarshal(a.body, &about); err != nil || about.ID != id || about.File_size != "6" || about.Mime_type != "image/gif" {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	if a := request(t, http.MethodGet, about.URL, "token", ""); string(a.body) != "GIF89a" || a.header.Get("Content-Type") != "image/gif" {
		t.Errorf("%d %q %v", a.status, a.body, a.header)
	}
	if a := request(t, http.MethodGet, about.URL, "bad", ""); a.status != http.StatusNotFound {
		t.Errorf("with a bad token: %d", a.status)
	}
}

// People reply in the words of the settings, in turn.
func TestReplies(t *testing.T) {
	r := newReceiver(t)
	s := start(t, r.URL, func(c *simulator.Control) { c.ReplyRate, c.InboundTexts = 1, []string{"Yes", "STOP"} })
	for i := range 4 {
		mustCall(t, s, textTo(to, fmt.Sprint("wp1:m", i, ":1")))
	}
	settle(t, s)
	counts := map[string]int{}
	for _, m := range r.written(t) {
		for _, text := range []string{"Yes", "STOP"} {
			if strings.Contains(m, `"body":"`+text+`"`) {
				counts[text]++
			}
		}
	}
	if counts["Yes"] != 2 || counts["STOP"] != 2 {
		t.Errorf("replies %v", counts)
	}
}

// Outside the window only templates are accepted, and the window is that of one user and one number.
func TestWindowIsEnforced(t *testing.T) {
	r := newReceiver(t)
	s := start(t, r.URL, func(c *simulator.Control) { c.EnforceWindow = true })
	const template = `{"messaging_product":"whatsapp","to":"` + to + `","type":"template","template":{"name":"a","language":{"code":"en"}}}`
	refused := func(when string) {
		t.Helper()
		if a := mustCall(t, s, textTo(to, "")); a.status != http.StatusBadRequest || a.code(t) != 131047 {
			t.Errorf("%s: %d %s", when, a.status, a.body)
		}
	}
	refused("before the user wrote")
	if a := mustCall(t, s, template); a.status != http.StatusOK {
		t.Errorf("a template: %d %s", a.status, a.body)
	}
	write := func(number, from string) {
		t.Helper()
		body := `{"phone_number_id":"` + number + `","from":"` + from + `","text":"Hi"}`
		if a := request(t, http.MethodPost, "http://"+s.Addr()+"/inbound", "", body); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	write("1", "12025550143")
	write(phone, "12025550199")
	refused("after others wrote")
	write(phone, "12025550143")
	if a := mustCall(t, s, textTo(to, "")); a.status != http.StatusOK {
		t.Errorf("in the window: %d %s", a.status, a.body)
	}
	if _, err := s.UpdateControl([]byte(`{"window_length":"1ns"}`)); err != nil {
		t.Fatal(err)
	}
	refused("after the window")
	if _, err := s.UpdateControl([]byte(`{"enforce_window":false}`)); err != nil {
		t.Fatal(err)
	}
	if a := mustCall(t, s, textTo(to, "")); a.status != http.StatusOK {
		t.Errorf("without a window: %d %s", a.status, a.body)
	}
	settle(t, s)
}
