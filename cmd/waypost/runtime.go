package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	// gcPercent trades memory for CPU: short-lived events and requests are most of
	// what is allocated, and at Go's own 100 a fifth of the CPU went to collecting them.
	gcPercent = 300
	// memoryLimit is where the collector works harder again, in bytes: the program
	// is to stay below 512 MiB with a million messages queued.
	memoryLimit = 400 << 20
)

// tuneRuntime sets what fits the platform, unless the operator has set it.
func tuneRuntime() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	// One more than there are processors: the embedded store's fsync keeps one busy
	// waiting, and on two cores that is half of them.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.NumCPU() + 1)
	}
}
