package domain

// The priorities of messages, by which senders are paused too.
const (
	PriorityOTP           = "OTP"
	PriorityTransactional = "TRANSACTIONAL"
	PriorityBulk          = "BULK"
)

// Priorities lists the priorities, most urgent first.
func Priorities() []string { return []string{PriorityOTP, PriorityTransactional, PriorityBulk} }
