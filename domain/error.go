package domain

import (
	"errors"
	"fmt"
)

// Code is what a caller can do about an error. The values are the ones that
// stand in extensions.code over GraphQL.
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

// Error is an error that may be shown to the caller as it is. It holds no
// secrets and nothing personal beyond what that caller sent.
type Error struct {
	Code Code
	// Message says what is wrong and what to do about it.
	Message string
	// Field is the input field at fault, dotted from the input's root; empty if none.
	Field string
	// MessageID is the message that stands in the way of a CONFLICT, if one does.
	MessageID string
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// Invalid reports a value that the named field may not have.
func Invalid(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalidInput, Field: field, Message: fmt.Sprintf(format, args...)}
}

// NotFound reports that what was asked for is not there.
func NotFound(format string, args ...any) *Error {
	return &Error{Code: CodeNotFound, Message: fmt.Sprintf(format, args...)}
}

// Conflict reports that the present state forbids what was asked for.
func Conflict(format string, args ...any) *Error {
	return &Error{Code: CodeConflict, Message: fmt.Sprintf(format, args...)}
}

// Unavailable reports that a part of the platform is away and that the same
// request may succeed later.
func Unavailable(format string, args ...any) *Error {
	return &Error{Code: CodeUnavailable, Message: fmt.Sprintf(format, args...)}
}

// CodeOf is the code of the first Error in err's chain, CodeInternal if there
// is none, and empty for nil.
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

// Under puts a field error below the named parent field; other errors pass.
func Under(parent string, err error) error {
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
