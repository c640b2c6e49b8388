package domain

import (
	"errors"
	"fmt"
	"time"
)

// Code is what a caller can do about an error. The values are those of extensions.code in
// GraphQL.
type Code string

// The codes of the public surface.
const (
	CodeInvalidInput    Code = "INVALID_INPUT"
	CodeNotFound        Code = "NOT_FOUND"
	CodeConflict        Code = "CONFLICT"
	CodeUnauthenticated Code = "UNAUTHENTICATED"
	CodeForbidden       Code = "FORBIDDEN"
	CodeTooLarge        Code = "TOO_LARGE"
	CodeCursorGone      Code = "CURSOR_GONE"
	CodeUnavailable     Code = "UNAVAILABLE"
	CodeInternal        Code = "INTERNAL"
)

// An Error is an error that can be shown to the caller unchanged. It contains no secrets and
// no personal data other than what that caller sent.
type Error struct {
	Code Code
	// Message describes what is wrong and how to fix it.
	Message string
	// Field is the invalid input field, as a dotted path from the input's root. It is empty
	// if there is none.
	Field string
	// MessageID is the message that causes a CONFLICT, if there is one.
	MessageID string
	// RetryAfter is when to repeat the request, if it was refused only because Waypost is
	// overloaded. Otherwise, it is 0.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// Invalid returns an error for a value that the named field can't have.
func Invalid(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalidInput, Field: field, Message: fmt.Sprintf(format, args...)}
}

// NotFound returns an error for something that doesn't exist.
func NotFound(format string, args ...any) *Error {
	return &Error{Code: CodeNotFound, Message: fmt.Sprintf(format, args...)}
}

// Conflict returns an error for a request that the current state doesn't allow.
func Conflict(format string, args ...any) *Error {
	return &Error{Code: CodeConflict, Message: fmt.Sprintf(format, args...)}
}

// Unavailable returns an error for a part of Waypost that is unavailable. The same request
// can succeed later.
func Unavailable(format string, args ...any) *Error {
	return &Error{Code: CodeUnavailable, Message: fmt.Sprintf(format, args...)}
}

// Overloaded returns an error for a request that Waypost has no capacity for at the moment,
// and that was not begun. The same request can succeed after a while.
func Overloaded(retryAfter time.Duration, format string, args ...any) *Error {
	return &Error{Code: CodeUnavailable, Message: fmt.Sprintf(format, args...), RetryAfter: retryAfter}
}

// RetryAfterOf returns when to repeat a request that failed because of an overload, or 0 if
// it failed for another reason.
func RetryAfterOf(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// CodeOf returns the code of the first Error in err's chain, CodeInternal if there is none,
// or an empty string for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// PrefixField adds the parent field to the field of a field error. It returns other errors
// unchanged.
func PrefixField(parent string, err error) error {
	var e *Error
	if err == nil || !errors.As(err, &e) || e.Code != CodeInvalidInput {
		return err
	}
	moved := *e
	if moved.Field == "" {
		moved.Field = parent
	} else {
		moved.Field = parent + "." + moved.Field
	}
	return &moved
}
