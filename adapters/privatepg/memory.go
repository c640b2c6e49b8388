package privatepg

import (
	"strconv"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// minBuffers and maxBuffers limit shared_buffers, in bytes: what the first million
	// messages need, and what five million use.
	minBuffers = 128 << 20
	maxBuffers = 1 << 30
	// buffersOfMemory is the divisor of the memory. Postgres recommends a quarter of the
	// memory of a machine that does nothing else. This machine runs all of Waypost.
	buffersOfMemory = 16
	// mostOfMemory is the divisor for the maximum. It takes precedence over minBuffers
	// on a machine with less than 1 GiB.
	mostOfMemory = 8
	// cachedOfBuffers is the assumed size of the operating system's cache, as a
	// multiple of shared_buffers.
	cachedOfBuffers = 4
)

// UsableMemory returns the memory of the machine, or of the control group if it has
// less, in bytes. It returns 0 if that is unknown.
func UsableMemory() uint64 {
	memory, err := memlimit.FromSystem()
	if err != nil {
		memory = 0
	}
	if limit, err := memlimit.FromCgroup(); err == nil && (memory == 0 || limit < memory) {
		return limit
	}
	return memory
}

// buffersFor returns shared_buffers for an amount of memory, both in bytes.
func buffersFor(memory uint64) uint64 {
	if memory == 0 {
		return minBuffers
	}
	return min(max(memory/buffersOfMemory, minBuffers), memory/mostOfMemory, maxBuffers)
}

// megabytes returns a size in Postgres's notation.
func megabytes(bytes uint64) string { return strconv.FormatUint(bytes>>20, 10) + "MB" }
