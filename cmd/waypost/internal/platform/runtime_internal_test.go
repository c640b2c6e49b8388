package platform

import "testing"

func TestMemoryLimitLeavesRoomForPostgres(t *testing.T) {
	for memory, want := range map[uint64]int64{0: 400, 350: 140, 512: 204, 1024: 400, 64 << 10: 400} {
		if got := memoryLimitFor(memory << 20); got>>20 != want {
			t.Errorf("%d MiB of memory: the limit is %d MiB, want %d", memory, got>>20, want)
		}
	}
}
