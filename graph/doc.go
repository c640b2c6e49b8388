// Package graph serves the GraphQL schema in graph/*.graphqls: over POST, over WebSocket with
// graphql-transport-ws, and over Server-Sent Events.
//
//   - Every field with @hasScope is rejected without that scope, and a key that is limited to
//     senders can't see or change any other sender.
//   - A caller reads its own writes: message, sender, and the results of mutations are folded
//     from the event log. Lists and counts come from read models.
//   - Numbers are masked and content is omitted unless the key has the PERSONAL scope.
//   - Cursors contain the identity of their log. A cursor of another log is CURSOR_GONE.
//   - An INTERNAL error reveals only an ID. The log output contains the rest.
package graph

//go:generate go run github.com/99designs/gqlgen@v0.17.98 generate
