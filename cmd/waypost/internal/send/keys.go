package send

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
)

// lineKeys gives idempotency keys to lines that have none: of the campaign, of
// the line's values, and of how often the same values came before. So the keys of
// a file stay the same when lines are added, and a line that is changed becomes
// another message.
//
// A key is an HMAC under a secret of the installation, because a plain hash
// identifies someone whose data was erased: anyone could hash a number and a text
// and look for a message with that key. The secret is the same for every process
// and outlives a rotation of the secret key, so the same file sends nothing twice.
//
// Versions before that used the plain hash. It is passed as a former key, and a
// message that was queued under it is a repeat: a file that an older version sent
// in part is completed.
type lineKeys struct {
	campaign string
	secret   []byte // nil: no keys are given
	seen     map[[sha256.Size]byte]int
}

func newLineKeys(campaign string, secret []byte) lineKeys {
	return lineKeys{campaign: campaign, secret: secret, seen: make(map[[sha256.Size]byte]int)}
}

// plainKey matches a key that an older version made. Files of refused lines
// contain them.
var plainKey = regexp.MustCompile(`^send-[A-Za-z0-9_-]{32}$`)

// add gives the line a key if it has none. given are the line's values.
func (k *lineKeys) add(line *sendLine, given any) {
	if line.input == nil || k.secret == nil {
		return
	}
	plain, own := line.input["idempotencyKey"].(string)
	if own && !plainKey.MatchString(plain) || !own && line.input["idempotencyKey"] != nil {
		return
	}
	if !own {
		text, err := json.Marshal(given) // members are sorted
		if err != nil {
			line.problem = err
			return
		}
		sum := sha256.Sum256(text)
		k.seen[sum]++
		whole := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%s", k.campaign, k.seen[sum], text))
		plain = "send-" + base64.RawURLEncoding.EncodeToString(whole[:24])
	}
	mac := hmac.New(sha256.New, k.secret)
	_, _ = mac.Write([]byte(plain)) // a hash's Write never fails
	line.input["idempotencyKey"] = "sent-" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:24])
	former, _ := line.input["formerKeys"].([]any)
	line.input["formerKeys"] = append(former[:len(former):len(former)], plain)
}
