package api

import (
	"fmt"
	"net/http"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
)

// codeNotImplemented is the one code that Hetzner does not have: it marks what the local cloud leaves out.
const codeNotImplemented hcloud.ErrorCode = "not_implemented"

// Error is an error as the Hetzner Cloud API answers it. Status follows the table in section "Errors" of
// https://docs.hetzner.cloud; codes that belong to one call only are answered with 422.
type Error struct {
	Status  int
	Code    hcloud.ErrorCode
	Message string
	// Details depend on the code and may be nil.
	Details any
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%s)", e.Message, e.Code) }

// statuses are the codes that are not answered with 422.
var statuses = map[hcloud.ErrorCode]int{
	hcloud.ErrorCodeJSONError:             http.StatusBadRequest,
	hcloud.ErrorCodeUnauthorized:          http.StatusUnauthorized,
	hcloud.ErrorCodeResourceLimitExceeded: http.StatusForbidden,
	hcloud.ErrorCodeNotFound:              http.StatusNotFound,
	"method_not_allowed":                  http.StatusMethodNotAllowed,
	hcloud.ErrorCodeUniquenessError:       http.StatusConflict,
	hcloud.ErrorCodeConflict:              http.StatusConflict,
	hcloud.ErrorDeprecatedAPIEndpoint:     http.StatusGone,
	hcloud.ErrorCodeResourceUnavailable:   http.StatusPreconditionFailed,
	hcloud.ErrorCodeLocked:                http.StatusLocked,
	hcloud.ErrorCodeProtected:             http.StatusLocked,
	hcloud.ErrorCodeRateLimitExceeded:     http.StatusTooManyRequests,
	hcloud.ErrorCodeServerError:           http.StatusInternalServerError,
	codeNotImplemented:                    http.StatusNotImplemented,
}

func errorf(code hcloud.ErrorCode, format string, args ...any) *Error {
	status, ok := statuses[code]
	if !ok {
		status = http.StatusUnprocessableEntity
	}
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// fieldDetail is one entry of the details of invalid_input and uniqueness_error.
type fieldDetail struct {
	Name     string   `json:"name"`
	Messages []string `json:"messages,omitempty"`
}

type fieldDetails struct {
	Fields []fieldDetail `json:"fields"`
}

func invalid(field, format string, args ...any) *Error {
	message := fmt.Sprintf(format, args...)
	err := errorf(hcloud.ErrorCodeInvalidInput, "invalid input in field '%s': %s", field, message)
	err.Details = fieldDetails{Fields: []fieldDetail{{Name: field, Messages: []string{message}}}}
	return err
}

func notUnique(field, format string, args ...any) *Error {
	err := errorf(hcloud.ErrorCodeUniquenessError, format, args...)
	err.Details = fieldDetails{Fields: []fieldDetail{{Name: field}}}
	return err
}

func notFound(kind string, id int64) *Error {
	return errorf(hcloud.ErrorCodeNotFound, "%s with ID '%d' not found", kind, id)
}

func notImplemented(what string) *Error {
	return errorf(codeNotImplemented, "%s is not implemented by the local cloud", what)
}

func limitExceeded(limit string, most int) *Error {
	err := errorf(hcloud.ErrorCodeResourceLimitExceeded, "%s exceeded: at most %d", limit, most)
	err.Details = map[string]any{"limits": []map[string]string{{"name": limit}}}
	return err
}

func gone(message, announcement string) *Error {
	err := errorf(hcloud.ErrorDeprecatedAPIEndpoint, "%s", message)
	err.Details = map[string]string{"announcement": announcement}
	return err
}

// envelope is the body of every error.
type envelope struct {
	Error struct {
		Code    hcloud.ErrorCode `json:"code"`
		Message string           `json:"message"`
		Details any              `json:"details"`
	} `json:"error"`
}

func (e *Error) envelope() envelope {
	var body envelope
	body.Error.Code, body.Error.Message, body.Error.Details = e.Code, e.Message, e.Details
	return body
}
