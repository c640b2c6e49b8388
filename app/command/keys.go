package command

import (
	"io"
	"log/slog"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
)

// Keys are the commands that create and revoke API keys, on their repository.
type Keys struct {
	*repository.Keys

	clock  event.Clock
	ids    event.IDs
	random io.Reader
	tokens issuedTokens
}

// NewKeys returns the commands, and a repository. random is the source of secrets:
// crypto/rand.Reader, or a test's.
func NewKeys(log event.Log, clock event.Clock, ids event.IDs, random io.Reader, logger *slog.Logger) *Keys {
	return &Keys{
		Keys: repository.NewKeys(log, clock, ids, logger), clock: clock, ids: ids, random: random,
		tokens: issuedTokens{expiries: make(map[string][]time.Time)},
	}
}
