package resume

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/e2e/stack"
)

// The runbook has the command that the proof runs when Vault's keys are lost.
func TestRemedyOfTheRunbook(t *testing.T) {
	checkout := &stack.Stack{Root: "../.."}
	command, err := remedy(checkout, "Vault is initialised, but its keys were never recorded")
	require.NoError(t, err)
	assert.Equal(t, "pulumi up --replace '**:Server::server-1' --replace '**:Server::server-2' --replace '**:Server::server-3'", command)
	_, err = remedy(checkout, "no such section")
	require.ErrorContains(t, err, `RUNBOOK.md has no section "no such section" with a command`)
}
