// Package hooks tells outgoing webhooks of events over HTTP, and keeps the log of
// that. Deliveries are signed as Standard Webhooks says. Alerts leave by it too.
//
// Its invariants: no connection goes to an internal address unless the operator
// allowed its network, whatever a name resolves to; redirects are not followed; every
// delivery is bounded in time and in what is read of its answer.
package hooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

const (
	// deliveryTimeout bounds a delivery: Standard Webhooks asks for 15 to 30 s.
	deliveryTimeout = 15 * time.Second
	// maxAnswer is how much of an answer is read, so that its connection can be used
	// again, in bytes.
	maxAnswer = 64 << 10
	// connsPerHost and idleConns bound connections.
	connsPerHost, idleConns = 16, 100
)

// Client delivers. It is safe for concurrent use.
type Client struct{ http *http.Client }

// NewClient makes a client that reaches public addresses, and those of the allowed
// networks.
func NewClient(allowed []netip.Prefix) *Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: guard{allowed}.control}
	return &Client{http: &http.Client{
		Transport: &http.Transport{
			Proxy:       nil, // a proxy would resolve names on its own
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 5 * time.Second,
			MaxConnsPerHost: connsPerHost, MaxIdleConnsPerHost: connsPerHost, MaxIdleConns: idleConns, IdleConnTimeout: time.Minute,
			ResponseHeaderTimeout: deliveryTimeout, MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       deliveryTimeout,
	}}
}

// Deliver posts body under an id, signed by each of the secrets at a time, and
// answers the HTTP status. The error says why no answer came, without the URL, which
// may hold a key.
func (c *Client) Deliver(ctx context.Context, address string, secrets []string, id, contentType string, at time.Time, body []byte) (int, error) {
	signature, err := sign(secrets, id, at, body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the URL cannot be used")
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "waypost")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("Webhook-Signature", signature)
	return c.do(req)
}

// Post posts a body of another service's own form.
func (c *Client) Post(ctx context.Context, address, contentType string, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the URL cannot be used")
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "waypost")
	return c.do(req)
}

// Forward posts a webhook of WhatsApp as it came, with WhatsApp's own signature.
func (c *Client) Forward(ctx context.Context, address, signature string, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "waypost")
	req.Header.Set("X-Hub-Signature-256", signature)
	return c.do(req)
}

func (c *Client) do(req *http.Request) (int, error) {
	res, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return 0, fmt.Errorf("no answer: %w", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // what it says does not matter
	return res.StatusCode, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }
