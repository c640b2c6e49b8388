package vault_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/adapters/vault"
)

func key(b byte) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(b)), 32)))
}

func parse(t testing.TB, text string) *vault.Keys {
	t.Helper()
	k, err := vault.ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestFingerprintSurvivesRotation(t *testing.T) {
	t.Parallel()
	before, after := parse(t, key('a')), parse(t, key('b')+","+key('a'))
	f := before.Fingerprint([]byte("+14155550101"), []byte("hello"))
	if !after.Matches(f, []byte("+14155550101"), []byte("hello")) {
		t.Error("the old key's fingerprint is not known after rotation")
	}
	if after.Fingerprint([]byte("x")) == before.Fingerprint([]byte("x")) {
		t.Error("the first key must make the fingerprints")
	}
	if parse(t, key('b')).Matches(f, []byte("+14155550101"), []byte("hello")) {
		t.Error("a fingerprint matched without its key")
	}
}

func TestFingerprintTellsPartsApart(t *testing.T) {
	t.Parallel()
	k := parse(t, key('a'))
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(rapid.SliceOf(rapid.Byte()), 1, 4).Draw(t, "a")
		b := rapid.SliceOfN(rapid.SliceOf(rapid.Byte()), 1, 4).Draw(t, "b")
		same := len(a) == len(b)
		for i := 0; same && i < len(a); i++ {
			same = string(a[i]) == string(b[i])
		}
		if k.Matches(k.Fingerprint(a...), b...) != same {
			t.Fatalf("%v and %v: same is %v", a, b, same)
		}
	})
}

func TestParseKeysSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "short", key('a') + ",", base64.StdEncoding.EncodeToString([]byte("16 bytes, not 32"))} {
		if _, err := vault.ParseKeys(text); err == nil || !strings.Contains(err.Error(), "openssl rand") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestKeyFileIsMadeOnceAndPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret.key")
	first, err := vault.LoadOrMakeKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := vault.LoadOrMakeKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if !again.Matches(first.Fingerprint([]byte("x")), []byte("x")) {
		t.Error("the second start created another key")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}
