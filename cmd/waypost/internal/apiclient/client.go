// Package apiclient is the commands' client of the GraphQL API.
package apiclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RequestTimeout bounds one request.
const RequestTimeout = 20 * time.Second

// A Client calls the GraphQL API with a key, like any other caller.
type Client struct {
	URL, Key string
	HTTP     *http.Client
}

// New returns a client of the API at a URL.
func New(url, key string) *Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	return &Client{URL: url, Key: key, HTTP: &http.Client{
		Timeout: RequestTimeout, Transport: transport,
		// The key is only for this address.
		CheckRedirect: func(to *http.Request, _ []*http.Request) error { return redirectedError{to.URL.Redacted()} },
	}}
}

// redirectedError means that the server sent the client to another address, which
// doesn't get the key.
type redirectedError struct{ to string }

func (e redirectedError) Error() string {
	return fmt.Sprintf("the server redirects to %s; if that is Waypost, use its address as --url", e.to)
}

// An Error means that Waypost refused the request.
type Error struct {
	Message    string `json:"message"`
	Extensions struct {
		Code  string `json:"code"`
		Field string `json:"field"`
	} `json:"extensions"`
}

func (e *Error) Error() string { return e.Extensions.Code + ": " + e.Message }

// Do makes one request and decodes the data of the response into into. It returns an *Error if Waypost refuses the request. Any other
// error is one of the connection.
func (c *Client) Do(ctx context.Context, query string, variables map[string]any, into any) error {
	_, err := c.DoWithHint(ctx, query, variables, into)
	return err
}

// DoWithHint is Do, and also returns how long to wait before the request, or the refused part of it, is repeated. It is 0 if Waypost
// doesn't say so.
func (c *Client) DoWithHint(ctx context.Context, query string, variables map[string]any, into any) (retryAfter time.Duration, err error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.Key)
	text, header, failure := roundTrip(c.HTTP, req)
	retryAfter = retryAfterOf(header)
	if dial := new(net.OpError); errors.As(failure, &dial) && dial.Op == "dial" {
		failure = fmt.Errorf("%w; check that Waypost is running there", failure)
	}
	var answer struct {
		Data   json.RawMessage `json:"data"`
		Errors []*Error        `json:"errors"`
	}
	err = json.Unmarshal(text, &answer)
	switch { // a response with errors can have another status than 200
	case err == nil && len(answer.Errors) > 0:
		return retryAfter, answer.Errors[0]
	case failure != nil:
		return retryAfter, failure
	case err != nil:
		return retryAfter, fmt.Errorf("response of Waypost: %w", err)
	}
	return retryAfter, json.Unmarshal(answer.Data, into)
}

// maxRetryAfter bounds the wait that a response can ask for.
const maxRetryAfter = time.Minute

// retryAfterOf returns the time of the header Retry-After in seconds, or 0.
func retryAfterOf(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

// IsRetryable reports whether the same request can succeed later, because Waypost was unreachable or temporarily unavailable.
func IsRetryable(err error) bool {
	var refused *Error
	var redirected redirectedError
	return !errors.As(err, &redirected) && (!errors.As(err, &refused) || refused.Extensions.Code == "UNAVAILABLE")
}

// RoundTrip makes a request and returns the body of the response. If the status is not 200, it also returns an error.
func RoundTrip(client *http.Client, req *http.Request) ([]byte, error) {
	body, _, err := roundTrip(client, req)
	return body, err
}

func roundTrip(client *http.Client, req *http.Request) ([]byte, http.Header, error) {
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.200s", req.Method, req.URL.Path, res.Status, body)
	}
	return body, res.Header, err
}

// DecodeObject decodes a JSON object without losing digits of its numbers.
func DecodeObject(text string) (map[string]any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil || object == nil {
		return nil, errors.New("must be a JSON object")
	}
	if d.More() {
		return nil, errors.New("must contain nothing after its JSON object")
	}
	return object, nil
}
