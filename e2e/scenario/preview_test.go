//go:build e2e

package scenario

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/e2e/stack"
	"hashistack/internal/stackstate"
)

// unknownOfServer are the properties of a machine that a first preview cannot know: IDs that Hetzner gives to other
// resources. (The user-data is unknown as well, because it has the public address in it; but it is a secret and not
// shown.)
var unknownOfServer = []string{"firewallIds[0]", "networks[0].networkId", "placementGroupId", "publicNets[0].ipv4"}

// firstPreview looks at what pulumi says will be created when nothing exists yet.
func (r *run) firstPreview(t *testing.T) {
	var phases stack.Phases
	require.NoError(t, r.stack.Prepare(t.Context(), &phases))
	var out bytes.Buffer
	_, err := r.stack.Operate(t.Context(), stack.Operation{Args: []string{"preview", "--json"}, Output: &out})
	require.NoError(t, err, out.String())
	var preview struct {
		Steps []struct {
			Op       string `json:"op"`
			URN      string `json:"urn"`
			NewState struct {
				Type   string         `json:"type"`
				Inputs map[string]any `json:"inputs"`
			} `json:"newState"`
		} `json:"steps"`
		ChangeSummary map[string]int `json:"changeSummary"`
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &preview), out.String())
	assert.Greater(t, preview.ChangeSummary["create"], 100)
	assert.Equal(t, []string{"create"}, keys(preview.ChangeSummary), "nothing but creates")
	for _, step := range preview.Steps {
		unknown := unknowns("", step.NewState.Inputs)
		switch step.NewState.Type {
		case "hcloud:index/server:Server":
			slices.Sort(unknown)
			assert.Equal(t, unknownOfServer, unknown, step.URN)
		case "hcloud:index/network:Network", "hcloud:index/firewall:Firewall", "hcloud:index/primaryIp:PrimaryIp",
			"vault:index/mount:Mount", "consul:index/aclPolicy:AclPolicy", "vault:appRole/authBackendRole:AuthBackendRole":
			assert.Empty(t, unknown, step.URN)
		}
	}
}

// unknownValue is what pulumi writes for a property that is not known yet.
const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

// unknowns lists the paths of properties that are not known yet.
func unknowns(path string, value any) (paths []string) {
	switch v := value.(type) {
	case string:
		if strings.Contains(v, unknownValue) {
			return []string{path}
		}
	case []any:
		for i, element := range v {
			paths = append(paths, unknowns(path+"["+string(rune('0'+i))+"]", element)...)
		}
	case map[string]any:
		if plain, secret := stackstate.Plain(v); secret {
			return unknowns(path, plain)
		}
		for key, element := range v {
			paths = append(paths, unknowns(strings.TrimPrefix(path+"."+key, "."), element)...)
		}
	}
	return paths
}

func keys(m map[string]int) (all []string) {
	for key := range m {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

// brokenConfig has a problem of each kind.
const brokenConfig = `config:
  hcloud:endpoint: http://127.0.0.1:8580/v1
  hashistack:location: fsn1
  hashistack:network: 10.0.0.0/16
  hashistack:bridgeNetwork: 10.0.64.0/20
  hashistack:operators: [198.18.0.1/32]
  hashistack:colour: blue
  hashistack:pools:
    - name: server
      count: 2
      type: cpx22
      subnet: 10.0.1.0/24
      roles: [vault, consul-server, nomad-server]
    - name: client
      count: 2
      typ: cpx22
      type: cpx22
      subnet: 10.0.1.128/25
      roles: [nomad-client]
`

// TestConfigProblems runs a real preview on a configuration that is wrong in many ways. All problems must be in one
// error, and the cloud must not have been asked for anything.
func TestConfigProblems(t *testing.T) {
	s, err := stack.Open()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "Pulumi.broken.yaml")
	require.NoError(t, os.WriteFile(file, []byte(brokenConfig), 0o600))
	environ, err := s.Environ()
	require.NoError(t, err)
	environ = slices.DeleteFunc(environ, func(v string) bool { return strings.HasPrefix(v, "HCLOUD_TOKEN=") })
	environ = append(environ, "PULUMI_BACKEND_URL=file://"+t.TempDir())
	pulumi := func(args ...string) (string, error) {
		cmd := exec.Command(filepath.Join(s.Root, ".tools", "bin", "pulumi"), append(args, "--non-interactive")...)
		cmd.Dir, cmd.Env = s.Root, environ
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := pulumi("stack", "init", stack.Name)
	require.NoError(t, err, out)
	out, err = pulumi("preview", "--config-file", file)
	require.Error(t, err, out)
	for _, problem := range []string{
		"hashistack:pools[0].count: must be 1, 3 or 5",
		"hashistack:colour: unknown key",
		"hashistack:pools[1].typ: unknown key",
		"hashistack:bridgeNetwork: 10.0.64.0/20 overlaps network 10.0.0.0/16",
		"hashistack:pools[1].subnet: 10.0.1.128/25 overlaps",
		"hcloud:token: missing",
	} {
		assert.Contains(t, out, problem)
	}
	assert.NotContains(t, out, "hcloud:index", "nothing of the cloud was touched before the configuration was found good")
	t.Log(out)
}
