package whatsapp_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/domain/message"
)

func table(t testing.TB) *whatsapp.ErrorTable {
	t.Helper()
	rows, err := whatsapp.LoadErrorTable()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestErrorTable(t *testing.T) {
	rows := table(t)
	if n := len(rows.Rows()); n < 244 {
		t.Errorf("the table has %d rows", n)
	}
	one := 1
	for _, tc := range []struct {
		code    int
		subcode *int
		class   message.Class
		cat     message.Category
		scope   message.ThrottleScope
	}{
		{0, nil, message.ClassSender, message.CategoryAuth, ""},
		{190, nil, message.ClassSender, message.CategoryAuth, ""},
		{190, &one, message.ClassSender, message.CategoryAuth, ""},
		{3, nil, message.ClassSender, message.CategoryAuth, ""},
		{200, nil, message.ClassSender, message.CategoryAuth, ""},
		{206, nil, message.ClassSender, message.CategoryAuth, ""},
		{299, nil, message.ClassSender, message.CategoryAuth, ""},
		{200005, nil, message.ClassPermanent, message.CategoryTemplate, ""},
		{2005, nil, message.ClassPermanent, message.CategoryTemplate, ""},
		{130429, nil, message.ClassThrottled, message.CategoryCapacity, message.ScopeNumber},
		{131057, nil, message.ClassThrottled, message.CategoryServer, message.ScopeNumber},
		{80007, nil, message.ClassThrottled, message.CategoryRateLimit, message.ScopeAccount},
		{4, nil, message.ClassThrottled, message.CategoryRateLimit, message.ScopeApp},
		{17, nil, message.ClassThrottled, message.CategoryRateLimit, message.ScopeApp},
		{32, nil, message.ClassThrottled, message.CategoryRateLimit, message.ScopeApp},
		{341, nil, message.ClassThrottled, message.CategoryRateLimit, message.ScopeApp},
		{613, nil, message.ClassThrottled, message.CategoryRateLimit, message.ScopeApp},
		{131056, nil, message.ClassThrottled, message.CategoryPairRateLimit, message.ScopePair},
		{131049, nil, message.ClassPermanent, message.CategoryPolicy, ""},
		{130472, nil, message.ClassPermanent, message.CategoryRecipient, ""},
		{131042, nil, message.ClassSender, message.CategoryPayment, ""},
		{138006, nil, message.ClassPermanent, message.CategoryParameter, ""},
		{131000, nil, message.ClassTransient, message.CategoryServer, ""},
		{131053, nil, message.ClassTransient, message.CategoryMedia, ""},
		{131061, nil, message.ClassPermanent, message.CategoryTemplate, ""},
		{131065, nil, message.ClassPermanent, message.CategoryTemplate, ""},
		{131070, nil, message.ClassPermanent, message.CategoryPolicy, ""},
		{803, nil, message.ClassPermanent, message.CategoryParameter, ""},
	} {
		row, ok := rows.Lookup(tc.code, tc.subcode)
		if !ok || row.Class != tc.class || row.Category != tc.cat || row.Scope != tc.scope {
			t.Errorf("%d: %s %s %q", tc.code, row.Class, row.Category, row.Scope)
		}
	}
	for _, code := range []int{5, 199, 300, 139999, -1} {
		if row, ok := rows.Lookup(code, nil); ok {
			t.Errorf("%d is found as %s", code, row.Key)
		}
	}
	for code, want := range map[int]bool{132015: true, 132016: true, 132001: false, 131042: false, 139999: false} {
		if rows.HoldsTemplate(code) != want {
			t.Errorf("%d holds its template: %t", code, !want)
		}
	}
}

// Advice is a sentence, and a request to slow down is never blamed on a message.
func TestErrorTableRows(t *testing.T) {
	throttles := []message.Category{message.CategoryRateLimit, message.CategoryPairRateLimit, message.CategoryCapacity}
	for _, row := range table(t).Rows() {
		if !strings.HasSuffix(row.Advice, ".") || strings.ToUpper(row.Advice[:1]) != row.Advice[:1] {
			t.Errorf("%s: advice %q is not a sentence", row.Key, row.Advice)
		}
		// 133016 is a limit on registering numbers, which Waypost does not do.
		if slices.Contains(throttles, row.Category) && row.Class != message.ClassThrottled && row.Key != "133016" {
			t.Errorf("%s: category %s, class %s", row.Key, row.Category, row.Class)
		}
	}
}
