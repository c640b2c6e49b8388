package graph

import "github.com/waypost/waypost/domain/access"

// scopesIn converts scopes to those of the domain. The names are the same.
func scopesIn(scopes []Scope) []access.Scope {
	in := make([]access.Scope, len(scopes))
	for i, s := range scopes {
		in[i] = access.Scope(s)
	}
	return in
}

// ScopesOf converts the domain's scopes to those of the schema.
func ScopesOf(scopes []access.Scope) []Scope {
	of := make([]Scope, len(scopes))
	for i, s := range scopes {
		of[i] = Scope(s)
	}
	return of
}
