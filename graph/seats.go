package graph

import (
	"context"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/waypost/waypost/domain"
)

// seats counts the open subscriptions, of any field and transport.
type seats struct {
	mu        sync.Mutex
	taken     int
	byAccount map[string]int
}

func (s *seats) take(account string) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.byAccount[account] >= maxSubscriptionsPerKey:
		return nil, domain.Unavailable("the key has %d open subscriptions, which is the limit; end some, or let one subscription follow more", maxSubscriptionsPerKey)
	case s.taken >= maxSubscriptions:
		return nil, domain.Unavailable("%d subscriptions are open, which is the limit of one process; try another", maxSubscriptions)
	}
	if s.byAccount == nil {
		s.byAccount = make(map[string]int)
	}
	s.taken++
	s.byAccount[account]++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taken--
		if s.byAccount[account]--; s.byAccount[account] == 0 {
			delete(s.byAccount, account)
		}
	}), nil
}

// countSubscriptions rejects subscriptions beyond the limits. Each one counts until its
// context ends.
func (h *Handler) countSubscriptions(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	if graphql.GetOperationContext(ctx).Operation.Operation != ast.Subscription {
		return next(ctx)
	}
	leave, err := h.seats.take(callerOf(ctx).account())
	if err != nil {
		return graphql.OneShot(&graphql.Response{Errors: gqlerror.List{h.resolver.errors.present(ctx, resolverError{err})}})
	}
	context.AfterFunc(ctx, leave)
	return next(ctx)
}
