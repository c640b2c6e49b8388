package whatsapp_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain/message"
)

const phoneNumberID = "910200300400599" // the one in error_400_100_missing_object.json

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClient(t testing.TB, url string, timeout time.Duration) *whatsapp.Client {
	t.Helper()
	c, err := whatsapp.NewClient(whatsapp.Options{URL: url, Timeout: timeout, Errors: table(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func send(t testing.TB, c *whatsapp.Client) message.CallResult {
	return c.Send(t.Context(), whatsapp.Call{PhoneNumberID: phoneNumberID, Token: "secret-token", Body: []byte(`{"messaging_product":"whatsapp"}`)})
}

// serve responds to every request with handler.
func serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func refusedWith(class message.Class, scope message.ThrottleScope, category message.Category) func(message.CallResult) bool {
	return func(r message.CallResult) bool {
		refused, ok := r.(message.Refused)
		return ok && refused.Failure.Class == class && refused.Scope == scope && refused.Failure.Category == category
	}
}

// recorded is a trace.Recorder that keeps what was recorded.
type recorded struct {
	mu     sync.Mutex
	values map[string]string
}

func (r *recorded) Begin(ctx context.Context, s trace.Start) (context.Context, trace.Recording) {
	r.SetString("name", s.Name)
	return ctx, r
}

func (r *recorded) Traceparent() string {
	return "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
}
func (r *recorded) ContextWithSpan(ctx context.Context) context.Context { return ctx }
func (r *recorded) SetInt(key string, value int)                        { r.SetString(key, strconv.Itoa(value)) }
func (r *recorded) SetError(reason string)                              { r.SetString("failed", reason) }
func (r *recorded) End()                                                { r.SetString("ended", "yes") }

func (r *recorded) SetString(key, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values[key] = value
}

// WhatsApp is outside the trace's audience, so the trace context is not sent to it.
func TestATracedCallLooksLikeAnyOther(t *testing.T) {
	headers := make(chan http.Header, 2)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		headers <- r.Header
		w.WriteHeader(http.StatusTooManyRequests)
	})
	send(t, newClient(t, url, time.Minute))
	spans := &recorded{values: map[string]string{}}
	c, err := whatsapp.NewClient(whatsapp.Options{URL: url, Timeout: time.Minute, Errors: table(t), Trace: trace.New(spans)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	send(t, c)
	if plain, traced := <-headers, <-headers; !reflect.DeepEqual(plain, traced) {
		t.Errorf("with a trace it sends %v; want %v", traced, plain)
	}
	for key, want := range map[string]string{
		"name": "POST /{phone_number_id}/messages", "http.response.status_code": "429", "failed": "response with an error", "ended": "yes",
	} {
		if spans.values[key] != want {
			t.Errorf("%s is %q; want %q", key, spans.values[key], want)
		}
	}
	for key, value := range spans.values {
		if strings.Contains(value, phoneNumberID) || strings.Contains(value, "secret-token") {
			t.Errorf("%s tells %q", key, value)
		}
	}
}

func TestAnswers(t *testing.T) {
	permanent, transient, sender := message.ClassPermanent, message.ClassTransient, message.ClassSender
	throttled := message.ClassThrottled
	lost := func(r message.CallResult) bool { _, ok := r.(message.Lost); return ok }
	accepted := func(want message.Accepted) func(message.CallResult) bool {
		return func(r message.CallResult) bool { return r == want }
	}
	for _, tc := range []struct {
		file   string
		status int
		header http.Header
		want   func(message.CallResult) bool
	}{
		{"success_text.json", 200, nil, accepted(message.Accepted{WhatsAppID: "wamid.HBgLMTIwMjU1NTAxNDMVAgARGBI3RDMxQTkwQzU1RTJGMDRCMUEA", RecipientID: "12025550143"})},
		{"success_template_accepted.json", 200, nil, accepted(message.Accepted{WhatsAppID: "wamid.HBgMNDQ3NzAwOTAwMTIzFQIAERgSMDJDNEU2RjgxQjNENUE3OTkwAA==", RecipientID: "447700900123"})},
		{"success_template_held.json", 200, nil, accepted(message.Accepted{WhatsAppID: "wamid.HBgLMTIwMjU1NTAxNDMVAgARGBJBMUIyQzNENEU1RjYwNzE4MjkA", RecipientID: "12025550143", Held: "held_for_quality_assessment"})},
		{"success_template_paused.json", 200, nil, accepted(message.Accepted{WhatsAppID: "wamid.HBgLMTIwMjU1NTAxNDMVAgARGBJBMUIyQzNENEU1RjYwNzE4MjkA", RecipientID: "12025550143", Held: "paused"})},
		{"success_wa_id_differs.json", 200, nil, accepted(message.Accepted{WhatsAppID: "wamid.HBgMNTUxMTg3NjUwMTQzFQIAERgSQjdCN0I3QjdCN0I3QjdCN0I3AA==", RecipientID: "551187650143"})},
		{"success_bsuid.json", 200, nil, accepted(message.Accepted{WhatsAppID: "wamid.HBgMNDQ3NzAwOTAwMTIzFQIAERgSMDJDNEU2RjgxQjNENUE3OTkwAA==", RecipientID: "GB.70515320811973660425"})},
		{"success_truncated.txt", 200, nil, lost},
		{"error_400_100_missing_object.json", 400, nil, refusedWith(sender, "", message.CategoryAccount)},
		{"error_400_100_param.json", 400, nil, refusedWith(permanent, "", message.CategoryParameter)},
		{"error_400_template_string_error_data.json", 400, nil, refusedWith(permanent, "", message.CategoryParameter)},
		{"error_400_130429.json", 400, nil, refusedWith(throttled, message.ScopeNumber, message.CategoryCapacity)},
		{"error_429_130429.json", 429, http.Header{"Retry-After": {"7"}}, refusedWith(throttled, message.ScopeNumber, message.CategoryCapacity)},
		{"error_400_131056.json", 400, nil, refusedWith(throttled, message.ScopePair, message.CategoryPairRateLimit)},
		{"error_400_80007.json", 400, nil, refusedWith(throttled, message.ScopeAccount, message.CategoryRateLimit)},
		{"error_400_4.json", 400, nil, refusedWith(throttled, message.ScopeApp, message.CategoryRateLimit)},
		{"error_429_4.json", 429, nil, refusedWith(throttled, message.ScopeApp, message.CategoryRateLimit)},
		{"error_429_empty.txt", 429, http.Header{"Retry-After": {"30"}}, refusedWith(throttled, message.ScopeNumber, message.CategoryRateLimit)},
		{"error_500_131057.json", 500, nil, refusedWith(throttled, message.ScopeNumber, message.CategoryServer)},
		{"error_400_131009.json", 400, nil, refusedWith(permanent, "", message.CategoryParameter)},
		{"error_400_131026.json", 400, nil, refusedWith(permanent, "", message.CategoryRecipient)},
		{"error_400_131030.json", 400, nil, refusedWith(permanent, "", message.CategoryRecipient)},
		{"error_400_131042.json", 400, nil, refusedWith(sender, "", message.CategoryPayment)},
		{"error_400_131047.json", 400, nil, refusedWith(permanent, "", message.CategoryPolicy)},
		{"error_400_131048.json", 400, nil, refusedWith(sender, "", message.CategoryPolicy)},
		{"error_400_131053.json", 400, nil, refusedWith(transient, "", message.CategoryMedia)},
		{"error_400_132000.json", 400, nil, refusedWith(permanent, "", message.CategoryTemplate)},
		{"error_400_132015.json", 400, nil, refusedWith(permanent, "", message.CategoryTemplate)},
		{"error_404_132001.json", 404, nil, refusedWith(permanent, "", message.CategoryTemplate)},
		{"error_400_133010.json", 400, nil, refusedWith(sender, "", message.CategoryAccount)},
		{"error_401_0.json", 401, nil, refusedWith(sender, "", message.CategoryAuth)},
		{"error_401_190.json", 401, nil, refusedWith(sender, "", message.CategoryAuth)},
		{"error_403_10.json", 403, nil, refusedWith(sender, "", message.CategoryAuth)},
		{"error_403_130497.json", 403, nil, refusedWith(permanent, "", message.CategoryPolicy)},
		{"error_403_131005.json", 403, nil, refusedWith(sender, "", message.CategoryAuth)},
		{"error_403_131031.json", 403, nil, refusedWith(sender, "", message.CategoryAccount)},
		{"error_403_368.json", 403, nil, refusedWith(sender, "", message.CategoryPolicy)},
		{"error_500_131000.json", 500, nil, refusedWith(transient, "", message.CategoryServer)},
		{"error_500_131016.json", 500, nil, refusedWith(transient, "", message.CategoryServer)},
		{"error_500_3.json", 500, nil, refusedWith(sender, "", message.CategoryAuth)},
		{"error_503_2.json", 503, nil, refusedWith(transient, "", message.CategoryServer)},
		{"error_503_html.html", 503, nil, lost},
		{"error_400_unknown_code.json", 400, nil, refusedWith(permanent, "", message.CategoryUnknown)},
		{"error_400_unknown_code.json", 500, nil, refusedWith(transient, "", message.CategoryUnknown)},
	} {
		t.Run(fmt.Sprint(tc.file, " ", tc.status), func(t *testing.T) {
			body := fixture(t, "responses/"+tc.file)
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				maps.Copy(w.Header(), tc.header)
				w.WriteHeader(tc.status)
				w.Write(body)
			})
			got := send(t, newClient(t, url, time.Minute))
			if !tc.want(got) {
				t.Errorf("classified as %T %+v", got, got)
			}
			refused, ok := got.(message.Refused)
			if !ok {
				return
			}
			f := refused.Failure
			if f.HTTPStatus != tc.status || f.Message == "" || f.Advice == "" || refused.Personal.Raw != string(body) {
				t.Errorf("failure %+v", refused)
			}
			if len(body) > 0 && (f.Code == nil || f.FBTraceID == "" || refused.Personal.Details == "") {
				t.Errorf("failure %+v", refused)
			}
			if refused.Unreachable != (tc.status >= 500 && f.Class == transient) {
				t.Errorf("unreachable: %t", refused.Unreachable)
			}
			if tc.header != nil && fmt.Sprint(refused.RetryAfterSeconds) != tc.header.Get("Retry-After") {
				t.Errorf("retry after %d s", refused.RetryAfterSeconds)
			}
		})
	}
}

func TestAnswersWithoutACode(t *testing.T) {
	for _, tc := range []struct {
		status int
		body   string
		want   func(message.CallResult) bool
	}{
		{401, "", refusedWith(message.ClassSender, "", message.CategoryAuth)},
		{403, "<html>", refusedWith(message.ClassSender, "", message.CategoryAuth)},
		{404, `{"error":"not found"}`, refusedWith(message.ClassSender, "", message.CategoryParameter)},
		{413, "", refusedWith(message.ClassPermanent, "", message.CategoryParameter)},
		{400, "", refusedWith(message.ClassPermanent, "", message.CategoryUnknown)},
		{418, `{"error":{"message":"no"}}`, refusedWith(message.ClassPermanent, "", message.CategoryUnknown)},
		{429, "slow down", refusedWith(message.ClassThrottled, message.ScopeNumber, message.CategoryRateLimit)},
		{302, "", refusedWith(message.ClassSender, "", message.CategoryParameter)},
		{500, `{"error":{}}`, isLost(whatsapp.CauseServer, 500)},
		{502, "", isLost(whatsapp.CauseServer, 502)},
		{504, "<html>", isLost(whatsapp.CauseServer, 504)},
		{200, "", isLost(whatsapp.CauseUnreadable, 200)},
		{200, `{"messages":[]}`, isLost(whatsapp.CauseUnreadable, 200)},
		{200, `{"messages":[{"id":7}]}`, isLost(whatsapp.CauseUnreadable, 200)},
		{200, strings.Repeat(" ", 70_000) + `{}`, isLost(whatsapp.CauseUnreadable, 200)},
		// A readable error is an error whatever the status, and its code can be a string.
		{200, `{"error":{"code":"131047"}}`, refusedWith(message.ClassPermanent, "", message.CategoryPolicy)},
		{401, `{"error":{"code":138006}}`, refusedWith(message.ClassPermanent, "", message.CategoryParameter)},
		{400, `{"error":{"code":139998,"is_transient":true}}`, refusedWith(message.ClassTransient, "", message.CategoryUnknown)},
		{500, `{"error":{"code":139998,"is_transient":false}}`, refusedWith(message.ClassPermanent, "", message.CategoryUnknown)},
		{400, `{"error":{"code":250}}`, refusedWith(message.ClassSender, "", message.CategoryAuth)},
		// Subcode 33 concerns the sender only if it is the sender's number that is missing.
		{400, `{"error":{"code":100,"error_subcode":33}}`, refusedWith(message.ClassSender, "", message.CategoryAccount)},
		{400, `{"error":{"code":100,"message":"Unsupported post request. Object with ID '` + phoneNumberID + `' does not exist"}}`, refusedWith(message.ClassSender, "", message.CategoryAccount)},
		{400, `{"error":{"code":100,"error_subcode":33,"message":"Unsupported get request. Object with ID '1200300400500600' does not exist"}}`, refusedWith(message.ClassPermanent, "", message.CategoryParameter)},
	} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(tc.status)
			io.WriteString(w, tc.body)
		})
		if got := send(t, newClient(t, url, time.Minute)); !tc.want(got) {
			t.Errorf("%d %.60q was classified as %T %+v", tc.status, tc.body, got, got)
		}
	}
}

