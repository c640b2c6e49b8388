package httpapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

type signatures struct {
	Signed []struct{ Secret, Header, Body, File string }
	// Unsigned are headers that are not signatures of Signed's first body with its secret.
	Unsigned []struct{ Header, Why string }
}

func readSignatures(t testing.TB) signatures {
	t.Helper()
	raw, err := os.ReadFile("testdata/signatures.json")
	if err != nil {
		t.Fatal(err)
	}
	var s signatures
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Signed) == 0 || len(s.Unsigned) == 0 {
		t.Fatal("no signatures")
	}
	return s
}

func TestSignatures(t *testing.T) {
	all := readSignatures(t)
	for _, v := range all.Signed {
		body := []byte(v.Body)
		if v.File != "" {
			var err error
			if body, err = os.ReadFile(filepath.Join("../../adapters/whatsapp/testdata/webhooks", v.File)); err != nil {
				t.Fatal(err)
			}
		}
		if !signedByAny([]string{v.Secret}, v.Header, body) {
			t.Errorf("%s: not accepted with its secret", v.Header)
		}
		if !signedByAny([]string{"older", "", v.Secret}, v.Header, body) {
			t.Errorf("%s: not accepted with its secret among three", v.Header)
		}
		if signedByAny([]string{"other"}, v.Header, body) || signedByAny(nil, v.Header, body) {
			t.Errorf("%s: accepted with another secret, or with none", v.Header)
		}
		if len(body) > 0 && signedByAny([]string{v.Secret}, v.Header, body[1:]) {
			t.Errorf("%s: accepted for another body", v.Header)
		}
	}
	first := all.Signed[0]
	for _, v := range all.Unsigned {
		if signedByAny([]string{first.Secret}, v.Header, []byte(first.Body)) {
			t.Errorf("%q was accepted: %s", v.Header, v.Why)
		}
	}
}

// HMAC also accepts an empty key. An app secret that is not set must not act as a secret
// that everyone knows.
func TestEmptySecretSignsNothing(t *testing.T) {
	mac := hmac.New(sha256.New, nil)
	mac.Write([]byte("{}"))
	if signedByAny([]string{""}, "sha256="+hex.EncodeToString(mac.Sum(nil)), []byte("{}")) {
		t.Error("a signature with the empty secret was accepted")
	}
}

func FuzzParseSignature(f *testing.F) {
	for _, v := range readSignatures(f).Signed {
		f.Add(v.Header)
	}
	for _, header := range []string{"", "sha256=", "sha256=00", "SHA256=" + strings.Repeat("0", 64), "sha256=" + strings.Repeat("g", 64), "sha256=" + strings.Repeat("0", 65)} {
		f.Add(header)
	}
	wellFormed := regexp.MustCompile(`^sha256=[0-9a-fA-F]{64}$`)
	f.Fuzz(func(t *testing.T, header string) {
		sum, ok := parseSignature(header)
		if ok != wellFormed.MatchString(header) || ok && !strings.EqualFold(header[len("sha256="):], hex.EncodeToString(sum[:])) {
			t.Errorf("%q was parsed as %x, %t", header, sum, ok)
		}
	})
}
