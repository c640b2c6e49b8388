// Package hooks delivers events to outgoing webhooks over HTTP and records the
// deliveries. It signs them as specified by Standard Webhooks. It also delivers alert
// notifications.
//
// # Invariants
//   - No connection goes to an internal address unless the operator allowed its network,
//     whatever a name resolves to.
//   - Redirects are not followed.
//   - The duration of every delivery and the number of response bytes read are limited.
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
	// deliveryTimeout limits a delivery. Standard Webhooks recommends 15 to 30 s.
	deliveryTimeout = 15 * time.Second
	// maxAnswer is the maximum number of response bytes to read. Reading the response
	// allows its connection to be reused.
	maxAnswer = 64 << 10
	// connsPerHost and idleConns limit the number of connections.
	connsPerHost, idleConns = 16, 100
)

// A Client delivers webhooks. It is safe for concurrent use.
type Client struct{ http *http.Client }

// NewClient returns a client that can reach public addresses and addresses in the allowed
// networks.
func NewClient(allowed []netip.Prefix) *Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: guard{allowed}.control}
	return &Client{http: &http.Client{
		Transport: &http.Transport{
			Proxy:       nil, // a proxy would resolve names itself
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 5 * time.Second,
			MaxConnsPerHost: connsPerHost, MaxIdleConnsPerHost: connsPerHost, MaxIdleConns: idleConns, IdleConnTimeout: time.Minute,
			ResponseHeaderTimeout: deliveryTimeout, MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       deliveryTimeout,
	}}
}

// Deliver posts body with the given ID and time, signed with each of the secrets, and
// returns the HTTP status. If there was no response, the error describes why. It doesn't
// contain the URL, which can include a key.
func (c *Client) Deliver(ctx context.Context, address string, secrets []string, id, contentType string, at time.Time, body []byte) (int, error) {
	signature, err := sign(secrets, id, at, body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("invalid URL")
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "waypost")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("Webhook-Signature", signature)
	return c.do(req)
}

// Post posts an unsigned body in the format of another service and returns the HTTP status.
func (c *Client) Post(ctx context.Context, address, contentType string, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("invalid URL")
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "waypost")
	return c.do(req)
}

// Forward posts a WhatsApp webhook unchanged, with WhatsApp's signature, and returns the
// HTTP status.
func (c *Client) Forward(ctx context.Context, address, signature string, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("invalid URL")
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
		return 0, fmt.Errorf("no response: %w", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // the content doesn't matter
	return res.StatusCode, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }
