package oidc

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

const (
	// defaultScopesClaim is the claim of OAuth.
	defaultScopesClaim = "scope"
	// allSenders is the value of the senders claim for access to all senders.
	allSenders = "*"
	// maxSenders limits the senders of one person, as for API keys.
	maxSenders = 1000
)

// claims are the claims of a token or of the userinfo endpoint, by name.
type claims map[string]json.RawMessage

// find returns a claim by its name. A name that is not in the token can also be a path of names
// separated by dots, such as realm_access.roles.
func (c claims) find(name string) (json.RawMessage, bool) {
	if value, ok := c[name]; ok {
		return value, true
	}
	head, rest, nested := strings.Cut(name, ".")
	value, ok := c[head]
	if !nested || !ok {
		return nil, false
	}
	var inner claims
	if json.Unmarshal(value, &inner) != nil {
		return nil, false
	}
	return inner.find(rest)
}

// text returns the first of the claims that is a text and not empty.
func (c claims) text(names ...string) string {
	for _, name := range names {
		var s string
		if json.Unmarshal(c[name], &s) == nil && s != "" {
			return s
		}
	}
	return ""
}

// words returns a claim as words: a text of words separated by spaces, as in OAuth, or a list.
func (c claims) words(name string) (words []string, found bool, err error) {
	value, found := c.find(name)
	if !found || string(value) == "null" {
		return nil, false, nil
	}
	var text string
	if json.Unmarshal(value, &text) == nil {
		return strings.Fields(text), true, nil
	}
	if json.Unmarshal(value, &words) != nil {
		return nil, true, errors.New("must be a string or a list of strings")
	}
	return words, true, nil
}

// mapping defines the claims that contain a person's rights.
type mapping struct {
	scopes string
	// senders is the claim with the senders that a person is limited to. If empty, people have access
	// to all senders.
	senders string
}

func (m mapping) scopesClaim() string { return cmp.Or(m.scopes, defaultScopesClaim) }

// complete reports whether the claims contain everything that the mapping reads.
func (m mapping) complete(c claims) bool {
	_, scopes := c.find(m.scopesClaim())
	_, senders := c.find(m.senders)
	return scopes && (senders || m.senders == "")
}

// grant returns the rights in the claims. If the senders claim is configured, but missing or empty,
// there is no grant: it must never mean all senders.
func (m mapping) grant(c claims) (access.Grant, error) {
	var g access.Grant
	words, _, err := c.words(m.scopesClaim())
	if err != nil {
		return g, unauthenticated(fmt.Sprintf("the token's claim %q %v", m.scopesClaim(), err))
	}
	// Words that are not scopes of Waypost belong to other programs.
	for _, s := range access.Scopes() {
		if slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, string(s)) }) {
			g.Scopes = append(g.Scopes, s)
		}
	}
	if m.senders == "" {
		return g, nil
	}
	senders, found, err := c.words(m.senders)
	switch {
	case err != nil:
		return g, unauthenticated(fmt.Sprintf("the token's claim %q, named by WAYPOST_OIDC_SENDERS_CLAIM, %v", m.senders, err))
	case !found || len(senders) == 0:
		return g, unauthenticated(fmt.Sprintf(
			"the token has no senders in its claim %q, named by WAYPOST_OIDC_SENDERS_CLAIM; add them at the identity provider, or %q for all", m.senders, allSenders))
	case len(senders) > maxSenders:
		return g, unauthenticated(fmt.Sprintf("the token's claim %q has %d senders; at most %d are supported", m.senders, len(senders), maxSenders))
	case !slices.Contains(senders, allSenders):
		g.Senders = senders
	}
	return g, nil
}

func unauthenticated(message string) error {
	return &domain.Error{Code: domain.CodeUnauthenticated, Message: message}
}
