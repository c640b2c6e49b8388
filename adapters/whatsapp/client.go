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
	// DefaultURL is the base URL of Meta's API in the version this package was written against.
	DefaultURL = "https://graph.facebook.com/v25.0"
	// DefaultCallTimeout bounds a call. WhatsApp fetches media given by link before it answers.
	DefaultCallTimeout = 30 * time.Second

	// maxAnswer is how much of an answer is read, in bytes. Real ones have less than 2 KiB.
	maxAnswer = 64 << 10
	// connectTimeout bounds connecting, and the TLS handshake after it.
	connectTimeout = 10 * time.Second
	// maxIdleConns is how many connections are kept for the next calls: as many calls as may be under way
	// to an API that takes 50 ms at 20 numbers' full rate, and some. Fewer would mean a new connection, and
	// a TLS handshake, for each call above.
	maxIdleConns = 2048
	// maxStale is how many kept connections may turn out to be closed by the server, before anything was
	// written to them, until a call counts as failed. The transport itself tries others in most such cases.
	maxStale = 4
)

// Causes of a lost answer.
const (
	CauseTimeout    = "no answer in time"
	CauseCut        = "the connection ended before the answer"
	CauseCancelled  = "the call was given up before the answer"
	CauseServer     = "a server error without a readable body"
	CauseUnreadable = "an answer that cannot be read"
)

// Options say how a Client calls.
type Options struct {
	// URL is the base URL with the version. Empty: DefaultURL.
	URL string
	// Timeout bounds a call from its start to the end of its answer. 0: DefaultCallTimeout.
	Timeout time.Duration
	// Errors is the table to classify by.
	Errors *ErrorTable
	// Trace follows the calls; nil: nobody does.
	Trace *trace.Tracer
}

// Client calls the Cloud API. It keeps connections for hundreds of calls under way and may be used by any
// number of goroutines.
type Client struct {
	base    url.URL
	timeout time.Duration
	errors  *ErrorTable
	trace   *trace.Tracer
	http    *http.Client
}

// NewClient returns a client. It fails if the URL is none or carries credentials.
func NewClient(o Options) (*Client, error) {
	if o.Errors == nil {
		return nil, errors.New("the table of errors is missing: give that of LoadErrorTable")
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
	// HTTP/1.1 alone: with HTTP/2 all calls share few connections, and when one breaks the answers of all
	// calls on it are lost at once.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &Client{
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
				DisableCompression:     true, // answers are small
				Protocols:              &protocols,
			},
		},
	}, nil
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call is one call to be made.
type Call struct {
	// PhoneNumberID is the number it is sent from.
	PhoneNumberID string
	// Token is the access token.
	Token string
	// Body is the message as Payload builds it. It must not be changed any more: a call that is given up may
	// still be written for a moment after Send returned.
	Body []byte
	// Written is told when the whole request was written to the connection, if it was; it may be nil. It
	// runs on another goroutine than Send's, may do so after Send returned, and must be quick.
	Written func()
}

// Send makes a call and says what came of it. It always ends, within the client's timeout. When ctx is
// cancelled before anything may have been written the call was not made; after that its answer is lost.
func (c *Client) Send(ctx context.Context, call Call) message.CallResult {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	ctx, span := c.traceCall(ctx)
	defer span.End()
	// Something of the request may have been written. The transport's writer has ended when Do returns an
	// error, so what this says then is final.
	var doubtful atomic.Bool
	var reused atomic.Bool // the connection was one of those kept
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// A second connection is tried only when nothing was written to the first.
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
	span.Number("http.response.status_code", answer.StatusCode)
	if answer.StatusCode >= http.StatusBadRequest {
		span.Fail("an answer with an error")
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		// What was read of it decides, which is nothing for an answer that says the message was taken.
		body = nil
	}
	if len(body) == maxAnswer {
		_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer) // so that the connection can be used again
	}
	result := c.errors.result(answer.StatusCode, answer.Header, body, call.PhoneNumberID)
	if lost, ok := result.(message.Lost); ok && err != nil {
		lost.Cause = lostCause(ctx, err)
		return lost
	}
	return result
}

// traceCall begins the span of a call. WhatsApp is not told of the trace: it has no use
// for it, documents no such header, and is outside of whom the trace is for.
func (c *Client) traceCall(ctx context.Context) (context.Context, trace.Span) {
	ctx, span := c.trace.Begin(ctx, trace.Start{Kind: trace.Client, Name: "POST /{phone_number_id}/messages"})
	if span.On() {
		span.Text("http.request.method", http.MethodPost)
		span.Text("url.template", "/{phone_number_id}/messages")
		span.Text("server.address", c.base.Hostname())
	}
	return ctx, span
}

// traceNoAnswer says why there was none.
func traceNoAnswer(span trace.Span, result message.CallResult) {
	switch r := result.(type) {
	case message.Lost:
		span.Fail(r.Cause)
	case message.Refused:
		span.Fail(r.Failure.Message)
	}
}

// post builds the request. The URL is put together from its parts since parsing it for each call costs more
// than all the rest of this.
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
		// Lets the transport take another connection when the one it kept turns out to be closed before a
		// byte was written to it. It does so for a POST in no other case.
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(call.Body)), nil },
	}
	return request.WithContext(ctx)
}

// noAnswer says what came of a call that ended in err.
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

// connectFault says in a few words why there was no connection.
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

// rootCause is the error without the URL, which names the sender's number.
func rootCause(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return err.Error()
}
