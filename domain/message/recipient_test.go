package message_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

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

// What spreadsheets, address books, and people write instead of a number: it is
// read as the one number that it can mean, or refused with the reason.
func TestParseNumberReadsNoOtherNumber(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		// One number, however it is grouped.
		"1.415.555.0101":       "+14155550101",
		"+33.6.12.34.56.78":    "+33612345678",
		"+49.15123456789":      "+4915123456789", // as domain registries write it
		"+1 415 555.0000":      "+14155550000",   // +1415555 is none
		"49.151.234.567":       "+49151234567",
		"+49 30 1234-0":        "+493012340", // the switchboard of an office
		"+49 (0)151 23456789":  "+4915123456789",
		"+49 0151 23456789":    "+4915123456789",
		"+39 (06) 1234 5678":   "+390612345678",
		"+225 (0)7 07 12 3456": "+2250707123456", // without the zero it is too short
		"\t+4915123456789\r\n": "+4915123456789",

		// Decimal numbers.
		"491512345678.0":     "can be read as two numbers",
		"+491512345678.0":    "can be read as two numbers",
		"491512345678.00":    "can be read as two numbers",
		"491512345678.000":   "can be read as two numbers",
		"491512345678 .0":    "can be read as two numbers",
		"491512345678. 0 ":   "can be read as two numbers",
		"491512345678.0.0":   "can be read as two numbers",
		"491.512.345.678.0":  "can be read as two numbers",
		"49151234567.8":      "can be read as two numbers",
		"491512345.67":       "can be read as two numbers",
		"+49 151 2345678.0":  "can be read as two numbers",
		"491512345678.":      "ends with",
		".491512345678":      "begins with",
		"491512345678,0":     `has a ","`,
		"49,151,234,567":     `has a ","`,
		"491.512.345.678,00": `has a ","`,
		"4.91512E+11":        "scientific notation",
		"4,91512E+11":        "scientific notation",
		"4.91512345678e11":   "scientific notation",
		"-4E11":              "scientific notation",
		"-491512345678":      "begins with",
		"491512345678-":      "ends with",
		"49'151'234'567":     "mark text",

		// National prefixes.
		"+39 (0)347 1234567":     "with and without its (0)",
		"+39 (0)6 1234 5678":     "with and without its (0)",
		"+49 (0)(0)151 23456789": "",
		"+49 151 (0) 2345678":    "with and without its (0)",
		"(0)":                    "begins with 0",
		"+1 1 415 555 0101":      "national prefix",
		"0011 65 1234 5678":      "national prefix", // Singapore, dialed from Australia
		"+7 (8) 912 345-67-89":   "national prefix",
		"+36 06 20 123 4567":     "national prefix",
		"+55 0 15 11 3123-4567":  "national prefix", // with a carrier
		"+54 11 15 1234-5678":    "national prefix",
		"+378 818220":            "national prefix",

		// More than a number.
		"tel:+4915123456789":            "the letter 't'",
		"tel:+49-151-23456789;ext=12":   "the letter 't'",
		"+49 151 23456789 x123":         "the letter 'x'",
		"+49 151 23456789;ext=1":        "two numbers",
		"+1-800-FLOWERS":                "the letter 'F'",
		"+4915123456789/+4915123456780": "two numbers",
		"+4915123456789 / 80":           "two numbers",
		"+4915123456789, +14155550101":  "several numbers",
		"+4915123456789; +14155550101":  "two numbers",
		"+4915123456789 +14155550101":   "two numbers",
		"+4915123456789\n+14155550101":  "two numbers",
		"4915123456789 14155550101":     "too long",
		"'+4915123456789":               "mark text",
		`="+4915123456789"`:             "mark text",
		`"+4915123456789"`:              "mark text",
		"#+4915123456789":               "'#' (U+0023)",
		"+49\u2013151\u201323456789":    "U+2013",
		"+49\u00a0151\u00a023456789":    "U+00A0 at position 4",
		"\u00a0+4915123456789":          "U+00A0 at position 1",
		"+49151\u200b23456789":          "U+200B at position 7",
		"\u202a+4915123456789\u202c":    "U+202A at position 1",
		"\u202e+4915123456789":          "U+202E",
		"\u2066+4915123456789\u2069":    "U+2066",
		"\ufeff+4915123456789":          "U+FEFF",
		"+49151\u00ad23456789":          "U+00AD",
		"+49151\u316423456789":          "U+3164",
		"+49151\x0023456789":            "U+0000",
		"+49151\u000b23456789":          "U+000B",
		"+49151\ufffd23456789":          "position 7",
		"+49151\xa023456789":            "position 7",
		"+\uff14\uff1915123456789":      "the digit U+FF14",
		"\uff0b4915123456789":           "U+FF0B",
		"+\u0664\u066915123456789":      "the digit U+0664",
		"+49151234567\u00b2":            "U+00B2",
	} {
		got, err := message.ParseNumber(typed)
		if strings.HasPrefix(want, "+") && strings.Trim(want[1:], "0123456789") == "" {
			if got != want || err != nil {
				t.Errorf("ParseNumber(%q) is %q (%v), want %q", typed, got, err, want)
			}
			continue
		}
		if err == nil || got != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseNumber(%q) is %q with %v, want an error with %q", typed, got, err, want)
			continue
		}
		rejects(t, err, "to", "")
	}
}

