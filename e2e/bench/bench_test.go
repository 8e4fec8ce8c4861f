package bench

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/e2e/stack"
)

func step(urn, kind, op string) *stack.StepEvent {
	s := &stack.StepEvent{}
	s.Metadata.URN, s.Metadata.Type, s.Metadata.Op = urn, kind, op
	return s
}

func component(urn string) *stack.StepEvent {
	s := step(urn, "hashistack:platform:Vault", "create")
	s.Metadata.New = new(struct {
		Custom bool `json:"custom"`
	})
	return s
}

func TestTimeline(t *testing.T) {
	began := time.Unix(1000, 0)
	at := func(s float64) time.Time { return began.Add(time.Duration(s * float64(time.Second))) }
	bars := Timeline(began, []stack.Event{
		{At: at(0.1), Begin: step("u::stack", "pulumi:pulumi:Stack", "create")},
		{At: at(1), Begin: step("u::net", "hcloud:index:Network", "create")},
		{At: at(1.5), End: step("u::net", "hcloud:index:Network", "create")},
		{At: at(2), Begin: step("u::old", "hcloud:index:Network", "same")},
		{At: at(2), End: step("u::old", "hcloud:index:Network", "same")},
		{At: at(2), Begin: step("u::server", "hcloud:index:Server", "create")},
		{At: at(2.5), Begin: component("u::part")},
		{At: at(2.6), End: component("u::part")},
		{At: at(3), Begin: step("u::never", "vault:index:Mount", "create")},
		{At: at(4), End: step("u::server", "hcloud:index:Server", "create")},
		{At: at(5), End: step("u::stack", "pulumi:pulumi:Stack", "create")},
	})
	assert.Equal(t, []Bar{
		{URN: "u::net", Kind: "hcloud:index:Network", Name: "net", Op: "create", Start: 1, End: 1.5},
		{URN: "u::server", Kind: "hcloud:index:Server", Name: "server", Op: "create", Start: 2, End: 4},
	}, bars)
}

func TestCriticalPathFollowsTheLastDependency(t *testing.T) {
	bars := []Bar{
		{URN: "network", Start: 0, End: 1}, {URN: "key", Start: 0, End: 0.2}, {URN: "server", Start: 1, End: 30},
		{URN: "vault", Start: 30, End: 40}, {URN: "component", Start: 41, End: 42}, {URN: "mount", Start: 40, End: 41},
		{URN: "elsewhere", Start: 0, End: 39},
	}
	path := CriticalPath(bars, map[string][]string{
		"component": {"mount"}, "mount": {"vault", "key"}, "vault": {"server", "component"}, "server": {"network", "key", "gone"},
	})
	var names []string
	for _, b := range path {
		names = append(names, b.URN)
	}
	assert.Equal(t, []string{"network", "server", "vault", "mount", "component"}, names)
	assert.Empty(t, CriticalPath(nil, nil))
}

func TestPictureIsXMLAndDrawsWhatTakesTime(t *testing.T) {
	var out strings.Builder
	require.NoError(t, Picture{
		Title: `up: 40 s <&>`, Shortest: 0.1, Critical: []Bar{{URN: "quick"}},
		Bars: []Bar{
			{URN: "server", Kind: "hcloud:index/server:Server", Name: "server-1", Start: 1, End: 30},
			{URN: "key", Kind: "tls:index/privateKey:PrivateKey", Name: "key", Start: 0, End: 0.05},
			{URN: "quick", Kind: "vault:index/mount:Mount", Name: "pki", Start: 30, End: 30.01},
		},
	}.Draw(&out))
	decoder := xml.NewDecoder(strings.NewReader(out.String()))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
	assert.Contains(t, out.String(), "Server server-1")
	assert.Contains(t, out.String(), "Mount pki", "the critical path is drawn whole")
	assert.NotContains(t, out.String(), "PrivateKey key")
}

func TestSecondsAreNumbers(t *testing.T) {
	encoded, err := json.Marshal(Seconds(1.23456))
	require.NoError(t, err)
	assert.Equal(t, "1.23", string(encoded))
}
