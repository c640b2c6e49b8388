package e2e

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// What these tests let the platform know of people. Nothing of it may stand in the
// clear on disk at any time, and nothing of the first may be read once forgotten.
const (
	forgottenNumber = "+919812300417"
	forgottenBody   = "Dear Zoltán Quibblewick, your \"parcel\" <7719> waits at the corner shop"
	keptNumber      = "+919812300990"
	keptBody        = "Hello Brynhildr Oxenstierna, see you on Tuesday"
	forgottenLabel  = "zebra-crossing-label"
	forgottenKey    = "order-quokka-88213"
	forgottenUser   = "IN.7730155208119736604"
	forgottenHidden = "It is Wigglesworth here, without a number"
	forgottenAnswer = "Yes please leave it with Mr Featherstonehaugh"
	forgottenOptOut = "user_marked_as_nuisance_by_wombat"
	forgottenBroken = "half-a-webhook-about-kookaburra"
)

func personalWords() []string {
	return []string{
		forgottenNumber[1:], forgottenBody, "Quibblewick", keptNumber[1:], keptBody, "Oxenstierna", forgottenLabel, forgottenKey,
		forgottenUser[3:], forgottenHidden, "Wigglesworth", forgottenAnswer, "Featherstonehaugh", forgottenOptOut, forgottenBroken, "kookaburra",
	}
}

// erasureView is what the API says of a message.
type erasureView struct {
	Status         string     `json:"status"`
	To             *string    `json:"to"`
	Content        any        `json:"content"`
	IdempotencyKey *string    `json:"idempotencyKey"`
	WhatsappID     *string    `json:"whatsappId"`
	ErasedAt       *time.Time `json:"erasedAt"`
	Labels         []struct{ Value string }
	History        struct {
		Edges []struct {
			Node struct {
				Type string          `json:"type"`
				Data json.RawMessage `json:"data"`
			} `json:"node"`
		} `json:"edges"`
	} `json:"history"`
}

const erasureFields = `status to content idempotencyKey whatsappId erasedAt labels { value } history { edges { node { type data } } }`

func viewOf(ctx context.Context, t *testing.T, r *harness.TestEnv, id string) erasureView {
	t.Helper()
	var data struct {
		Message erasureView `json:"message"`
	}
	if err := r.Client.Do(ctx, `query($id: ID!) { message(id: $id) { `+erasureFields+` } }`, map[string]any{"id": id}, &data); err != nil {
		t.Fatal(err)
	}
	return data.Message
}

// listedTo are the messages that the list finds by their recipient.
func listedTo(ctx context.Context, t *testing.T, r *harness.TestEnv, number string) []string {
	t.Helper()
	var data struct {
		Messages struct {
			Edges []struct {
				Node struct {
					ID string  `json:"id"`
					To *string `json:"to"`
				} `json:"node"`
			} `json:"edges"`
		} `json:"messages"`
	}
	err := r.Client.Do(ctx, `query($to: String!) { messages(filter: {to: $to}) { edges { node { id to } } } }`, map[string]any{"to": number}, &data)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range data.Messages.Edges {
		if e.Node.To == nil || *e.Node.To != number {
			t.Errorf("a message to %v is listed as one to %s", e.Node.To, number)
		}
		ids = append(ids, e.Node.ID)
	}
	return ids
}

// postWebhook delivers a signed webhook, as WhatsApp does.
func postWebhook(ctx context.Context, t *testing.T, r *harness.TestEnv, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.Addr+"/webhooks/whatsapp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(harness.AppSecret))
	mac.Write([]byte(body))
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	if _, err := apiclient.RoundTrip(http.DefaultClient, req); err != nil {
		t.Fatal(err)
	}
}

