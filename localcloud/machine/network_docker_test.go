//go:build docker

package machine_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A range that the host has another way to is not taken from it.
func TestOverlappingNetwork(t *testing.T) {
	c := newCloud(t)
	route := []string{"unreachable", "10.215.7.0/24"}
	ip := func(verb string) error { return exec.Command("ip", append([]string{"route", verb}, route...)...).Run() }
	require.NoError(t, ip("add"))
	t.Cleanup(func() { _ = ip("del") }) // gone already if all went well
	ipRange := netip.MustParsePrefix("10.215.0.0/16")
	require.ErrorContains(t, c.CreateNetwork(t.Context(), 8, ipRange), "10.215.0.0/16 overlaps with what this host uses (route unreachable 10.215.7.0/24)")
	assert.Empty(t, routesTo(t, ipRange))
	require.NoError(t, ip("del"))
	require.NoError(t, c.CreateNetwork(t.Context(), 8, ipRange))
	require.NoError(t, c.CreateNetwork(t.Context(), 8, ipRange), "its own routes are in nobody's way")
}

// A removal that fails between its two steps is finished by the next attempt.
func TestRemovalOfANetworkThatFails(t *testing.T) {
	c := newCloud(t)
	require.NotEmpty(t, routesTo(t, networkRange))

	// While somebody is in it, both stay.
	c.create(spec(1, ""))
	require.Error(t, c.DeleteNetwork(t.Context(), networkID))
	require.NotEmpty(t, routesTo(t, networkRange))
	require.NoError(t, c.Delete(t.Context(), 1))

	real, err := exec.LookPath("ip")
	require.NoError(t, err)
	bin := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n[ \"$2\" != del ] || { echo not now >&2; exit 2; }\nexec %s \"$@\"\n", real)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "ip"), []byte(script), 0o700))
	path := os.Getenv("PATH")
	t.Setenv("PATH", bin+":"+path)
	require.ErrorContains(t, c.DeleteNetwork(t.Context(), networkID), "not now")
	t.Setenv("PATH", path)
	require.NoError(t, c.DeleteNetwork(t.Context(), networkID))
	assert.Empty(t, routesTo(t, networkRange))
}

func routesTo(t *testing.T, ipRange netip.Prefix) string {
	t.Helper()
	out, err := exec.Command("ip", "route", "show", "to", "exact", ipRange.String()).Output()
	require.NoError(t, err)
	return string(out)
}