func isLost(cause string, status int) func(message.CallResult) bool {
	return func(r message.CallResult) bool { return r == message.Lost{Cause: cause, HTTPStatus: status} }
}

func TestRequest(t *testing.T) {
	var got *http.Request
	var body string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		read, _ := io.ReadAll(r.Body)
		got, body = r, string(read)
		w.Write(fixture(t, "responses/success_text.json"))
	})
	var written atomic.Int32
	c := newClient(t, url+"/v25.0/", time.Minute)
	c.Send(t.Context(), whatsapp.Call{PhoneNumberID: "1", Token: "tok", Body: []byte(`{"x":1}`), Written: func() { written.Add(1) }})
	if got.Method != http.MethodPost || got.URL.Path != "/v25.0/1/messages" || body != `{"x":1}` || got.ContentLength != 7 {
		t.Errorf("%s %s %q", got.Method, got.URL, body)
	}
	if got.Header.Get("Authorization") != "Bearer tok" || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", got.Header)
	}
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if _, set := got.Header[name]; set {
			t.Errorf("%s is set: net/http would automatically write the request again", name)
		}
	}
	if written.Load() != 1 {
		t.Errorf("notified %d times that the request was written", written.Load())
	}
}

// cutAfterRequest accepts connections and closes them after reading a request, having written answer before.
func cutAfterRequest(t *testing.T, answer string) (url string, requests *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	requests = new(atomic.Int32)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer conn.Close()
				buffer := make([]byte, 64<<10)
				if n, _ := conn.Read(buffer); n > 0 {
					requests.Add(1)
					io.WriteString(conn, answer)
				}
			})
		}
	})
	t.Cleanup(func() { listener.Close(); work.Wait() })
	return "http://" + listener.Addr().String(), requests
}

