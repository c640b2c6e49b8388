package hook

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/waypost/waypost/domain"
)

const (
	maxURL  = 2048
	maxList = 1000
	// maxSender is the maximum length of a sender's ID, in characters.
	maxSender = 64
)

// A Spec is the configuration of an outgoing webhook.
type Spec struct {
	URL      string   `json:"url"`
	Types    []string `json:"types,omitempty"`
	Senders  []string `json:"senders,omitempty"`
	Personal bool     `json:"wantsPersonal,omitempty"`
}

// Validate checks the configuration. known are the names of all event types.
func (s Spec) Validate(known []string) error {
	if err := domain.CheckLine("url", s.URL, 1, maxURL); err != nil {
		return err
	}
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return domain.Invalid("url", "must be an http or https URL with a host")
	case u.User != nil:
		return domain.Invalid("url", "must not contain a user; deliveries are signed instead")
	case u.Fragment != "":
		return domain.Invalid("url", "must not have a fragment, which is never sent")
	case len(s.Types) > maxList:
		return domain.Invalid("types", "has %d entries, at most %d are allowed", len(s.Types), maxList)
	case len(s.Senders) > maxList:
		return domain.Invalid("senderIds", "has %d entries, at most %d are allowed", len(s.Senders), maxList)
	}
	for _, t := range s.Types {
		if !slices.Contains(known, t) {
			return domain.Invalid("types", "unknown event type %q", t)
		}
	}
	for i, id := range s.Senders {
		if err := domain.CheckLine(fmt.Sprintf("senderIds.%d", i), id, 1, maxSender); err != nil {
			return err
		}
	}
	return nil
}
