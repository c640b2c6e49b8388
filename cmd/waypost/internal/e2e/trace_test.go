package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// spanReceiver is a collector that takes OTLP over HTTP.
type spanReceiver struct {
	*httptest.Server

	mu    sync.Mutex
	spans []*traces.Span
	text  strings.Builder // all that came, as JSON
}

func receiveSpans(t *testing.T) *spanReceiver {
	t.Helper()
	r := &spanReceiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var got collector.ExportTraceServiceRequest
		unzipped, err := gzip.NewReader(req.Body)
		if err == nil {
			var body []byte
			if body, err = io.ReadAll(unzipped); err == nil {
				err = proto.Unmarshal(body, &got)
			}
		}
		if err != nil || req.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", req.URL.Path, err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.text.WriteString(protojson.Format(&got))
		for _, rs := range got.GetResourceSpans() {
			for _, ss := range rs.GetScopeSpans() {
				r.spans = append(r.spans, ss.GetSpans()...)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// of returns the spans of a trace.
func (r *spanReceiver) of(trace string) (found []*traces.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if hex.EncodeToString(s.GetTraceId()) == trace {
			found = append(found, s)
		}
	}
	return found
}

// about returns the traces that mention a message.
func (r *spanReceiver) about(message string) (found []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if trace := hex.EncodeToString(s.GetTraceId()); attribute(s, "waypost.message.id") == message && !slices.Contains(found, trace) {
			found = append(found, trace)
		}
	}
	return found
}

func attribute(s *traces.Span, key string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == key {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

// doWithHeader executes a request that has one more header, decodes its data, and returns the response.
func doWithHeader(
	ctx context.Context, t *testing.T, r *harness.TestEnv, header, value, query string, variables map[string]any, data any,
) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Client.URL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+r.Client.Key)
	req.Header.Set(header, value)
	text, err := apiclient.RoundTrip(r.Client.HTTP, req)
	if err == nil {
		err = json.Unmarshal(text, &struct{ Data any }{data})
	}
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return text
}

// queueIn queues messages as one request in a caller's span.
func queueIn(ctx context.Context, t *testing.T, r *harness.TestEnv, traceparent string, inputs ...map[string]any) (ids []string) {
	t.Helper()
	var data struct {
		Mine []struct{ Message struct{ ID string } }
	}
	text := doWithHeader(ctx, t, r, "Traceparent", traceparent,
		`mutation Anouk($inputs: [QueueMessageInput!]!) { mine: queueMessages(inputs: $inputs) { message { id } error { message } } }`,
		map[string]any{"inputs": inputs}, &data)
	if len(data.Mine) != len(inputs) {
		t.Fatalf("got %s", text)
	}
	for _, m := range data.Mine {
		ids = append(ids, m.Message.ID)
	}
	return ids
}

// A message has one trace, from the mutation that queued it to the webhook that said it
// was read, over everything that lies between, a restart of the platform included.
func TestOneTraceFromTheMutationToTheWebhook(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	spans := receiveSpans(t)
	const (
		trace  = "4bf92f3577b34da6a3ce929d0e0e4736"
		caller = "00f067aa0ba902b7"
	)
	r := e2etest.Start(ctx, t, []string{"WAYPOST_OTLP_ENDPOINT=" + spans.URL}, nil)
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	personal := func(key string) map[string]any {
		m := harness.Message("shop", key, 1)
		m["to"], m["content"] = e2eRecipient, map[string]any{"text": map[string]any{"body": e2eBody}}
		m["labels"] = []map[string]any{{"name": "for", "value": "Anouk"}}
		return m
	}
	// It waits while the platform is restarted: its trace is then only in the log.
	if err := r.Client.Do(ctx, `mutation { pauseSender(id: "shop", reason: "restart") { id } }`, nil, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	ids := queueIn(ctx, t, r, "00-"+trace+"-"+caller+"-01", personal("order-7719"))
	if err := r.Serve.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.Client.Do(ctx, `mutation { resumeSender(id: "shop") { id } }`, nil, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	e2etest.AwaitRead(ctx, t, r, ids[0])
	// Of several messages each has a trace of its own, whoever asked for them.
	several := queueIn(ctx, t, r, "00-5bf92f3577b34da6a3ce929d0e0e4736-"+caller+"-01", harness.Message("shop", "a", 2), harness.Message("shop", "b", 3))
	e2etest.AwaitRead(ctx, t, r, several...)
	const refused = "6bf92f3577b34da6a3ce929d0e0e4736"
	queueIn(ctx, t, r, "00-"+refused+"-"+caller+"-01", harness.Message("nobody", "refused", 4))
	if err := r.Serve.Stop(); err != nil { // it sends waiting spans
		t.Fatal(err)
	}

	if about := spans.about(ids[0]); len(about) != 1 || about[0] != trace {
		t.Errorf("the message is in the traces %v; want only its caller's", about)
	}
	byID := map[string]*traces.Span{}
	for _, s := range spans.of(trace) {
		byID[hex.EncodeToString(s.GetSpanId())] = s
	}
	// below names the span that a span is inside of.
	below := func(s *traces.Span) string {
		id := hex.EncodeToString(s.GetParentSpanId())
		if id == caller {
			return "the caller"
		}
		if parent := byID[id]; parent != nil {
			return parent.GetName()
		}
		return "nothing that came"
	}
	var reported []string
	count := map[string]int{}
	for _, s := range byID {
		count[s.GetName()]++
		want, known := map[string]struct {
			below string
			kind  traces.Span_SpanKind
		}{
			"mutation queueMessages":           {"the caller", traces.Span_SPAN_KIND_SERVER},
			"queue message":                    {"mutation queueMessages", traces.Span_SPAN_KIND_PRODUCER},
			"send message":                     {"queue message", traces.Span_SPAN_KIND_CONSUMER},
			"POST /{phone_number_id}/messages": {"send message", traces.Span_SPAN_KIND_CLIENT},
			"record status":                    {"send message", traces.Span_SPAN_KIND_CONSUMER},
		}[s.GetName()]
		if !known || below(s) != want.below || s.GetKind() != want.kind {
			t.Errorf("%s of kind %s is below %s; want below %s, %s", s.GetName(), s.GetKind(), below(s), want.below, want.kind)
		}
		if s.GetStatus().GetCode() == traces.Status_STATUS_CODE_ERROR {
			t.Errorf("%s failed: %s", s.GetName(), s.GetStatus().GetMessage())
		}
		if s.GetName() == "record status" {
			reported = append(reported, strings.Split(attribute(s, "waypost.events"), ",")...)
			if n := len(s.GetLinks()); n != 1 {
				t.Errorf("a status has %d links; want one to the webhook that brought it", n)
			} else if webhook := spans.of(hex.EncodeToString(s.GetLinks()[0].GetTraceId())); len(webhook) != 1 || webhook[0].GetName() != "POST /webhooks/whatsapp" {
				t.Errorf("a status is linked to %v", webhook)
			}
		}
	}
	for _, name := range []string{"mutation queueMessages", "queue message", "send message", "POST /{phone_number_id}/messages"} {
		if count[name] != 1 {
			t.Errorf("%d spans %q; want one", count[name], name)
		}
	}
	if !slices.Contains(reported, "Read") {
		t.Errorf("the status spans name %v; want Read among them", reported)
	}

	for _, s := range spans.of(refused) {
		if s.GetName() == "queue message" {
			count["refused"]++
			if s.GetStatus().GetCode() != traces.Status_STATUS_CODE_ERROR || s.GetStatus().GetMessage() != "INVALID_INPUT" {
				t.Errorf("queueing for an unknown sender ended with %v; want the error INVALID_INPUT", s.GetStatus())
			}
		}
	}
	if count["refused"] != 1 {
		t.Errorf("%d spans of a refused message; want one", count["refused"])
	}

	seen := map[string]bool{}
	for _, id := range several {
		about := spans.about(id)
		if len(about) != 1 || seen[about[0]] || about[0] == "5bf92f3577b34da6a3ce929d0e0e4736" {
			t.Errorf("one of several is in the traces %v; want its own", about)
			continue
		}
		seen[about[0]] = true
		for _, s := range spans.of(about[0]) {
			if s.GetName() == "queue message" && (len(s.GetLinks()) != 1 || hex.EncodeToString(s.GetLinks()[0].GetTraceId()) != "5bf92f3577b34da6a3ce929d0e0e4736") {
				t.Errorf("its beginning is not linked to the request: %v", s)
			}
		}
	}

	spans.mu.Lock()
	defer spans.mu.Unlock()
	text := spans.text.String()
	for _, word := range []string{
		strings.TrimPrefix(e2eRecipient, "+"), "parcel", "Anouk", "order-7719", "wamid.", harness.Token, harness.AdminKey, harness.AppSecret,
	} {
		if strings.Contains(text, word) {
			t.Errorf("a span contains %q", word)
		}
	}
}

// Messages are sent and Waypost stops normally while no collector accepts spans.
func TestACollectorThatHangsIsNoFault(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	hung := make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hung }))
	defer collector.Close()
	defer close(hung)
	r := e2etest.Start(ctx, t, []string{"WAYPOST_OTLP_ENDPOINT=" + collector.URL}, nil)
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	ids, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message("shop", "a", 1)})
	if err != nil {
		t.Fatal(err)
	}
	e2etest.AwaitRead(ctx, t, r, ids...)
	if err := r.Serve.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}
