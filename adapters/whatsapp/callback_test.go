package whatsapp_test

import (
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/adapters/whatsapp"
)

func TestCallbackDataComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")).String()
		call := rapid.IntRange(1, 1_000_000).Draw(t, "call")
		data := whatsapp.CallbackData(id, call)
		if gotID, gotCall, ok := whatsapp.ParseCallbackData(data); !ok || gotID != id || gotCall != call {
			t.Fatalf("%s was read as %s, %d, %t", data, gotID, gotCall, ok)
		}
	})
}

func TestForeignCallbackData(t *testing.T) {
	const id = "0198c3f2-7d5e-7a31-9f0a-6b1f3a5f0c11"
	for _, data := range []string{
		"", "wp1:", "wp1::1", "msg:01J9ZK3V7Q", "wp2:" + id + ":1", "wp1:" + id, "wp1:" + id + ":", "wp1:" + id + ":0",
		"wp1:" + id + ":-1", "wp1:" + id + ":01", "wp1:" + id + ":+1", "wp1:" + id + ":1:2", "wp1:" + id + ":99999999999999999999",
		"wp1:{" + id + "}:1", "wp1:urn:uuid:" + id + ":1", "wp1:0198C3F2-7D5E-7A31-9F0A-6B1F3A5F0C11:1", "wp1:not-a-uuid-but-thirty-six-characters:1",
	} {
		if got, call, ok := whatsapp.ParseCallbackData(data); ok {
			t.Errorf("%q was read as %s, %d", data, got, call)
		}
	}
}
