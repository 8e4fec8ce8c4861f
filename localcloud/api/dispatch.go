package api

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
)

const (
	version = "/v1"
	// maxBody bounds a request's body: user-data of 32 KiB, escaped as JSON, and room for the rest.
	maxBody = 1 << 20
)

// call is one request to a route.
type call struct {
	*http.Request
	query url.Values
}

// reply is the answer to a call; a nil body is an empty one.
type reply struct {
	status int
	body   any
	header http.Header
}

func ok(body any) (reply, error)      { return reply{status: http.StatusOK, body: body}, nil }
func created(body any) (reply, error) { return reply{status: http.StatusCreated, body: body}, nil }
func noContent() (reply, error)       { return reply{status: http.StatusNoContent}, nil }

// route registers a handler that runs with the lock held. params are the query parameters that it knows. Any other is
// an error: a filter that was silently ignored would match everything.
func (a *API) route(pattern string, handle func(*call) (reply, error), params ...string) {
	method, path, _ := strings.Cut(pattern, " ")
	a.mux.HandleFunc(method+" "+version+path, func(w http.ResponseWriter, r *http.Request) {
		answer, err := a.handle(r, handle, params)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		for name, values := range answer.header {
			w.Header()[name] = values
		}
		writeJSON(w, answer.status, answer.body)
	})
}

func (a *API) handle(r *http.Request, handle func(*call) (reply, error), params []string) (reply, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return reply{}, errorf(hcloud.ErrorCodeInvalidInput, "query of %s: %v", r.URL, err)
	}
	for name := range query {
		if !slices.Contains(params, name) {
			return reply{}, invalid(name, "unknown query parameter of %s, known are %q", r.Pattern, params)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	answer, err := handle(&call{Request: r, query: query})
	if err == nil && r.Method != http.MethodGet {
		err = a.save()
	}
	return answer, err
}

// serve does for every request what does not depend on its route: rate limit, token, injected errors, counting.
func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	correlation := rand.Text()
	w.Header().Set("X-Correlation-Id", correlation)
	recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
	_, pattern := a.mux.Handler(r)
	defer func() {
		a.stats.count(r.Method, pattern, recorder.status)
		a.Log.Debug("request", "method", r.Method, "path", r.URL.Path, "query", r.URL.RawQuery, "status", recorder.status,
			"duration", time.Since(start), "correlation", correlation)
	}()

	if err := a.admit(recorder, r); err != nil {
		a.fail(recorder, r, err)
		return
	}
	if f, struck := a.Faults.Call(r.Method, strings.TrimPrefix(r.URL.Path, version)); struck {
		a.fail(recorder, r, &Error{Status: f.Status, Code: hcloud.ErrorCode(f.Code), Message: cmp.Or(f.Message, "injected fault")})
		return
	}
	if pattern == "" {
		a.fail(recorder, r, a.unknownRoute(r))
		return
	}
	a.mux.ServeHTTP(recorder, r)
}

// admit checks the rate limit, which counts refused requests too, and then the token.
func (a *API) admit(w http.ResponseWriter, r *http.Request) error {
	if a.RateLimit > 0 {
		allowed := a.limiter.Allow()
		left := max(a.limiter.Tokens(), 0)
		full := time.Duration((float64(a.RateLimit) - left) / float64(a.limiter.Limit()) * float64(time.Second))
		w.Header().Set("RateLimit-Limit", strconv.Itoa(a.RateLimit))
		w.Header().Set("RateLimit-Remaining", strconv.Itoa(int(left)))
		w.Header().Set("RateLimit-Reset", strconv.FormatInt(time.Now().Add(full).Unix(), 10))
		if !allowed {
			return errorf(hcloud.ErrorCodeRateLimitExceeded, "limit of %d requests per hour reached", a.RateLimit)
		}
	}
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !isBearer || subtle.ConstantTimeCompare([]byte(token), []byte(a.Token)) != 1 {
		return errorf(hcloud.ErrorCodeUnauthorized, "unable to authenticate")
	}
	return nil
}

func (a *API) unknownRoute(r *http.Request) error {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := a.mux.Handler(other); pattern != "" {
			return errorf("method_not_allowed", "%s is not allowed for %s", r.Method, r.URL.Path)
		}
	}
	return errorf(hcloud.ErrorCodeNotFound, "the local cloud has no route %s %s", r.Method, r.URL.Path)
}

// fail answers with an error. One that is not an Error comes from a defect or a broken host, and is answered with
// server_error.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var known *Error
	if !errors.As(err, &known) {
		known = errorf(hcloud.ErrorCodeServerError, "%v", err)
	}
	a.Log.Warn("request failed", "method", r.Method, "path", r.URL.Path, "status", known.Status, "code", known.Code,
		"message", known.Message, "correlation", w.Header().Get("X-Correlation-Id"))
	writeJSON(w, known.Status, known.envelope())
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error here means that the client has gone; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(body)
}

// decode reads the body of a call into v, which lists every field the local cloud knows.
func decode(c *call, v any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(nil, c.Body, maxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(v)
	if err == nil {
		err = trailing(decoder)
	}
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &wrongType):
		return invalid(wrongType.Field, "must be of type %s, got %s", wrongType.Type, wrongType.Value)
	}
	// encoding/json has no type for this error.
	if field, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return invalid(strings.Trim(field, `"`), "unknown field of %s", c.Pattern)
	}
	return errorf(hcloud.ErrorCodeJSONError, "body of %s %s: %v", c.Method, c.URL.Path, err)
}

func trailing(decoder *json.Decoder) error {
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("more than one JSON value")
	}
	return nil
}

// pathID reads an ID from the path of a call.
func (c *call) pathID(name, kind string) (int64, error) {
	text := c.PathValue(name)
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, errorf(hcloud.ErrorCodeNotFound, "%s with ID '%s' not found", kind, text)
	}
	return id, nil
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
