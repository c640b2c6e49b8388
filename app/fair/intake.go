package fair

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/request"
	"github.com/waypost/waypost/domain"
)

// IntakeLimits are the sizes of an Intake.
type IntakeLimits struct {
	// AtOnce is the number of appends in progress, without those of OTP messages, which have
	// OTPAtOnce places of their own.
	AtOnce, OTPAtOnce int
	// Waiting is the maximum number of messages that wait for one of the AtOnce places, and
	// OTPWaiting of those that wait for one of the OTPAtOnce places. One caller can have half
	// of them.
	Waiting, OTPWaiting int
	// Patience is how long the appends of one request wait, from its start.
	Patience time.Duration
}

// DefaultIntakeLimits returns the limits of a process. The appends in progress are as many
// as two requests for many messages keep busy, and fill the commits of the embedded event
// store. If each waiting message is a request of its own, the bodies of all of them take
// half of what ports/httpapi keeps in memory. A request waits as long as the gate can be
// closed for accepting, so it rarely has to be repeated, and shorter than clients usually
// wait for a response.
func DefaultIntakeLimits() IntakeLimits {
	return IntakeLimits{AtOnce: 96, OTPAtOnce: 8, Waiting: 1000, OTPWaiting: 200, Patience: 2 * maxClosed}
}

// The hint when to repeat a refused request is from minRetryAfter to maxRetryAfter.
const (
	minRetryAfter = time.Second
	maxRetryAfter = 5 * time.Second
)

// An Intake bounds accepting. A message that is accepted takes a place before its append,
// and waits while the gate is closed for accepting. The number of waiting messages and their
// time are bounded. Beyond that, messages are refused with a hint when to repeat them.
//
// OTP messages pass: they have places of their own, and don't wait for the gate. These places
// are few, so a caller that declares everything as an OTP slows down nothing else.
//
// A nil *Intake lets everything pass. An Intake is safe for concurrent use.
type Intake struct {
	gate     *Gate
	clock    event.Clock
	patience time.Duration
	others   *Places
	otps     *Places
	held     atomic.Int64 // appends that have a place and wait for the gate
	refused  atomic.Int64
}

// NewIntake returns an Intake. clock must be the clock of the gate.
func NewIntake(gate *Gate, clock event.Clock, l IntakeLimits) *Intake {
	places := func(n, waiting int) *Places {
		return NewPlaces(Limits{Total: n, PerKey: n, Waiting: max(1, waiting/2), AllWaiting: waiting})
	}
	return &Intake{
		gate: gate, clock: clock, patience: l.Patience, others: places(l.AtOnce, l.Waiting), otps: places(l.OTPAtOnce, l.OTPWaiting),
	}
}

// IntakeStats are the state and the totals of an Intake.
type IntakeStats struct {
	Waiting int   // number of messages that wait
	Refused int64 // number of messages refused so far
}

// Stats returns the state and the totals.
func (i *Intake) Stats() IntakeStats {
	if i == nil {
		return IntakeStats{}
	}
	return IntakeStats{
		Waiting: i.others.waiting() + i.otps.waiting() + int(i.held.Load()), Refused: i.refused.Load(),
	}
}

// Until returns when the messages of a request that begins now must no longer wait.
func (i *Intake) Until() time.Time {
	if i == nil {
		return time.Time{}
	}
	return i.clock().Add(i.patience)
}

var errPatience = errors.New("the request has waited for its time")

// Enter waits until a message can be appended, at most until the given time. Those who wait
// take turns by the request's caller. leave must be called after the append. If too many
// messages wait, or the time is over and there is still no place, Enter fails with a
// domain.Error that has RetryAfter. If ctx is cancelled, it returns ctx's cause.
func (i *Intake) Enter(ctx context.Context, until time.Time, otp bool) (leave func(), err error) {
	if i == nil {
		return func() {}, nil
	}
	caller := request.Caller(ctx)
	waiting, cancel := context.WithTimeoutCause(ctx, until.Sub(i.clock()), errPatience)
	defer cancel()
	if otp {
		leave, err = i.otps.Take(waiting, caller)
	} else if leave, err = i.others.Take(waiting, caller); err == nil {
		if err = i.awaitGate(waiting); err != nil {
			leave()
		}
	}
	switch {
	case err == nil:
		return leave, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, context.Cause(ctx)
	}
	i.refused.Add(1)
	return nil, i.overloaded()
}

// awaitGate waits while the gate is closed for accepting, until ctx ends. Messages that
// wait when accepting resumes are admitted even if the gate closes again at once, so that
// each opening gives lanes some messages.
func (i *Intake) awaitGate(ctx context.Context) error {
	i.held.Add(1)
	defer i.held.Add(-1)
	for {
		now := i.clock()
		again, admitted, closed := i.gate.AcceptingClosed(now)
		if !closed {
			return nil
		}
		resumed, err := awaitEither(ctx, admitted, max(again.Sub(now), time.Millisecond))
		if resumed || err != nil {
			return err
		}
	}
}

// awaitEither waits for done, for the time, or for the end of ctx. It reports whether done is
// closed, and returns ctx's cause if ctx ended first.
func awaitEither(ctx context.Context, done <-chan struct{}, most time.Duration) (closed bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	select {
	case <-done:
		return true, nil
	case <-bounded.Done():
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return false, nil
}

// overloaded returns the error of a refused message. It can be repeated when the gate opens
// at the latest.
func (i *Intake) overloaded() error {
	hint := minRetryAfter
	now := i.clock()
	if again, _, closed := i.gate.AcceptingClosed(now); closed {
		hint = min(max(again.Sub(now), minRetryAfter), maxRetryAfter)
	}
	hint = (hint + time.Second - 1).Truncate(time.Second)
	return domain.Overloaded(hint, "Waypost is overloaded and accepts messages more slowly; repeat the request after %s, with the same idempotency key", hint)
}
