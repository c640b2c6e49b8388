package eventstore

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestParseURL(t *testing.T) {
	for text, want := range map[string]string{
		"esdb://127.0.0.1:2113?tls=false":                          "127.0.0.1:2113",
		"esdb+unix:///var/lib/waypost/eventstore/socket/grpc":      "unix:/var/lib/waypost/eventstore/socket/grpc",
		"esdb+unix:///a%20b/%25/%3F/%23/:/ü?gossipTimeout=7":       "unix:/a b/%/?/#/:/ü",
		"esdb+unix:///socket?tls=true":                             "unix:/socket", // there is no TLS on a socket
		"esdb+unix:///" + strings.Repeat("long/", 100) + "socket":  "unix:/" + strings.Repeat("long/", 100) + "socket",
		"esdb+unix:///socket?keepAliveInterval=-1&gossipTimeout=7": "unix:/socket",
	} {
		config, err := parseURL(text)
		if err != nil || config.Address != want {
			t.Errorf("%s: %+v, %v; want the address %s", text, config, err, want)
			continue
		}
		if strings.HasPrefix(text, unixScheme) && !config.DisableTLS {
			t.Errorf("%s: TLS on a socket", text)
		}
		if strings.Contains(text, "gossipTimeout=7") && config.GossipTimeout != int(7*time.Second/time.Second) {
			t.Errorf("%s: gossip timeout %d", text, config.GossipTimeout)
		}
	}
	for _, text := range []string{
		"esdb+unix://", "esdb+unix://host/socket", "esdb+unix://name:secret@/socket", "esdb+unix://name:secret@host/socket", "esdb+unix:///%zz",
		"esdb+unix:///socket?keepAliveInterval=soon", "esdb+unix:socket", "unix:///socket",
	} {
		config, err := parseURL(text)
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %+v, %v; want one line without the password", text, config, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, text := range []string{"esdb+unix:///a%20b/%25?gossipTimeout=7", "esdb+unix://h/x", "esdb://a:1,b:2?tls=false", "esdb+discover://a"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		config, err := parseURL(text)
		if err != nil {
			return
		}
		target, err := dialTarget(config.Address)
		if err != nil || !strings.HasPrefix(text, unixScheme) {
			return
		}
		path := strings.TrimPrefix(config.Address, unixPrefix)
		if u, err := url.Parse(target); err != nil || u.Scheme != "unix" || u.Host != "" || u.Path != path {
			t.Errorf("%q: the socket %q is dialed as %q", text, path, target)
		}
	})
}