func TestLostAnswers(t *testing.T) {
	t.Run("cut", func(t *testing.T) {
		url, requests := cutAfterRequest(t, "")
		if got := send(t, newClient(t, url, time.Minute)); !isLost(whatsapp.CauseCut, 0)(got) {
			t.Errorf("%T %+v", got, got)
		}
		if requests.Load() != 1 {
			t.Errorf("written %d times", requests.Load())
		}
	})
	t.Run("cut inside a 200", func(t *testing.T) {
		url, _ := cutAfterRequest(t, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"messages\":[{\"id\":\"wamid.x\"}]")
		if got := send(t, newClient(t, url, time.Minute)); !isLost(whatsapp.CauseCut, 200)(got) {
			t.Errorf("%T %+v", got, got)
		}
	})
	t.Run("cut inside a 500", func(t *testing.T) {
		url, _ := cutAfterRequest(t, "HTTP/1.1 500 no\r\nContent-Length: 500\r\n\r\n{\"error\":{\"code\":131000}}")
		if got := send(t, newClient(t, url, time.Minute)); !isLost(whatsapp.CauseCut, 500)(got) {
			t.Errorf("%T %+v", got, got)
		}
	})
	t.Run("no answer in time", func(t *testing.T) {
		release := make(chan struct{})
		url := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
		defer close(release)
		// It must be written in that time.
		if got := send(t, newClient(t, url, time.Second)); !isLost(whatsapp.CauseTimeout, 0)(got) {
			t.Errorf("%T %+v", got, got)
		}
	})
	t.Run("given up", func(t *testing.T) {
		release, reached := make(chan struct{}), make(chan struct{})
		url := serve(t, func(http.ResponseWriter, *http.Request) { close(reached); <-release })
		defer close(release)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-reached; cancel() }()
		got := newClient(t, url, time.Minute).Send(ctx, whatsapp.Call{PhoneNumberID: "1", Body: []byte("{}")})
		if !isLost(whatsapp.CauseCancelled, 0)(got) {
			t.Errorf("%T %+v", got, got)
		}
	})
}

