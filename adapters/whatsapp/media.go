package whatsapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/waypost/waypost/app/inbox"
	"github.com/waypost/waypost/domain"
)

const (
	// maxMedia is the maximum size of a file in bytes. WhatsApp accepts documents of up to 100 MB, and reports larger
	// files of users as error 131052.
	// Source: Meta's page on media, December 2025.
	maxMedia = 100 << 20
	// mediaTimeout limits the download of a file. The time without any progress is limited by the client's timeout.
	mediaTimeout = 10 * time.Minute
	// maxRedirects is the number of redirects that a download follows.
	maxRedirects = 3
)

// mediaHosts are the domains of the hosts from which Meta serves files. Only they, and the host of the Cloud API itself,
// get the access token.
var mediaHosts = []string{".fbsbx.com", ".fbcdn.net", ".facebook.com", ".whatsapp.net"} //nolint:gochecknoglobals // a constant

var (
	errForeignHost = errors.New("the file is at a host that is not WhatsApp's")
	errTooMuch     = fmt.Errorf("the file has more than %d bytes", maxMedia)
	errStalled     = errors.New("the download made no progress")
)

// Media opens a file that someone sent to the number. WhatsApp keeps files of users for 7 days. The caller must close the
// body. The error is a *domain.Error.
//
// It first asks for the address of the file, which is valid for 5 minutes, and then requests the file, both with the
// access token. It requests nothing from hosts that are not Meta's, and follows no redirect to one.
// Source: Meta's page on media, December 2025.
func (c *Client) Media(ctx context.Context, phoneNumberID, token, mediaID string) (inbox.Media, error) {
	const what = "open the file"
	ctx, cancel := context.WithTimeoutCause(ctx, mediaTimeout, errStalled)
	stalled := time.AfterFunc(c.timeout, cancel)
	file, err := c.media(ctx, phoneNumberID, token, mediaID)
	if err != nil {
		stalled.Stop()
		cancel()
		if domain.CodeOf(err) != domain.CodeInternal {
			return inbox.Media{}, err
		}
		return inbox.Media{}, domain.Unavailable("%s: %s; try again", what, rootCause(err))
	}
	stalled.Stop()
	file.Body = &mediaBody{ReadCloser: file.Body, left: maxMedia, patience: c.timeout, stalled: stalled, cancel: cancel}
	return file, nil
}

func (c *Client) media(ctx context.Context, phoneNumberID, token, mediaID string) (inbox.Media, error) {
	const what = "open the file"
	target := c.base
	target.Path += "/" + mediaID
	target.RawQuery = url.Values{"phone_number_id": {phoneNumberID}}.Encode()
	status, header, body, err := c.ask(c.http, c.get(ctx, &target, token))
	if err != nil {
		return inbox.Media{}, err
	}
	var about struct {
		URL  string `json:"url"`
		Type string `json:"mime_type"`
		Size number `json:"file_size"`
	}
	if json.Unmarshal(body, &about) != nil || status != http.StatusOK || about.URL == "" {
		if missing(status, body) {
			return inbox.Media{}, noFile()
		}
		return inbox.Media{}, c.errors.refusedRequest(what, status, header, body, phoneNumberID)
	}
	if about.Size.value > maxMedia {
		return inbox.Media{}, tooLarge()
	}
	at, err := url.Parse(about.URL)
	if err != nil || !c.serves(at) {
		return inbox.Media{}, errForeignHost
	}
	answer, err := c.files.Do(c.get(ctx, at, token))
	if err != nil {
		return inbox.Media{}, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		if answer.StatusCode == http.StatusNotFound || answer.StatusCode == http.StatusGone {
			return inbox.Media{}, noFile()
		}
		return inbox.Media{}, domain.Unavailable("%s: its host returned status %d; try again", what, answer.StatusCode)
	}
	if answer.ContentLength > maxMedia {
		answer.Body.Close()
		return inbox.Media{}, tooLarge()
	}
	return inbox.Media{Type: line(about.Type), Size: answer.ContentLength, Body: answer.Body}, nil
}

func (c *Client) get(ctx context.Context, target *url.URL, token string) *http.Request {
	request := &http.Request{
		Method: http.MethodGet, URL: target, Host: target.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Authorization": {"Bearer " + token}, "User-Agent": {"waypost"}},
	}
	return request.WithContext(ctx)
}

// serves reports whether a URL is one of Meta's: of the host of the Cloud API, or of a host of files.
func (c *Client) serves(u *url.URL) bool {
	if u.User != nil {
		return false
	}
	if u.Scheme == c.base.Scheme && u.Host == c.base.Host {
		return true
	}
	if u.Scheme != "https" || u.Port() != "" {
		return false
	}
	for _, domain := range mediaHosts {
		if strings.HasSuffix(strings.ToLower(u.Hostname()), domain) {
			return true
		}
	}
	return false
}

// redirect is the redirect policy of downloads.
func (c *Client) redirect(request *http.Request, before []*http.Request) error {
	if len(before) > maxRedirects {
		return fmt.Errorf("the file was redirected more than %d times", maxRedirects)
	}
	if !c.serves(request.URL) {
		return errForeignHost
	}
	return nil
}

// missing reports whether a response means that WhatsApp has no such file: 404, or error 100 with subcode 33.
func missing(httpStatus int, body []byte) bool {
	var answer struct {
		Error apiError `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil || !answer.Error.Code.known {
		return httpStatus == http.StatusNotFound
	}
	return answer.Error.Code.value == 100
}

func noFile() error {
	return domain.NotFound("WhatsApp does not have the file anymore; it keeps files for 7 days")
}

func tooLarge() error {
	return &domain.Error{Code: domain.CodeTooLarge, Message: fmt.Sprintf("the file is larger than %d MiB", maxMedia>>20)}
}

// mediaBody is the body of a file: it ends with an error if it is too long, or if nothing arrives for too long.
type mediaBody struct {
	io.ReadCloser
	left     int64
	patience time.Duration
	stalled  *time.Timer // cancels the request; it runs only during Read
	cancel   context.CancelFunc
}

// Read reads more of the file.
func (b *mediaBody) Read(p []byte) (int, error) {
	b.stalled.Reset(b.patience)
	n, err := b.ReadCloser.Read(p)
	b.stalled.Stop()
	if b.left -= int64(n); b.left < 0 {
		return n, errTooMuch
	}
	return n, err
}

// Close ends the download.
func (b *mediaBody) Close() error {
	b.stalled.Stop()
	b.cancel()
	return b.ReadCloser.Close()
}
