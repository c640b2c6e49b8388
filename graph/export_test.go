package graph

// OpenSubscriptions returns the number of counted subscriptions.
func (h *Handler) OpenSubscriptions() int {
	h.seats.mu.Lock()
	defer h.seats.mu.Unlock()
	return h.seats.taken
}

// MaxSocketOperations is the limit of that name.
const MaxSocketOperations = maxSocketOperations
