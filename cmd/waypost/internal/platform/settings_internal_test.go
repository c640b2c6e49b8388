package platform

import "testing"

// A shell that is set up for an installation must not lead a demo to its stores or
// broker.
func TestDefaultSettingsIgnoreTheEnvironment(t *testing.T) {
	t.Setenv("WAYPOST_EVENTSTORE_URL", "esdb://production:2113")
	t.Setenv("WAYPOST_BROKER_URL", "redis://production")
	t.Setenv("WAYPOST_THROTTLE_LIMIT", "3")
	s, err := DefaultSettings()
	if err != nil {
		t.Fatal(err)
	}
	if s.EventstoreURL != "" || s.BrokerURL != "" || s.ThrottleLimit != 20 {
		t.Errorf("the defaults are %q, %q, %d; want the ones of serve without an environment", s.EventstoreURL, s.BrokerURL, s.ThrottleLimit)
	}
	if err := s.validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}
