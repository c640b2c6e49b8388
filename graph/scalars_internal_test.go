package graph

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDurationIsWrittenInISO8601(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                        "PT0S",
		500 * time.Nanosecond:    "PT0.000001S",
		1327131500:               "PT1.327132S",
		10 * time.Second:         "PT10S",
		5 * time.Minute:          "PT5M",
		90 * time.Minute:         "PT1H30M",
		24 * time.Hour:           "P1D",
		31*24*time.Hour + 1e9:    "P31DT1S",
		-1500 * time.Millisecond: "-PT1.5S",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%s is written %q; want %q", d, got, want)
		}
	}
}

// An encoded duration is parsed as the same duration, to the microsecond.
func TestDurationIsReadAsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(400*24*time.Hour/time.Microsecond)).Draw(t, "µs")) * time.Microsecond
		read, err := UnmarshalDuration(formatDuration(d))
		if err != nil {
			t.Fatal(err)
		}
		if (read - d).Abs() > time.Microsecond { // the parser uses floats
			t.Fatalf("%s is parsed as %s", d, read)
		}
	})
}