// awaitREAD waits until a message is READ.
func awaitREAD(ctx context.Context, t *testing.T, r *harness.TestEnv, id string) {
	t.Helper()
	for {
		v := viewOf(ctx, t, r, id)
		if v.Status == "READ" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("message is %s, want READ", v.Status)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestErasedRecipientIsFoundNowhere(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*e2etest.Timeout)
	defer cancel()
	r := e2etest.Start(ctx, t, []string{"WAYPOST_LOG_LEVEL=debug"}, map[string]any{"read_rate": 1})
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	message := func(to, key, body string) map[string]any {
		in := harness.Message("shop", key, 1)
		in["to"], in["content"] = to, map[string]any{"text": map[string]any{"body": body}}
		in["labels"] = []map[string]string{{"name": "note", "value": forgottenLabel}}
		return in
	}
	ids, err := r.Client.QueueMessages(ctx, []map[string]any{
		message(forgottenNumber, forgottenKey, forgottenBody), message(keptNumber, "kept", keptBody),
		message(forgottenNumber, "later", forgottenBody),
	})
	if err != nil {
		t.Fatal(err)
	}
	forgotten, kept := ids[0], ids[1]
	for _, id := range ids {
		awaitREAD(ctx, t, r, id)
	}
	// They answer, opt out, and come in something that cannot be understood.
	entry := func(change string) string {
		return `{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[` + change + `]}]}`
	}
	waID := forgottenNumber[1:]
	postWebhook(ctx, t, r, entry(`{"field":"messages","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550001","phone_number_id":"100000000001"},
		"contacts":[{"profile":{"name":"Quibblewick"},"wa_id":"`+waID+`","user_id":"`+forgottenUser+`"}],
		"messages":[{"from":"`+waID+`","id":"wamid.inboundQ","timestamp":"1777000000","type":"text","text":{"body":"`+forgottenAnswer+`"}}]}}`))
	postWebhook(ctx, t, r, entry(`{"field":"user_preferences","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550001","phone_number_id":"100000000001"},
		"user_preferences":[{"wa_id":"`+waID+`","detail":"`+forgottenOptOut+`","category":"marketing_messages","value":"stop","timestamp":1777000000}]}}`))
	postWebhook(ctx, t, r, entry(`{"field":"messages","value":{"messaging_product":"whatsapp","messages":"`+forgottenBroken+`","contacts":[{"wa_id":"`+waID+`"}]}}`))

	// WhatsApp has revealed both IDs. A later message comes from the user ID alone, and one goes to it.
	postWebhook(ctx, t, r, entry(`{"field":"messages","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550001","phone_number_id":"100000000001"},
		"contacts":[{"profile":{"name":"Quibblewick"},"user_id":"`+forgottenUser+`"}],
		"messages":[{"from_user_id":"`+forgottenUser+`","id":"wamid.hiddenQ","timestamp":"1777000100","type":"text","text":{"body":"`+forgottenHidden+`"}}]}}`))
	if v := viewOf(ctx, t, r, forgotten); v.To == nil || *v.To != forgottenNumber || v.Content == nil || v.ErasedAt != nil {
		t.Fatalf("before the erasure the message reads %+v", v)
	}
	if got := len(listedTo(ctx, t, r, forgottenNumber)); got != 2 {
		t.Errorf("%d messages to the number are listed, want 2", got)
	}
	toUser := message("", "to user", forgottenBody)
	delete(toUser, "to")
	toUser["toUserId"] = forgottenUser
	users, err := r.Client.QueueMessages(ctx, []map[string]any{toUser})
	if err != nil {
		t.Fatal(err)
	}
	awaitREAD(ctx, t, r, users[0])
	searchFiles(t, r.DataDir(), personalWords()...)
	if !anyFileContains(t, filepath.Join(r.DataDir(), "eventstore"), "100000000001") {
		t.Error("the search does not find what the log contains in the clear, so it proves nothing")
	}

	receipt := eraseRecipient(ctx, t, r, "+91 98123 00417")
	// Three messages, each with Queued and Sent; two answers, an opt-out, something that was
	// parked, and the link between the IDs.
	if receipt.Messages != 3 || receipt.Events < 11 {
		t.Errorf("the receipt names %d messages and %d events, want 3 and at least 11", receipt.Messages, receipt.Events)
	}
	checkErased(ctx, t, r, forgotten)
	checkErased(ctx, t, r, users[0])
	if v := viewOf(ctx, t, r, kept); v.To == nil || *v.To != keptNumber || v.ErasedAt != nil {
		t.Errorf("another recipient's message reads %+v", v)
	}
	if again := eraseRecipient(ctx, t, r, forgottenNumber); again.Messages != 0 || again.Events != 0 {
		t.Errorf("erased again: %+v", again)
	}
	checkNoPersonalEvents(ctx, t, r)
	// The same content under the same key can no longer be compared.
	var refused *apiclient.Error
	if _, err := r.Client.QueueMessages(ctx, []map[string]any{message(forgottenNumber, forgottenKey, forgottenBody)}); !errors.As(err, &refused) || refused.Extensions.Code != "CONFLICT" {
		t.Errorf("the erased message's key again gives %v, want CONFLICT", err)
	}
	if code, out, errs := e2etest.Run("verify", "--data-dir", r.DataDir()); code != e2etest.ExitDone {
		t.Errorf("the read models are not as the log has them: %s%s", out, errs)
	}
	if code, out, errs := e2etest.Run("rebuild", "--data-dir", r.DataDir()); code != e2etest.ExitDone || !strings.Contains(out, "digests equal") {
		t.Errorf("rebuild: %s%s", out, errs)
	}

	// A new message to the number goes out, and can be read by callers with the scope.
	fresh, err := r.Client.QueueMessages(ctx, []map[string]any{message(forgottenNumber, "fresh", "hello again")})
	if err != nil {
		t.Fatal(err)
	}
	awaitREAD(ctx, t, r, fresh[0])
	if v := viewOf(ctx, t, r, fresh[0]); v.To == nil || *v.To != forgottenNumber {
		t.Errorf("a message that came later reads %+v", v)
	}

	// The crash of a program that has just sent: its trace shows what was in its hands.
	if err := r.Serve.Cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	<-r.Serve.Done
	if !fileContains(t, r.Serve.Log, "SIGQUIT") {
		t.Error("the program left no trace of its crash")
	}
	searchFiles(t, r.Serve.Log, personalWords()...)
	searchFiles(t, r.DataDir(), personalWords()...)
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
	checkErased(ctx, t, r, forgotten)

	// What is backed up from now on has forgotten too.
	backup, restored := filepath.Join(r.Dir, "backup"), filepath.Join(r.Dir, "restored")
	if code, out, errs := e2etest.Run("backup", "--to", backup, "--data-dir", r.DataDir()); code != e2etest.ExitDone {
		t.Fatalf("backup exits %d: %s%s", code, out, errs)
	}
	if err := r.Serve.Stop(); err != nil {
		t.Fatal(err)
	}
	searchFiles(t, backup, personalWords()...)
	if code, out, errs := e2etest.Run("restore", "--from", backup, "--data-dir", restored); code != e2etest.ExitDone {
		t.Fatalf("restore exits %d: %s%s", code, out, errs)
	}
	if err := errors.Join(os.RemoveAll(r.DataDir()), os.Rename(restored, r.DataDir())); err != nil {
		t.Fatal(err)
	}
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
	searchFiles(t, r.DataDir(), personalWords()...)
	checkErased(ctx, t, r, forgotten)
	if v := viewOf(ctx, t, r, kept); v.To == nil || *v.To != keptNumber {
		t.Errorf("after a restore another recipient's message reads %+v", v)
	}
}

type erasureReceipt struct {
	ID       string    `json:"id"`
	At       time.Time `json:"at"`
	Messages int       `json:"messages"`
	Events   int       `json:"events"`
}

func eraseRecipient(ctx context.Context, t *testing.T, r *harness.TestEnv, to string) erasureReceipt {
	t.Helper()
	var data struct {
		EraseRecipient erasureReceipt `json:"eraseRecipient"`
	}
	begin := time.Now()
	err := r.Client.Do(ctx, `mutation($to: String!) { eraseRecipient(to: $to, reason: "asked by Quibblewick") { id at messages events } }`,
		map[string]any{"to": to}, &data)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("erased in %s: %+v", time.Since(begin), data.EraseRecipient)
	return data.EraseRecipient
}

func checkErased(ctx context.Context, t *testing.T, r *harness.TestEnv, id string) {
	t.Helper()
	v := viewOf(ctx, t, r, id)
	if v.To != nil || v.Content != nil || v.IdempotencyKey != nil || v.WhatsappID != nil || len(v.Labels) != 0 || v.ErasedAt == nil || v.Status != "READ" {
		t.Errorf("the erased message reads %+v", v)
	}
	for _, e := range v.History.Edges {
		var data map[string]any
		if err := json.Unmarshal(e.Node.Data, &data); err != nil {
			t.Fatal(err)
		}
		if personal, has := data["personal"]; has && personal != nil {
			t.Errorf("%s of the erased message has %v", e.Node.Type, personal)
		}
	}
	for _, listed := range listedTo(ctx, t, r, forgottenNumber) {
		if listed == id {
			t.Error("the erased message is found by its number")
		}
	}
}

// checkNoPersonalEvents reads the whole log as an auditor does who may read all.
func checkNoPersonalEvents(ctx context.Context, t *testing.T, r *harness.TestEnv) {
	t.Helper()
	var data struct {
		Events struct {
			Edges []struct {
				Node struct {
					Type string          `json:"type"`
					Data json.RawMessage `json:"data"`
				} `json:"node"`
			} `json:"edges"`
		} `json:"events"`
	}
	if err := r.Client.Do(ctx, `{ events(first: 1000) { edges { node { type data } } } }`, nil, &data); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for _, e := range data.Events.Edges {
		seen[e.Node.Type]++
		for _, word := range []string{forgottenNumber[1:], forgottenKey, forgottenAnswer, forgottenOptOut, forgottenBroken} {
			if bytes.Contains(e.Node.Data, []byte(word)) {
				t.Errorf("%s holds %q after the erasure: %s", e.Node.Type, word, e.Node.Data)
			}
		}
	}
	for _, typ := range []string{"Queued", "Read", "InboundReceived", "AccountChanged", "WebhookParked", "PersonalErased"} {
		if seen[typ] == 0 {
			t.Errorf("the log has no %s, so that nothing was proven of it", typ)
		}
	}
}

// searchFiles fails the test for each of the words that a file below root contains: unchanged, as UTF-16, as JSON encodes it, in base64,
// or in hexadecimal.
func searchFiles(t *testing.T, root string, words ...string) {
	t.Helper()
	forms := make(map[string][]byte)
	for _, w := range words {
		forms[w+" as it is"] = []byte(w)
		escaped, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		forms[w+" as JSON"] = bytes.Trim(escaped, `"`)
		for name, order := range map[string]binary.ByteOrder{"UTF-16LE": binary.LittleEndian, "UTF-16BE": binary.BigEndian} {
			var wide []byte
			for _, unit := range utf16.Encode([]rune(w)) {
				var b [2]byte
				order.PutUint16(b[:], unit)
				wide = append(wide, b[:]...)
			}
			forms[w+" as "+name] = wide
		}
		forms[w+" in hexadecimal"] = []byte(hex.EncodeToString([]byte(w)))
		// base64 has three alignments; the ends, which neighbours bear on, are cut.
		for shift := range 3 {
			padded := append(make([]byte, shift), w...)
			text := base64.RawStdEncoding.EncodeToString(padded)
			if text = text[2:max(2, len(text)-2)]; len(text) >= 12 {
				forms[fmt.Sprintf("%s in base64 (%d)", w, shift)] = []byte(text[min(2*shift, 4):])
			}
		}
	}
	files, size := 0, int64(0)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // files of a running store come and go
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		files, size = files+1, size+int64(len(text))
		for form, b := range forms {
			if bytes.Contains(text, b) {
				t.Errorf("%s is in %s", form, path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if size == 0 {
		t.Fatalf("%s is empty, so a search in it proves nothing", root)
	}
	t.Logf("searched %d bytes in %d files of %s", size, files, root)
}

func fileContains(t *testing.T, path, word string) bool {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(text, []byte(word))
}

func anyFileContains(t *testing.T, root, word string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			found = found || fileContains(t, path, word)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
