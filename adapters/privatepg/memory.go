package privatepg

import (
	"strconv"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// minBuffers and maxBuffers bound shared_buffers, in bytes: what the first million
	// messages need, and what five million use.
	minBuffers = 128 << 20
	maxBuffers = 1 << 30
	// buffersOfMemory is which part of the memory they are. Postgres advises a fourth
	// of a machine that has nothing else to do; this one runs everything.
	buffersOfMemory = 16
	// cachedOfBuffers is how many times as much the operating system is taken to cache.
	cachedOfBuffers = 4
)

// usableMemory is the memory of the machine, or of the control group if that has less,
// in bytes; 0 if nobody says.
func usableMemory() uint64 {
	memory, err := memlimit.FromSystem()
	if err != nil {
		memory = 0
	}
	if limit, err := memlimit.FromCgroup(); err == nil && (memory == 0 || limit < memory) {
		return limit
	}
	return memory
}

// buffersFor is shared_buffers for so much memory, in bytes.
func buffersFor(memory uint64) uint64 {
	return min(max(memory/buffersOfMemory, minBuffers), maxBuffers)
}

// megabytes is a size in Postgres's notation.
func megabytes(bytes uint64) string { return strconv.FormatUint(bytes>>20, 10) + "MB" }
