//go:build products

package components

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// issued is what a machine gets from Vault and presents: certificate.ctmpl writes it in this order.
type issued struct {
	Certificate string   `json:"certificate"`
	CAChain     []string `json:"ca_chain"`
}

// issue asks as a Consul server's consul-template does.
func (v vaultServer) issue(t *testing.T) issued {
	t.Helper()
	body := strings.NewReader(`{"common_name": "server.fsn1.consul", "alt_names": "localhost", "ip_sans": "127.0.0.1"}`)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, v.address+"/v1/pki-consul/issue/server", body)
	require.NoError(t, err)
	request.Header.Set("X-Vault-Token", v.token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Errors []string
		Data   issued
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	require.Empty(t, answer.Errors)
	return answer.Data
}

// names are the subjects of the certificates, in order.
func (c issued) names(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, certificate := range parse(t, append([]string{c.Certificate}, c.CAChain...)...) {
		names = append(names, certificate.Subject.CommonName)
	}
	return names
}

// verifiedBy is what somebody says to the certificates who trusts nothing but the roots.
func (c issued) verifiedBy(t *testing.T, roots ...string) error {
	t.Helper()
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, root := range parse(t, roots...) {
		options.Roots.AddCert(root)
	}
	for _, authority := range parse(t, c.CAChain...) {
		options.Intermediates.AddCert(authority)
	}
	_, err := parse(t, c.Certificate)[0].Verify(options)
	return err
}

func parse(t *testing.T, certificates ...string) []*x509.Certificate {
	t.Helper()
	var all []*x509.Certificate
	for rest := []byte(strings.Join(certificates, "\n")); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return all
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
		bootstrap, _, err := trust.bootstrapListener(ctx, "server-1", nil, trust)
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
	assert.Equal(t, []string{"server.fsn1.consul", "pki-consul"}, first.names(t))
	require.NoError(t, first.verifiedBy(t, root1))

	assert.Equal(t, map[string]int{"replace": 9, "update": 3}, a.up(t, func(g *generations) { g.intermediates = 2 }),
		"of each mount request, signature and import; and the choice of its default issuer")
	second := v.issue(t)
	assert.Equal(t, []string{"server.fsn1.consul", "pki-consul-2"}, second.names(t))
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
	assert.Equal(t, []string{"server.fsn1.consul", "pki-consul-2", "test-2 root"}, third.names(t))
	require.NoError(t, third.verifiedBy(t, root1), "a machine of before")
	require.NoError(t, third.verifiedBy(t, root2), "a machine that will carry the new root")
	for name, old := range map[string]issued{"the first": first, "the second": second} {
		require.NoError(t, old.verifiedBy(t, root1), name)
		require.Error(t, old.verifiedBy(t, root2), "%s: this is why machines get the new root once all certificates are renewed", name)
	}
	stranger := newAuthorities(t, startVault(t))
	stranger.up(t, func(*generations) {})
	require.Error(t, third.verifiedBy(t, stranger.root))

	assert.Equal(t, map[string]int{"replace": 1}, a.up(t, func(g *generations) { g.machineRoot = 2 }))
	assert.Equal(t, root1+root2, a.bundle)
	require.NoError(t, issued{Certificate: a.bootstrap}.verifiedBy(t, root2))
	_, err = a.Preview(t.Context(), optpreview.Refresh(), optpreview.ExpectNoChanges())
	require.NoError(t, err)

	assert.Equal(t, map[string]int{"create": 4, "replace": 9, "update": 3, "delete": 4}, a.up(t, func(g *generations) { g.root = 3 }))
	assert.Equal(t, root2, a.bundle, "the first root is gone")
	fourth := v.issue(t)
	assert.Equal(t, []string{"server.fsn1.consul", "pki-consul-2", "test-3 root", "test-2 root"}, fourth.names(t))
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
	assert.Equal(t, before.names(t), after.names(t))
	assert.Equal(t, parse(t, before.CAChain[0])[0].PublicKey, parse(t, after.CAChain[0])[0].PublicKey)
	assert.NotEqual(t, before.CAChain, after.CAChain)
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
	assert.Equal(t, "pki-consul-2", v.issue(t).names(t)[1])
	require.NoError(t, before.verifiedBy(t, a.bundle))
	assert.Empty(t, a.up(t, func(*generations) {}))
}
