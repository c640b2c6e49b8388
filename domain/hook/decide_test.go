package hook_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/hook"
)

func TestDisabledAndEnabledOnce(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	enabled := hook.Hook{}.Apply(hook.Registered{Spec: hook.Spec{URL: "https://example.com"}, SecretID: "1"}, at)
	disabled := enabled.Apply(hook.Disabled{Reason: "maintenance"}, at)
	for name, c := range map[string]struct{ got, want []domain.Event }{
		"disable":            {hook.Disable(enabled, "maintenance"), []domain.Event{hook.Disabled{Reason: "maintenance"}}},
		"disable again":      {hook.Disable(disabled, "other"), nil},
		"auto-disable":       {hook.AutoDisable(enabled, "timeout"), []domain.Event{hook.Disabled{Reason: "timeout", GivenUp: true}}},
		"auto-disable again": {hook.AutoDisable(disabled, "timeout"), nil},
		"enable":             {hook.Enable(disabled), []domain.Event{hook.Enabled{}}},
		"enable again":       {hook.Enable(enabled), nil},
		"auto-disable, long reason": {
			hook.AutoDisable(enabled, strings.Repeat("x", domain.MaxReason+1)),
			[]domain.Event{hook.Disabled{Reason: strings.Repeat("x", domain.MaxReason), GivenUp: true}},
		},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, c.got, c.want)
		}
	}
}
