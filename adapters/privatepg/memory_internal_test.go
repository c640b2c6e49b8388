package privatepg

import "testing"

func TestBuffersAreAPartOfTheMemory(t *testing.T) {
	for memory, want := range map[uint64]string{
		0: "128MB", 350 << 20: "43MB", 512 << 20: "64MB", 1 << 30: "128MB", 4 << 30: "256MB", 24 << 30: "1024MB", 1 << 62: "1024MB",
	} {
		if got := megabytes(buffersFor(memory)); got != want {
			t.Errorf("for %d bytes of memory: %s, want %s", memory, got, want)
		}
	}
	if UsableMemory() == 0 {
		t.Error("the amount of memory is unknown")
	}
}
