package components

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"

	"hashistack/internal/machine"
	"hashistack/internal/pulumitest"
)

// What is not listed is dropped: each case says all that comes through.
func TestFirewall(t *testing.T) {
	operators := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/48")}
	const (
		ping   = "icmp from [0.0.0.0/0 ::/0]"
		vault  = "tcp 8200 from [198.51.100.0/24 2001:db8::/48]"
		consul = "tcp 8501 from [198.51.100.0/24 2001:db8::/48]"
		nomad  = "tcp 4646 from [198.51.100.0/24 2001:db8::/48]"
	)
	for name, c := range map[string]struct {
		roles []machine.Role
		open  []string
		rules []string
	}{
		"no role":          {nil, nil, []string{ping}},
		"a client":         {clientRoles, nil, []string{ping}},
		"Vault alone":      {[]machine.Role{machine.RoleVault}, nil, []string{ping, vault}},
		"Consul alone":     {[]machine.Role{machine.RoleConsulServer}, nil, []string{ping, consul}},
		"Nomad alone":      {[]machine.Role{machine.RoleNomadServer}, nil, []string{ping, nomad}},
		"all servers":      {serverRoles, nil, []string{ping, vault, consul, nomad}},
		"an ingress":       {clientRoles, []string{"443"}, []string{ping, "tcp 443 from [0.0.0.0/0 ::/0]"}},
		"a range of ports": {clientRoles, []string{"30000-32000"}, []string{ping, "tcp 30000-32000 from [0.0.0.0/0 ::/0]"}},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := &pulumitest.Recorder{}
			recorder.Run(t, func(ctx *pulumi.Context) error {
				_, err := NewMachinePool(ctx, &MachinePoolArgs{
					Name: "pool", Roles: c.roles, Open: c.open, Operators: operators, Labels: labels,
				})
				return err
			})
			firewall := recorder.One(t, "hcloud:index/firewall:Firewall", "pool")
			assertInputs(t, firewall, want{"name": "pool", "labels.stack": "test"})
			assert.ElementsMatch(t, c.rules, rules(t, firewall))
		})
	}
}

// rules are a firewall's, in short.
func rules(t *testing.T, firewall pulumitest.Resource) []string {
	t.Helper()
	var all []string
	for _, element := range firewall.Input("rules").([]any) {
		rule := element.(map[string]any)
		assert.Equal(t, "in", rule["direction"], "nothing that goes out is restricted")
		assert.NotEmpty(t, rule["description"])
		short := fmt.Sprint(rule["protocol"])
		if rule["port"] != nil {
			short += fmt.Sprint(" ", rule["port"])
		}
		all = append(all, short+fmt.Sprint(" from ", rule["sourceIps"]))
	}
	return all
}
