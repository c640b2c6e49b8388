// Package graph serves the GraphQL schema of graph/*.graphqls: over POST, over
// WebSocket by graphql-transport-ws, and over Server-Sent Events.
//
//   - Every field that carries @hasScope is refused without that scope, and a
//     key that is limited to some senders sees and changes no other.
//   - What one caller wrote, that caller reads: message, sender and the results
//     of mutations are folded from the log. Lists and counts come from read models.
//   - Numbers are masked and content is left out unless the key carries PERSONAL.
//   - Cursors name the log they belong to; one of another log is CURSOR_GONE.
//   - An INTERNAL error tells an id and no more; the log has the rest.
package graph

//go:generate go run github.com/99designs/gqlgen@v0.17.98 generate
