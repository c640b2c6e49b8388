package apiclient

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// ParseURL parses the URL of a Waypost that a key will be sent to. Unless insecure is true, it refuses http to another machine.
func ParseURL(text string, insecure bool) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("--url: %q is not a valid URL; use one like https://waypost.example.com", text)
	}
	if u.Scheme == "http" && !insecure && !isLoopback(u.Hostname()) {
		return nil, fmt.Errorf("--url: %q would send the key over the network in clear text; use https, or accept the risk with --insecure-http", text)
	}
	return u, nil
}

// isLoopback reports whether a host is this machine, judged only by its name or address.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}
