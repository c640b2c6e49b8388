package httpapi

import "net"

// Limited limits the connections of a listener as Serve does, with other limits.
func Limited(l net.Listener, most, mostOfOne int) net.Listener {
	bounded := limited(l)
	bounded.most, bounded.mostOfOne = most, mostOfOne
	return bounded
}
