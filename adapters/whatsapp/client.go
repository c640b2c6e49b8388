package whatsapp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain/message"
)

const (
	// DefaultURL is the base URL of Meta's API, in the version that this package was written for.
	DefaultURL = "https://graph.facebook.com/v25.0"
	// DefaultCallTimeout limits a call. WhatsApp downloads media given by link before it responds.
	DefaultCallTimeout = 30 * time.Second

	// maxAnswer is the maximum number of bytes read from a response. Real ones have less than 2 KiB.
	maxAnswer = 64 << 10
	// connectTimeout limits connecting, and the TLS handshake after it.
	connectTimeout = 10 * time.Second
	// maxIdleConns is the number of connections kept for the next calls: as many as there can be calls in flight to an
	// API that takes 50 ms at 20 numbers' full rate, and some more. With fewer, each call above the limit would need a
	// new connection and a TLS handshake.
	maxIdleConns = 2048
	// maxStale is the number of kept connections that can turn out to be closed by the server, before anything was
	// written to them, until a call counts as failed. In most such cases, the transport itself tries other connections.
	maxStale = 4
)

// Causes of a lost response. They are recorded in events.
const (
	CauseTimeout    = "no answer in time"
	CauseCut        = "the connection ended before the answer"
	CauseCancelled  = "the call was given up before the answer"
	CauseServer     = "a server error without a readable body"
	CauseUnreadable = "an answer that cannot be read"
)

// Options configure a Client.
type Options struct {
	// URL is the base URL with the version. If empty, DefaultURL is used.
	URL string
	// Timeout limits a call from its start to the end of its response. If zero, DefaultCallTimeout is used.
	Timeout time.Duration
	// Errors is the table that classifies errors.
	Errors *ErrorTable
	// Trace traces the calls. If nil, calls are not traced.
	Trace *trace.Tracer
}

// Client calls the Cloud API. It keeps connections for hundreds of concurrent calls. Any number of goroutines can use
// it.
type Client struct {
	base    url.URL
	timeout time.Duration
	errors  *ErrorTable
	trace   *trace.Tracer
	http    *http.Client
	files   *http.Client // for files, on the same connections
}

// NewClient returns a client. It fails if the URL is invalid or contains credentials.
func NewClient(o Options) (*Client, error) {
	if o.Errors == nil {
		return nil, errors.New("the error table is missing: pass the result of LoadErrorTable")
	}
	if o.URL == "" {
		o.URL = DefaultURL
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultCallTimeout
	}
	base, err := url.Parse(strings.TrimRight(o.URL, "/"))
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.User != nil || base.RawQuery != "" {
		return nil, fmt.Errorf("the base URL of the Cloud API must be like %s", DefaultURL)
	}
	// Only HTTP/1.1 is used. With HTTP/2, all calls would share few connections, and when one breaks, the responses of
	// all its calls are lost at once.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	c := &Client{
		base: *base, timeout: o.Timeout, errors: o.Errors, trace: o.Trace,
		http: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            (&net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second}).DialContext,
				TLSHandshakeTimeout:    connectTimeout,
				MaxIdleConnsPerHost:    maxIdleConns,
				IdleConnTimeout:        50 * time.Second, // below the minute after which proxies tend to close
				MaxResponseHeaderBytes: 64 << 10,
				DisableCompression:     true, // responses are small
				Protocols:              &protocols,
			},
		},
	}
	c.files = &http.Client{CheckRedirect: c.redirect, Transport: c.http.Transport}
	return c, nil
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call is one request to be sent.
type Call struct {
	// PhoneNumberID is the number that the message is sent from.
	PhoneNumberID string
	// Token is the access token.
	Token string
	// Body is the message as Payload encodes it. The caller must not change it: a cancelled call can still be written
	// for a moment after Send has returned.
	Body []byte
	// Written, if not nil, is called when the whole request has been written to the connection. It runs on another
	// goroutine than Send, possibly after Send has returned, and must be quick.
	Written func()
}

