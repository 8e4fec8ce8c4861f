//go:build products

package components

import (
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine"
	"hashistack/internal/machine/parts"
	"hashistack/internal/names"
)

// issued is what a machine presents: its certificate and the authorities up to the root.
type issued []*x509.Certificate

// issue gets a certificate as a Consul server does, with consul-template and the machines' own template.
func (v vaultServer) issue(t *testing.T) issued {
	t.Helper()
	server := machine.Machine{Name: "server-1", Roles: []machine.Role{machine.RoleConsulServer}, Private: netip.MustParseAddr("10.0.1.10")}
	files, err := parts.Of(server.Roles).Files(machine.Cluster{Datacenter: "fsn1", Region: "global"}, server)
	require.NoError(t, err)
	template := slices.IndexFunc(files, func(file machine.File) bool { return path.Base(file.Path) == "consul-certificate.ctmpl" })
	require.GreaterOrEqual(t, template, 0)
	source, bundle := filepath.Join(t.TempDir(), "certificate.ctmpl"), filepath.Join(t.TempDir(), "consul.pem")
	require.NoError(t, os.WriteFile(source, []byte(files[template].Content), 0o600))
	output, err := exec.CommandContext(t.Context(), tool(t, "consul-template"), "-once", "-vault-addr="+v.address,
		"-vault-token="+v.token, "-vault-renew-token=false", "-template="+source+":"+bundle).CombinedOutput()
	require.NoError(t, err, string(output))
	content, err := os.ReadFile(bundle)
	require.NoError(t, err)
	return parse(t, string(content))
}

// names are the subjects, in order.
func (c issued) names() []string {
	var names []string
	for _, certificate := range c {
		names = append(names, certificate.Subject.CommonName)
	}
	return names
}

// verifiedBy is what somebody says to it who trusts nothing but the roots.
func (c issued) verifiedBy(t *testing.T, roots string) error {
	t.Helper()
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, root := range parse(t, roots) {
		options.Roots.AddCert(root)
	}
	for _, authority := range c[1:] {
		options.Intermediates.AddCert(authority)
	}
	_, err := c[0].Verify(options)
	return err
}

// parse reads the certificates of a file.
func parse(t *testing.T, content string) []*x509.Certificate {
	t.Helper()
	var all []*x509.Certificate
	for rest := []byte(content); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return all
		}
		if block.Type != "CERTIFICATE" {
			continue // a key
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		all = append(all, certificate)
	}
}

// authorities is a stack of trust and authorities, as Pulumi makes it with its providers.
type authorities struct {
	auto.Stack
	generations generations
	root        string // the certificate of the one that signs
	bundle      string // the certificates that clients trust
	bootstrap   string // a Vault listener's certificate
}

func newAuthorities(t *testing.T, v vaultServer) *authorities {
	t.Helper()
	a := &authorities{generations: generations{1, 1, 1, 1, 1, 1, 1}}
	file := filepath.Join(t.TempDir(), "ca.pem")
	program := func(ctx *pulumi.Context) error {
		trust, err := NewTrust(ctx, "test", &TrustArgs{File: file, Root: a.generations.root, MachineRoot: a.generations.machineRoot})
		if err != nil {
			return err
		}
		bootstrap, _, err := trust.bootstrapListener(ctx, "server-1", []string{names.VaultName}, nil, trust)
		if err != nil {
			return err
		}
		inVault, err := v.declare(ctx, trust)
		if err != nil {
			return err
		}
		ctx.Export("root", trust.signing.certificate.CertPem)
		ctx.Export("bundle", trust.Bundle)
		ctx.Export("bootstrap", bootstrap)
		_, err = NewPKI(ctx, "pki", &PKIArgs{
			Vault: inVault, Trust: trust, Datacenter: "fsn1", Region: "global",
			Lifetime: time.Hour, Generation: a.generations.intermediates,
		})
		return err
	}
	a.Stack = newStack(t, program)
	return a
}

// up updates the stack and returns what was done to resources that are not the same as before.
func (a *authorities) up(t *testing.T, raise func(*generations), options ...optup.Option) map[string]int {
	t.Helper()
	raise(&a.generations)
	up, err := a.Up(t.Context(), options...)
	require.NoError(t, err, up.StdErr)
	a.root, a.bundle = up.Outputs["root"].Value.(string), up.Outputs["bundle"].Value.(string)
	a.bootstrap = up.Outputs["bootstrap"].Value.(string)
	return changes(up)
}

