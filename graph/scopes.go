package graph

import "github.com/waypost/waypost/domain/access"

// scopesIn are scopes as the domain has them. The names are the same.
func scopesIn(scopes []Scope) []access.Scope {
	in := make([]access.Scope, len(scopes))
	for i, s := range scopes {
		in[i] = access.Scope(s)
	}
	return in
}

// ScopesOf are the domain's scopes as the schema has them.
func ScopesOf(scopes []access.Scope) []Scope {
	of := make([]Scope, len(scopes))
	for i, s := range scopes {
		of[i] = Scope(s)
	}
	return of
}