// The server may have closed the connection that a call reuses. The call is then made on another connection, or is
// lost. It is never made twice.
func TestReusedConnection(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		calls.Add(1)
		w.Write(fixture(t, "responses/success_text.json"))
	}))
	defer server.Close()
	c := newClient(t, server.URL, time.Minute)
	accepted, lost := int32(0), int32(0)
	for round := range 100 {
		var closing sync.WaitGroup
		closing.Go(server.CloseClientConnections)
		amid := round%2 == 1
		if !amid {
			closing.Wait()
		}
		got := send(t, c)
		closing.Wait()
		switch got := got.(type) {
		case message.Accepted:
			accepted++
		case message.Lost:
			lost++
		case message.Refused: // even the new connection was closed before the request
			if !amid || !got.Unreachable || got.Failure.Category != message.CategoryNetwork {
				t.Errorf("round %d: %+v", round, got)
			}
		default:
			t.Errorf("%T %+v", got, got)
		}
	}
	if n := calls.Load(); n > accepted+lost || n < accepted || accepted == 0 { // the first one's connection is never closed
		t.Errorf("%d calls arrived, %d accepted, %d lost", n, accepted, lost)
	}
}

func TestNoConnection(t *testing.T) {
	closed, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	untrusted.StartTLS()
	defer untrusted.Close()
	for name, tc := range map[string]struct{ url, text string }{
		"refused":         {"http://" + closed, "refused"},
		"unknown host":    {"http://no-such-host.invalid", "resolved"},
		"bad certificate": {untrusted.URL, "not trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			written := false
			c := newClient(t, tc.url, 10*time.Second)
			got := c.Send(t.Context(), whatsapp.Call{PhoneNumberID: "910200300400500", Body: []byte("{}"), Written: func() { written = true }})
			refused, ok := got.(message.Refused)
			if !ok || written || !refused.Unreachable || refused.Failure.Class != message.ClassTransient || refused.Failure.Category != message.CategoryNetwork || refused.Failure.Code != nil {
				t.Fatalf("%T %+v", got, got)
			}
			if !strings.Contains(refused.Failure.Message, tc.text) || strings.Contains(refused.Personal.Details, "910200300400500") {
				t.Errorf("message %q, details %q", refused.Failure.Message, refused.Personal.Details)
			}
		})
	}
	t.Run("no TLS answer", func(t *testing.T) {
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		got := send(t, newClient(t, "https://"+silent.Addr().String(), 200*time.Millisecond))
		if !refusedWith(message.ClassTransient, "", message.CategoryNetwork)(got) {
			t.Errorf("%T %+v", got, got)
		}
	})
	t.Run("cancelled before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		c := newClient(t, "http://"+closed, time.Minute)
		if got := c.Send(ctx, whatsapp.Call{PhoneNumberID: "1"}); got != (message.NotCalled{}) {
			t.Errorf("%T %+v", got, got)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	usage := `{"900100200300400":[{"type":"whatsapp","call_count":100,"total_cputime":22,"total_time":31,"estimated_time_to_regain_access":13}]}`
	for _, tc := range []struct {
		name, file string
		header     http.Header
		want       int
	}{
		{"none", "error_400_130429.json", nil, 0},
		{"seconds", "error_400_130429.json", http.Header{"Retry-After": {"7"}}, 7},
		{"a day", "error_400_130429.json", http.Header{"Retry-After": {"86400"}}, 3600},
		{"negative", "error_400_130429.json", http.Header{"Retry-After": {"-5"}}, 0},
		{"a date", "error_400_130429.json", http.Header{"Date": {"Mon, 02 Mar 2026 10:00:00 GMT"}, "Retry-After": {"Mon, 02 Mar 2026 10:00:09 GMT"}}, 9},
		{"nonsense", "error_400_130429.json", http.Header{"Retry-After": {"soon"}}, 0},
		{"minutes of the account", "error_400_80007.json", http.Header{"X-Business-Use-Case-Usage": {usage}}, 780},
		{"not for the number", "error_400_130429.json", http.Header{"X-Business-Use-Case-Usage": {usage}}, 0},
	} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			maps.Copy(w.Header(), tc.header)
			w.WriteHeader(http.StatusBadRequest)
			w.Write(fixture(t, "responses/"+tc.file))
		})
		refused, ok := send(t, newClient(t, url, time.Minute)).(message.Refused)
		if !ok || refused.RetryAfterSeconds != tc.want {
			t.Errorf("%s: %d s", tc.name, refused.RetryAfterSeconds)
		}
	}
}

func TestNewClientRefusesBadURLs(t *testing.T) {
	for _, url := range []string{"graph.facebook.com/v25.0", "ftp://x/", "http://", "https://user:pass@x/", "https://x/?y=1", "http://a b/"} {
		if _, err := whatsapp.NewClient(whatsapp.Options{URL: url, Errors: table(t)}); err == nil || strings.Contains(err.Error(), "pass@") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := whatsapp.NewClient(whatsapp.Options{}); err == nil {
		t.Error("accepted without a table")
	}
}
