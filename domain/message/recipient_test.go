package message_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

func TestParseNumber(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"+14155550101":         "+14155550101",
		"14155550101":          "+14155550101",
		"0014155550101":        "+14155550101",
		"+1 (415) 555-0101":    "+14155550101",
		"00 1 415.555.0101":    "+14155550101",
		"  +4915123456789 ":    "+4915123456789",
		"+44 (0)20 7946 0018":  "+442079460018",
		"+55 11 96123-4567":    "+5511961234567",
		"+52 1 55 1234 5678":   "+525512345678",
		"+52 55 1234 5678":     "+525512345678",
		"+39 06 1234 5678":     "+390612345678",
		"+2348012345678":       "+2348012345678",
		"+1 999 999 9999":      "+19999999999", // no range in use, yet possible
		"+54 9 11 1234-5678":   "+5491112345678",
		"(+91) 98765 43210":    "",
		"":                     "",
		" ":                    "",
		"+":                    "",
		"00":                   "",
		"555-0101 ext 5":       "",
		"+1415555010":          "",
		"+141555501011":        "",
		"+5550101":             "",
		"+1 555 0101":          "",
		"0415 555 0101":        "",
		"+0 415 555 0101":      "",
		"+999 1234 5678":       "",
		"+1415+5550101":        "",
		"١٤١٥٥٥٥٠١٠١":          "",
		"+1415555CALL":         "",
		"US.13491208655302741": "",
		"+1" + strings.Repeat(" ", 70) + "4155550101": "",
		"+1234567890123456789":                        "",
	} {
		got, err := message.ParseNumber(typed)
		if got != want {
			t.Errorf("ParseNumber(%q) is %q (%v), want %q", typed, got, err, want)
		}
		if want == "" {
			rejects(t, err, "to", "")
		}
	}
}

func TestMaskNumber(t *testing.T) {
	t.Parallel()
	for e164, want := range map[string]string{
		"+14155550101":     "+1415•••0101",
		"+551196123456789": "+5511•••6789",
		"+4930123456":      "+49•••56",
		"+2901234":         "+29•••34",
		"+123456":          "+•••",
		"+":                "•••",
		"":                 "•••",
		"Ada Lovelace":     "•••",
		"+1415555CALL":     "•••",
	} {
		if got := message.MaskNumber(e164); got != want {
			t.Errorf("MaskNumber(%q) is %q, want %q", e164, got, want)
		}
	}
}

// A number that is taken is E.164, is taken again as it is, and is never shown
// whole by its mask.
func FuzzParseNumber(f *testing.F) {
	for _, seed := range []string{"+14155550101", "0014155550101", "+44 (0)20 7946 0018", "+52 1 55 1234 5678", "+54 9 11 1234 5678", "+39 06 1234 5678", "(", "٣"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		got, err := message.ParseNumber(typed)
		if err != nil {
			var e *domain.Error
			if !errors.As(err, &e) || e.Field != "to" || got != "" {
				t.Fatalf("ParseNumber(%q) is %q with %v, want nothing and an error at to", typed, got, err)
			}
			return
		}
		if len(got) < 3 || len(got) > 16 || got[0] != '+' || strings.Trim(got[1:], "0123456789") != "" {
			t.Fatalf("ParseNumber(%q) is %q, not E.164", typed, got)
		}
		again, err := message.ParseNumber(got)
		if err != nil || again != got {
			t.Fatalf("ParseNumber(%q) is %q, but that is read as %q (%v)", typed, got, again, err)
		}
		if strings.Contains(message.MaskNumber(got), got[1:]) {
			t.Fatalf("the mask of %q shows it whole", got)
		}
	})
}

func BenchmarkParseNumber(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := message.ParseNumber("+1 (415) 555-0101"); err != nil {
			b.Fatal(err)
		}
	}
}
