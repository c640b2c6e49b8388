package platform

import (
	"os"
	"runtime"
	"runtime/debug"

	"github.com/waypost/waypost/adapters/privatepg"
)

const (
	// gcPercent trades memory for CPU. Most allocations are short-lived events and requests. With Go's default of 100, collecting
	// them took a fifth of the CPU time.
	gcPercent = 300
	// memoryLimit is the heap size from which the collector works harder, in bytes. Waypost must stay below 512 MiB with a million
	// messages queued.
	memoryLimit = 400 << 20
	// goOfMemory is the maximum of that limit, in percent of the memory of the machine or of the control group. The private Postgres
	// and the page cache need the rest.
	goOfMemory = 40
)

// memoryLimitFor returns the memory limit for a machine with memory bytes. 0 means that the size is unknown.
func memoryLimitFor(memory uint64) int64 {
	if memory == 0 {
		return memoryLimit
	}
	return min(memoryLimit, int64(memory/100*goOfMemory))
}

// TuneRuntime tunes the Go runtime for Waypost. It leaves alone what the operator has set in the environment.
func TuneRuntime() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimitFor(privatepg.UsableMemory()))
	}
	// One more than the number of CPUs: the embedded store's fsync blocks one of them, and on two cores that is half.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.NumCPU() + 1)
	}
}
