package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/api"
	"hashistack/localcloud/fault"
)

// answer is a raw answer of the API, for what the client does not show.
type answer struct {
	status int
	header http.Header
	Error  struct {
		Code    string
		Message string
		Details struct {
			Fields []struct {
				Name     string
				Messages []string
			}
			Announcement string
		}
	}
}

func (c *cloud) raw(method, path, token, body string) answer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.ctx, method, c.url+path, strings.NewReader(body))
	require.NoError(c.t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	a := answer{status: resp.StatusCode, header: resp.Header}
	if len(data) > 0 {
		require.Equal(c.t, "application/json", resp.Header.Get("Content-Type"))
		require.NoError(c.t, json.Unmarshal(data, &a), "%s", data)
	}
	return a
}

func TestRequestsThatFailLoudly(t *testing.T) {
	c := startCloud(t)
	tests := map[string]struct {
		method, path, token, body string
		status                    int
		code, words, field        string
	}{
		"no token":             {"GET", "/v1/servers", "", "", 401, "unauthorized", "authenticate", ""},
		"wrong token":          {"GET", "/v1/servers", "nonsense", "", 401, "unauthorized", "authenticate", ""},
		"token of a route":     {"GET", "/v1/nothing", "", "", 401, "unauthorized", "authenticate", ""},
		"unknown route":        {"GET", "/v1/nothing", testToken, "", 404, "not_found", "no route GET /v1/nothing", ""},
		"no version":           {"GET", "/servers", testToken, "", 404, "not_found", "no route", ""},
		"unknown action":       {"POST", "/v1/servers/1/actions/dance", testToken, "", 405, "method_not_allowed", "dance", ""},
		"unknown part":         {"GET", "/v1/servers/1/dance", testToken, "", 404, "not_found", "dance", ""},
		"method":               {"PATCH", "/v1/servers", testToken, "", 405, "method_not_allowed", "PATCH", ""},
		"query parameter":      {"GET", "/v1/servers?colour=red", testToken, "", 422, "invalid_input", "unknown query parameter", "colour"},
		"query of one":         {"GET", "/v1/servers/1?name=x", testToken, "", 422, "invalid_input", "unknown query parameter", "name"},
		"query of a post":      {"POST", "/v1/servers?dry=1", testToken, "{}", 422, "invalid_input", "unknown query parameter", "dry"},
		"body field":           {"POST", "/v1/networks", testToken, `{"name":"n","colour":"red"}`, 422, "invalid_input", "unknown field", "colour"},
		"removed body field":   {"POST", "/v1/servers", testToken, `{"name":"n","datacenter":"fsn1-dc14"}`, 422, "invalid_input", "unknown field", "datacenter"},
		"body of a bare call":  {"POST", "/v1/servers/1/actions/reboot", testToken, `{"force":true}`, 404, "not_found", "server", ""},
		"type of a body field": {"POST", "/v1/networks", testToken, `{"name":7}`, 422, "invalid_input", "must be of type string", "name"},
		"JSON":                 {"POST", "/v1/networks", testToken, `{"name":`, 400, "json_error", "POST /v1/networks", ""},
		"two JSON values":      {"POST", "/v1/networks", testToken, `{} {}`, 400, "json_error", "more than one", ""},
		"page":                 {"GET", "/v1/servers?page=0", testToken, "", 422, "invalid_input", "1 or more", "page"},
		"per_page":             {"GET", "/v1/servers?per_page=x", testToken, "", 422, "invalid_input", `"x"`, "per_page"},
		"sort field":           {"GET", "/v1/servers?sort=colour", testToken, "", 422, "invalid_input", "cannot sort", "sort"},
		"sort direction":       {"GET", "/v1/servers?sort=name:up", testToken, "", 422, "invalid_input", "asc or desc", "sort"},
		"label selector":       {"GET", "/v1/servers?label_selector=a,,b", testToken, "", 422, "invalid_input", "label selector", "label_selector"},
		"ID":                   {"GET", "/v1/servers/abc", testToken, "", 404, "not_found", "abc", ""},
		"all actions":          {"GET", "/v1/actions", testToken, "", 410, "deprecated_api_endpoint", "parameter id", ""},
		"datacenters":          {"GET", "/v1/datacenters", testToken, "", 410, "deprecated_api_endpoint", "locations", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := c.raw(tt.method, tt.path, tt.token, tt.body)
			assert.Equal(t, tt.status, a.status)
			assert.Equal(t, tt.code, a.Error.Code)
			assert.Contains(t, a.Error.Message, tt.words)
			assert.NotEmpty(t, a.header.Get("X-Correlation-Id"))
			if tt.field != "" {
				require.Len(t, a.Error.Details.Fields, 1)
				assert.Equal(t, tt.field, a.Error.Details.Fields[0].Name)
				assert.NotEmpty(t, a.Error.Details.Fields[0].Messages)
			}
			if tt.status == http.StatusGone {
				assert.Contains(t, a.Error.Details.Announcement, "https://docs.hetzner.cloud/changelog")
			}
		})
	}
}

