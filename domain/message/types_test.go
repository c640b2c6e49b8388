package message_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/waypost/waypost/domain/message"
)

func TestPrioritiesRank(t *testing.T) {
	t.Parallel()
	for rank, p := range message.Priorities() {
		if p.Rank() != rank || !p.Valid() {
			t.Errorf("%s: rank %d, valid %t; want rank %d", p, p.Rank(), p.Valid(), rank)
		}
	}
	if p := message.Priority("otp"); p.Valid() || p.Rank() != 2 {
		t.Errorf("unknown priority: rank %d, valid %t; want the last and invalid", p.Rank(), p.Valid())
	}
}

func TestAmbiguityPolicies(t *testing.T) {
	t.Parallel()
	for policy, want := range map[message.AmbiguityPolicy]bool{"RESEND": true, "DEAD_LETTER": true, "": false, "resend": false} {
		if policy.Valid() != want {
			t.Errorf("%q valid: %t, want %t", policy, policy.Valid(), want)
		}
	}
}

func labels(n int) []message.Label {
	all := make([]message.Label, n)
	for i := range all {
		all[i] = message.Label{Name: fmt.Sprintf("name %d", i), Value: "v"}
	}
	return all
}

func TestValidateLabels(t *testing.T) {
	t.Parallel()
	for name, good := range map[string][]message.Label{
		"none":          nil,
		"twenty":        labels(20),
		"at the limits": {{Name: strings.Repeat("é", 64), Value: strings.Repeat("é", 256)}},
		"empty value":   {{Name: "a"}},
	} {
		if err := message.ValidateLabels(good); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	rejects(t, message.ValidateLabels(labels(21)), "labels", "21")
	rejects(t, message.ValidateLabels([]message.Label{{Value: "v"}}), "labels.0.name", "empty")
	rejects(t, message.ValidateLabels([]message.Label{{Name: strings.Repeat("a", 65)}}), "labels.0.name", "65")
	rejects(t, message.ValidateLabels([]message.Label{{Name: "a"}, {Name: "b", Value: strings.Repeat("a", 257)}}), "labels.1.value", "257")
	rejects(t, message.ValidateLabels([]message.Label{{Name: "a"}, {Name: "b"}, {Name: "a"}}), "labels.2.name", "twice")
}

func TestLabelJSON(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(message.Label{Name: "campaign", Value: "spring"})
	if want := `{"name":"campaign","value":"spring"}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

func TestValidateIdempotencyKey(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "order 4471/confirmation", strings.Repeat("ß", 128)} {
		if err := message.ValidateIdempotencyKey(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, c := range []struct{ key, want string }{
		{"", "empty"}, {strings.Repeat("a", 129), "129"}, {"a\nb", "U+000A at character 2"}, {"\x7f", "U+007F at character 1"}, {"a\u0085", "control"}, {"\xff", "UTF-8"},
	} {
		rejects(t, message.ValidateIdempotencyKey(c.key), "idempotencyKey", c.want)
	}
}