// typedNumbers draws numbers as people type them: plausible lengths, any grouping.
func typedNumbers() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		b.WriteString(rapid.SampledFrom([]string{"", "+", "00", "00 ", " +", "("}).Draw(t, "prefix"))
		b.WriteString(rapid.SampledFrom([]string{"1", "49", "44", "39", "52", "521", "54", "55", "7", "36", "65", "225", "290", "378", "423", "86"}).Draw(t, "country"))
		b.WriteString(rapid.SampledFrom([]string{"", "", " ", "(0)", " (0) ", "0", " 0", ".", "8", "1", "06"}).Draw(t, "between"))
		for range rapid.IntRange(4, 13).Draw(t, "length") {
			b.WriteString(rapid.StringMatching(`[0-9][ .()-]?`).Draw(t, "digit"))
		}
		b.WriteString(rapid.SampledFrom([]string{"", "", "", " ", ".0", ".00", "-0", "0"}).Draw(t, "end"))
		return b.String()
	})
}

// What is accepted is the number that the digits spell: no grouping of the same
// digits spells another number, and no decimal fraction behind it does.
func TestEveryNotationOfANumberIsThatNumber(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		typed := typedNumbers().Draw(t, "typed")
		want, err := message.ParseNumber(typed)
		if err != nil {
			return
		}
		digits := strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, typed)
		if !strings.HasPrefix(strings.TrimSpace(typed), "+") {
			digits = strings.TrimPrefix(digits, "00")
		}
		if kept := want[1:]; kept != digits {
			// A 0 after the country code was dropped, or the 1 of +521.
			zero := strings.IndexByte(digits, '0')
			if kept != "52"+strings.TrimPrefix(digits, "521") && (zero < 1 || zero > 3 || kept != digits[:zero]+digits[zero+1:]) {
				t.Fatalf("%q is read as %q, but %s was typed", typed, want, digits)
			}
		}
		same := func(changed string) {
			if got, err := message.ParseNumber(changed); err == nil && got != want {
				t.Fatalf("%q is read as %q, but %q as %q", typed, want, changed, got)
			}
		}
		for _, fraction := range []string{".0", ".00", ".000", " .0", ". 0", ".0 ", ".5", ",0", ",00", "e0", "E+0"} {
			same(typed + fraction)
		}
		at := rapid.IntRange(0, len(typed)).Draw(t, "at")
		for _, separator := range []string{" ", "-", "(", ")", "."} {
			same(typed[:at] + separator + typed[at:])
		}
		// The digits alone, however they are grouped.
		same("+" + digits)
	})
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
	for _, seed := range []string{"+14155550101", "0014155550101", "+44 (0)20 7946 0018", "+52 1 55 1234 5678", "+54 9 11 1234 5678", "+39 06 1234 5678", "(", "٣", "491512345678.0", "1.415.555.0101", "4.9e11", "+39 (0)347 1234567", "\u202a+4915123456789"} {
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
		if other, err := message.ParseNumber(typed + ".0"); err == nil && other != got {
			t.Fatalf("ParseNumber(%q) is %q, with .0 it is %q", typed, got, other)
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