func TestUnexpectedBodyOfAnActionFails(t *testing.T) {
	c := startCloud(t)
	s := c.server("s")
	a := c.raw("POST", "/v1/servers/"+strconv.FormatInt(s.ID, 10)+"/actions/reboot", testToken, `{"force":true}`)
	assert.Equal(t, 422, a.status)
	assert.Equal(t, "force", a.Error.Details.Fields[0].Name)
}

func TestMissingPartsSaySo(t *testing.T) {
	c := startCloud(t)
	for _, call := range []string{
		"GET /v1/volumes", "POST /v1/volumes", "GET /v1/load_balancers", "POST /v1/load_balancers/7/actions/add_target", "GET /v1/floating_ips",
		"GET /v1/certificates", "GET /v1/pricing", "GET /v1/isos", "GET /v1/zones", "GET /v1/servers/1/metrics", "POST /v1/servers/1/actions/change_alias_ips",
		"POST /v1/servers/1/actions/change_alias_ips", "POST /v1/servers/1/actions/enable_rescue", "POST /v1/primary_ips/1/actions/change_dns_ptr",
	} {
		t.Run(call, func(t *testing.T) {
			method, path, _ := strings.Cut(call, " ")
			a := c.raw(method, path, testToken, "")
			assert.Equal(t, http.StatusNotImplemented, a.status)
			assert.Equal(t, "not_implemented", a.Error.Code)
			assert.Contains(t, a.Error.Message, "is not implemented by the local cloud")
		})
	}
}

func TestRateLimit(t *testing.T) {
	c := startCloud(t, withRateLimit(3600))
	_, resp, err := c.Location.List(c.ctx, hcloud.LocationListOpts{})
	require.NoError(t, err)
	assert.Equal(t, 3600, resp.Meta.Ratelimit.Limit)
	assert.Equal(t, 3599, resp.Meta.Ratelimit.Remaining)
	assert.WithinDuration(t, time.Now().Add(time.Second), resp.Meta.Ratelimit.Reset, 2*time.Second)
}

func TestRateLimitExceeded(t *testing.T) {
	c := startCloud(t, withRateLimit(3))
	for range 3 {
		// Refused requests count too.
		assert.Equal(t, 401, c.raw("GET", "/v1/servers", "", "").status)
	}
	a := c.raw("GET", "/v1/servers", testToken, "")
	assert.Equal(t, http.StatusTooManyRequests, a.status)
	assert.Equal(t, "rate_limit_exceeded", a.Error.Code)
	assert.Equal(t, "3", a.header.Get("RateLimit-Limit"))
	assert.Equal(t, "0", a.header.Get("RateLimit-Remaining"))
	reset, err := strconv.ParseInt(a.header.Get("RateLimit-Reset"), 10, 64)
	require.NoError(t, err)
	assert.InDelta(t, time.Hour.Seconds(), time.Until(time.Unix(reset, 0)).Seconds(), 30)
	assert.Equal(t, 1, c.api.Stats()[0].Limited)
}

func TestNoRateLimitByChoice(t *testing.T) {
	c := startCloud(t, withRateLimit(0))
	a := c.raw("GET", "/v1/servers", testToken, "")
	assert.Equal(t, 200, a.status)
	assert.Empty(t, a.header.Get("RateLimit-Limit"))
}

func TestErrorFaultAnswersInsteadOfTheRoute(t *testing.T) {
	c := startCloud(t)
	_, err := c.faults.Add(fault.Fault{Kind: fault.Error, Method: "POST", Path: "/networks", Times: 1, Status: 503, Code: "unavailable", Message: "come back later"})
	require.NoError(t, err)
	opts := hcloud.NetworkCreateOpts{Name: "n", IPRange: prefix(t, "10.0.0.0/16")}
	_, _, err = c.Network.Create(c.ctx, opts)
	requireCode(t, err, "unavailable", "come back later")
	_, _, err = c.Network.Create(c.ctx, opts)
	require.NoError(t, err, "the fault is used up, and the first call has left nothing")
}

func TestStatsCountCallsPerRoute(t *testing.T) {
	c := startCloud(t)
	c.raw("GET", "/v1/locations/1", testToken, "")
	c.raw("GET", "/v1/locations/2", testToken, "")
	c.raw("GET", "/v1/locations/99", testToken, "")
	c.raw("GET", "/v1/nothing", testToken, "")
	assert.Equal(t, []api.CallCount{
		{Method: "GET", Route: "/v1/locations/{id}", Calls: 3, Errors: 1},
		{Method: "GET", Route: "unknown", Calls: 1, Errors: 1},
	}, c.api.Stats())
	c.api.ResetStats()
	assert.Empty(t, c.api.Stats())
}