// The life of a platform's authorities, with Pulumi's providers and a real Vault: nothing that a machine presents is ever not
// verified by those who have to, and nothing is touched that need not be.
func TestAuthoritiesAreReplacedWithoutAGap(t *testing.T) {
	v := startVault(t)
	a := newAuthorities(t, v)
	a.up(t, func(*generations) {})
	_, err := a.Preview(t.Context(), optpreview.Refresh(), optpreview.ExpectNoChanges())
	require.NoError(t, err)
	root1, bootstrap := a.root, a.bootstrap
	first := v.issue(t)
	assert.Equal(t, []string{"server.fsn1.consul", "pki-consul"}, first.names())
	require.NoError(t, first.verifiedBy(t, root1))

	assert.Equal(t, map[string]int{"replace": 9, "update": 3}, a.up(t, func(g *generations) { g.intermediates = 2 }),
		"of each mount request, signature and import; and the choice of its default issuer")
	second := v.issue(t)
	assert.Equal(t, []string{"server.fsn1.consul", "pki-consul-2"}, second.names())
	require.NoError(t, second.verifiedBy(t, root1))

	a.generations.root = 2
	preview, err := a.Preview(t.Context())
	require.NoError(t, err)
	assert.Equal(t, map[apitype.OpType]int{apitype.OpCreate: 7, apitype.OpReplace: 6, apitype.OpUpdate: 3, apitype.OpSame: 20}, preview.ChangeSummary,
		"all is known before")
	assert.Equal(t, map[string]int{"create": 7, "replace": 6, "update": 3}, a.up(t, func(*generations) {}),
		"a root and its cross certificate, imported thrice; of each mount signature, import and default issuer")
	root2 := a.root
	assert.Equal(t, root1, a.bundle, "clients stay as they are")
	assert.Equal(t, bootstrap, a.bootstrap, "machines stay as they are")
	third := v.issue(t)
	assert.Equal(t, []string{"server.fsn1.consul", "pki-consul-2", "test-2 root"}, third.names())
	require.NoError(t, third.verifiedBy(t, root1), "a machine of before")
	require.NoError(t, third.verifiedBy(t, root2), "a machine that will carry the new root")
	for name, old := range map[string]issued{"the first": first, "the second": second} {
		require.NoError(t, old.verifiedBy(t, root1), name)
		require.Error(t, old.verifiedBy(t, root2), "%s: this is why machines get the new root once all certificates are renewed", name)
	}
	stranger := newAuthorities(t, startVault(t))
	stranger.up(t, func(*generations) {})
	require.Error(t, third.verifiedBy(t, stranger.root))

	assert.Equal(t, map[string]int{"replace": 1}, a.up(t, func(g *generations) { g.machineRoot = 2 },
		optup.Target([]string{"**::server-1"}), optup.TargetDependents()), "as RUNBOOK.md says")
	assert.Equal(t, root1+root2, a.bundle)
	require.NoError(t, issued(parse(t, a.bootstrap)).verifiedBy(t, root2))
	_, err = a.Preview(t.Context(), optpreview.Refresh(), optpreview.ExpectNoChanges())
	require.NoError(t, err)

	assert.Equal(t, map[string]int{"create": 4, "replace": 9, "update": 3, "delete": 4}, a.up(t, func(g *generations) { g.root = 3 }))
	assert.Equal(t, root2, a.bundle, "the first root is gone")
	fourth := v.issue(t)
	assert.Equal(t, []string{"server.fsn1.consul", "pki-consul-2", "test-3 root", "test-2 root"}, fourth.names())
	require.NoError(t, fourth.verifiedBy(t, root2))
	require.NoError(t, fourth.verifiedBy(t, a.root))
}

// A new signature of the same key, as in an intermediate's last year.
func TestIntermediateIsRenewed(t *testing.T) {
	v := startVault(t)
	a := newAuthorities(t, v)
	a.up(t, func(*generations) {})
	before := v.issue(t)
	assert.Equal(t, map[string]int{"replace": 2, "update": 1},
		a.up(t, func(*generations) {}, optup.Replace([]string{"**:LocallySignedCert::pki-consul"})))
	after := v.issue(t)
	require.NoError(t, after.verifiedBy(t, a.bundle))
	assert.Equal(t, before.names(), after.names())
	assert.Equal(t, before[1].PublicKey, after[1].PublicKey)
	assert.NotEqual(t, before[1].SerialNumber, after[1].SerialNumber)
}

// When an update ends between an import and its record, the next one imports what Vault has already.
func TestImportIsRepeated(t *testing.T) {
	v := startVault(t)
	a := newAuthorities(t, v)
	a.up(t, func(*generations) {})
	before := v.issue(t)
	a.up(t, func(g *generations) { g.intermediates = 2 })

	forget := exec.Command(tool(t, "pulumi"), "state", "delete", "--yes", "--target-dependents", "--stack=test",
		"urn:pulumi:test::products::"+PKIType+"$"+pkiSigned+"::pki-consul")
	forget.Dir, forget.Env = a.Workspace().WorkDir(), append(os.Environ(), "PULUMI_HOME="+a.Workspace().PulumiHome(), "PULUMI_CONFIG_PASSPHRASE=test")
	output, err := forget.CombinedOutput()
	require.NoError(t, err, string(output))
	assert.Equal(t, map[string]int{"create": 4}, a.up(t, func(*generations) {}), "import, default issuer and two roles")
	assert.Equal(t, "pki-consul-2", v.issue(t).names()[1])
	require.NoError(t, before.verifiedBy(t, a.bundle))
	assert.Empty(t, a.up(t, func(*generations) {}))
}