// Send makes a call and returns its outcome. It always ends within the client's timeout. If ctx is cancelled before
// anything can have been written, the call was not made. After that, its response is lost.
func (c *Client) Send(ctx context.Context, call Call) message.CallResult {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	ctx, span := c.traceCall(ctx)
	defer span.End()
	// Whether part of the request may have been written. The transport's writer has ended when Do returns an error, so
	// the value is final then.
	var doubtful atomic.Bool
	var reused atomic.Bool // the connection was a kept one
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// A second connection is tried only if nothing was written to the first.
		GetConn:      func(string) { doubtful.Store(false) },
		GotConn:      func(info httptrace.GotConnInfo) { reused.Store(info.Reused) },
		WroteHeaders: func() { doubtful.Store(true) },
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err == nil && call.Written != nil {
				call.Written()
			}
		},
	})
	answer, err := c.http.Do(c.post(traced, call))
	for tries := 1; err != nil && !doubtful.Load() && reused.Load() && ctx.Err() == nil && tries < maxStale; tries++ {
		reused.Store(false)
		answer, err = c.http.Do(c.post(traced, call))
	}
	if err != nil {
		result := c.noAnswer(ctx, err, doubtful.Load())
		traceNoAnswer(span, result)
		return result
	}
	span.SetInt("http.response.status_code", answer.StatusCode)
	if answer.StatusCode >= http.StatusBadRequest {
		span.SetError("response with an error")
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		// What was read so far decides. For a response that reports success, that is nothing.
		body = nil
	}
	if len(body) == maxAnswer {
		_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer) // so that the connection can be reused
	}
	result := c.errors.result(answer.StatusCode, answer.Header, body, call.PhoneNumberID)
	if lost, ok := result.(message.Lost); ok && err != nil {
		lost.Cause = lostCause(ctx, err)
		return lost
	}
	return result
}

// traceCall begins the span of a call. The trace context is not sent to WhatsApp: it has no use for it, documents no
// such header, and is outside the trace's audience.
func (c *Client) traceCall(ctx context.Context) (context.Context, trace.Span) {
	ctx, span := c.trace.Begin(ctx, trace.Start{Kind: trace.Client, Name: "POST /{phone_number_id}/messages"})
	if span.IsRecording() {
		span.SetString("http.request.method", http.MethodPost)
		span.SetString("url.template", "/{phone_number_id}/messages")
		span.SetString("server.address", c.base.Hostname())
	}
	return ctx, span
}

// traceNoAnswer records why there was no response.
func traceNoAnswer(span trace.Span, result message.CallResult) {
	switch r := result.(type) {
	case message.Lost:
		span.SetError(r.Cause)
	case message.Refused:
		span.SetError(r.Failure.Message)
	}
}

// post returns the request. The URL is assembled from its parts, because parsing it for each call costs more than
// everything else here.
func (c *Client) post(ctx context.Context, call Call) *http.Request {
	target := c.base
	target.Path += "/" + call.PhoneNumberID + "/messages"
	request := &http.Request{
		Method: http.MethodPost, URL: &target, Host: target.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Authorization": {"Bearer " + call.Token},
			"Content-Type":  {"application/json"},
			"User-Agent":    {"waypost"},
		},
		ContentLength: int64(len(call.Body)),
		Body:          io.NopCloser(bytes.NewReader(call.Body)),
		// GetBody lets the transport take another connection if a kept one turns out to be closed before a byte was
		// written to it. For a POST, it does so in no other case.
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(call.Body)), nil },
	}
	return request.WithContext(ctx)
}

// noAnswer returns the outcome of a call that ended in err.
func (c *Client) noAnswer(ctx context.Context, err error, doubtful bool) message.CallResult {
	if doubtful {
		return message.Lost{Cause: lostCause(ctx, err)}
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return message.NotCalled{}
	}
	row := c.errors.without(keyConnect)
	return message.Refused{
		Failure: message.Failure{
			Category: row.Category, Class: row.Class, Message: connectFault(err), Advice: row.Advice,
		},
		Personal:    message.FailurePersonal{Details: rootCause(err)},
		Unreachable: true,
	}
}

func lostCause(ctx context.Context, err error) string {
	var timeout net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return CauseCancelled
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return CauseTimeout
	}
	return CauseCut
}

// connectFault returns a short reason why there was no connection.
func connectFault(err error) string {
	var dns *net.DNSError
	var operation *net.OpError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return "the name of the Cloud API's host cannot be resolved"
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "connecting to the Cloud API took too long"
	case errors.As(err, &operation) && operation.Op == "dial":
		return "the connection to the Cloud API was refused"
	case errors.As(err, &certificate):
		return "the certificate of the Cloud API's host is not trusted"
	}
	return "the connection to the Cloud API ended before the request"
}

// rootCause returns the error without the URL, which contains the sender's number.
func rootCause(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return err.Error()
}
