package components

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine"
	"hashistack/internal/pulumitest"
)

// What the providers answer. Of what is secret every machine has its own, so that a mix-up shows.
const (
	rootPEM       = "-----BEGIN CERTIFICATE-----\nroot\n-----END CERTIFICATE-----\n"
	rootKey       = "key of test"
	nextRootPEM   = "-----BEGIN CERTIFICATE-----\nthe next root\n-----END CERTIFICATE-----\n"
	nextRootKey   = "key of test-2"
	crossPEM      = "cross certificate"
	gossipKey     = "Z29zc2lwIGdvc3NpcCBnb3NzaXAgZ29zc2lwIGdvc3M="
	vaultToken    = "hvs.root"
	unsealKey     = "unseal key"
	consulToken   = "token of Consul"
	nomadToken    = "token of Nomad"
	consulEngine  = "token of the Consul engine"
	nomadEngine   = "token of the Nomad engine"
	jwtAccessor   = "auth_jwt_1234"
	bootstrapUUID = "0b0b0b0b-0b0b-4b0b-8b0b-0b0b0b0b0b0b"
)

// testMachine is a machine of the platform under test.
type testMachine struct{ name, private, public, secretID string }

var (
	serverMachines = []testMachine{
		{"server-1", "10.0.1.10", "203.0.113.1", "01010101-0101-4101-8101-010101010101"},
		{"server-2", "10.0.1.11", "203.0.113.2", "02020202-0202-4202-8202-020202020202"},
		{"server-3", "10.0.1.12", "203.0.113.3", "03030303-0303-4303-8303-030303030303"},
	}
	clientMachines = []testMachine{
		{"client-1", "10.0.2.10", "203.0.113.4", "04040404-0404-4404-8404-040404040404"},
		{"client-2", "10.0.2.11", "203.0.113.5", "05050505-0505-4505-8505-050505050505"},
	}
	allMachines = slices.Concat(serverMachines, clientMachines)
	serverRoles = []machine.Role{machine.RoleVault, machine.RoleConsulServer, machine.RoleNomadServer}
	clientRoles = []machine.Role{machine.RoleNomadClient}
	labels      = map[string]string{"stack": pulumitest.Stack}
)

func bootstrapKey(name string) string { return "key of " + name }

func bootstrapCertificate(name string) string {
	return "-----BEGIN CERTIFICATE-----\n" + name + "\n-----END CERTIFICATE-----\n"
}

// secrets are all values that nobody but their reader may see.
func secrets() []string {
	all := []string{rootKey, nextRootKey, gossipKey, vaultToken, unsealKey, consulToken, nomadToken, consulEngine, nomadEngine, bootstrapUUID}
	for _, m := range allMachines {
		all = append(all, m.secretID, strings.ReplaceAll(m.secretID, "-", ""), bootstrapKey(m.name))
	}
	return all
}

func text(value string) resource.PropertyValue { return resource.NewProperty(value) }

// consulTokenType is the type of our tokens of Consul.
const consulTokenType = "hashistack:index:ConsulToken"

// patience is the platform's.
const patience = 5 * time.Minute

// outputs are what the providers add to the resources of a platform.
func outputs() map[string]resource.PropertyMap {
	bytes := func(b string) resource.PropertyMap {
		return resource.PropertyMap{"hex": text(strings.Repeat(b, uuidBytes)), "base64": text(gossipKey)}
	}
	all := map[string]resource.PropertyMap{
		"hcloud:index/getLocation:getLocation":                  {"networkZone": text("eu-central")},
		"tls:index/selfSignedCert:SelfSignedCert":               {"certPem": text(rootPEM), "validityEndTime": text("2999-12-31T00:00:00Z")},
		"tls:index/selfSignedCert:SelfSignedCert::test-2":       {"certPem": text(nextRootPEM)},
		"tls:index/privateKey:PrivateKey::test":                 {"privateKeyPem": text(rootKey)},
		"tls:index/privateKey:PrivateKey::test-2":               {"privateKeyPem": text(nextRootKey)},
		"tls:index/certRequest:CertRequest::test-2":             {"certRequestPem": text("request of test-2")},
		"tls:index/locallySignedCert:LocallySignedCert::test-2": {"certPem": text(crossPEM)},
		"random:index/randomBytes:RandomBytes":                  bytes("0b"),
		"hashistack:index:ConsulBootstrap":                      {"token": text(consulToken)},
		"hashistack:index:NomadBootstrap":                       {"token": text(nomadToken)},
		consulTokenType:                                         {"token": text(consulEngine)},
		"nomad:index/aclToken:AclToken":                         {"secretId": text(nomadEngine)},
		"vault:jwt/authBackend:AuthBackend":                     {"accessor": text(jwtAccessor)},
		"hashistack:index:isNomadRunning":                       {"running": resource.NewProperty(false)},
		"hashistack:index:VaultInit": {
			"rootToken":  text(vaultToken),
			"unsealKeys": resource.NewProperty([]resource.PropertyValue{text(unsealKey)}),
		},
	}
	for i, m := range allMachines {
		all["hcloud:index/primaryIp:PrimaryIp::"+m.name] = resource.PropertyMap{"ipAddress": text(m.public)}
		all["random:index/randomBytes:RandomBytes::"+m.name+"-login"] = bytes(fmt.Sprintf("%02x", i+1))
		all["tls:index/privateKey:PrivateKey::"+m.name] = resource.PropertyMap{"privateKeyPem": text(bootstrapKey(m.name))}
		all["tls:index/certRequest:CertRequest::"+m.name] = resource.PropertyMap{"certRequestPem": text("request of " + m.name)}
		all["tls:index/locallySignedCert:LocallySignedCert::"+m.name] = resource.PropertyMap{"certPem": text(bootstrapCertificate(m.name))}
	}
	for _, authority := range []string{"pki-consul", "pki-nomad", "pki-vault"} {
		all["vault:pkiSecret/secretBackendIntermediateCertRequest:SecretBackendIntermediateCertRequest::"+authority] =
			resource.PropertyMap{"csr": text("request of " + authority)}
		all["tls:index/locallySignedCert:LocallySignedCert::"+authority] = resource.PropertyMap{"certPem": text("certificate of " + authority)}
		all[pkiSigned+"::"+authority] = resource.PropertyMap{"importedIssuers": resource.NewProperty(
			[]resource.PropertyValue{text("issuer of " + authority)})}
	}
	return all
}

// platform is a platform that was declared: three servers with all servers' roles, two clients.
type platform struct {
	*pulumitest.Recorder
	trust   *Trust
	network *Network
	pools   []*MachinePool
	gate    *Gate
	vault   *Vault
	consul  *Consul
	nomad   *Nomad
	rootPEM string // path of the root certificates' file

	generations generations
}

// generations are those of a platform's credentials.
type generations struct {
	consulGossip, nomadGossip, consulEngine, nomadEngine, intermediates, root, machineRoot int
}

func newPlatform(t *testing.T) *platform {
	t.Helper()
	return raisedPlatform(t, func(*generations) {})
}

// raisedPlatform is a platform of which some generations were raised.
func raisedPlatform(t *testing.T, raise func(*generations)) *platform {
	t.Helper()
	p := emptyPlatform(t)
	raise(&p.generations)
	p.Run(t, p.declare)
	return p
}

// platforms are a new platform, and one in which each generation was raised that needs no new machine.
func platforms(t *testing.T) map[string]*platform {
	t.Helper()
	return map[string]*platform{
		"new":    newPlatform(t),
		"raised": raisedPlatform(t, func(g *generations) { *g = generations{2, 2, 2, 2, 2, 2, 1} }),
	}
}

func emptyPlatform(t *testing.T) *platform {
	t.Helper()
	return &platform{
		Recorder: &pulumitest.Recorder{Outputs: outputs()}, rootPEM: filepath.Join(t.TempDir(), "ca", "root.pem"),
		generations: generations{1, 1, 1, 1, 1, 1, 1},
	}
}

// declareGround declares what every pool stands on.
func (p *platform) declareGround(ctx *pulumi.Context) (err error) {
	if p.trust, err = NewTrust(ctx, "test", &TrustArgs{
		File: p.rootPEM, Root: p.generations.root, MachineRoot: p.generations.machineRoot,
	}); err != nil {
		return err
	}
	p.network, err = NewNetwork(ctx, "test", testNetwork())
	return err
}

func (p *platform) declare(ctx *pulumi.Context) error {
	if err := p.declareMachines(ctx); err != nil {
		return err
	}
	site := p.network.Site(patience)
	servers := With(p.pools, machine.RoleVault)
	var err error
	if p.vault, err = NewVault(ctx, "vault", &VaultArgs{Machines: servers, Trust: p.trust, Site: site, Keys: VaultKeys{Shares: 1, Threshold: 1}}); err != nil {
		return err
	}
	pki, err := NewPKI(ctx, "pki", &PKIArgs{
		Vault: p.vault, Trust: p.trust, Datacenter: "fsn1", Region: "global",
		Lifetime: 3 * time.Hour, Generation: p.generations.intermediates,
	})
	if err != nil {
		return err
	}
	logins, err := NewMachineLogin(ctx, "approle", &MachineLoginArgs{Vault: p.vault, Pools: p.pools, TTL: 5 * time.Hour, MaxTTL: 48 * time.Hour})
	if err != nil {
		return err
	}
	if p.consul, err = NewConsul(ctx, "consul", &ConsulArgs{
		Machines: servers, Pools: p.pools, Vault: p.vault, Trust: p.trust, Site: site,
		TokenTTL: 7 * time.Hour, TokenMaxTTL: 500 * time.Hour,
		GossipGeneration: p.generations.consulGossip, EngineGeneration: p.generations.consulEngine,
	}); err != nil {
		return err
	}
	if p.nomad, err = NewNomad(ctx, "nomad", &NomadArgs{
		Machines: servers, NodePools: []string{clientNodePool}, Region: "global",
		Vault: p.vault, Consul: p.consul, Trust: p.trust, Site: site,
		GossipGeneration: p.generations.nomadGossip, EngineGeneration: p.generations.nomadEngine,
	}); err != nil {
		return err
	}
	workloads, err := NewWorkloadIdentity(ctx, "workloads", &WorkloadIdentityArgs{
		Vault: p.vault, Consul: p.consul, Nomad: p.nomad, Trust: p.trust, Period: 20 * time.Minute,
	})
	if err != nil {
		return err
	}
	people, err := NewPeople(ctx, "people", p.vault)
	if err != nil {
		return err
	}
	if err = p.gate.Open(ctx, "machines", pki, logins, p.consul, p.nomad, workloads, people); err != nil {
		return err
	}
	fleet, err := NewFleet(ctx, "fleet", &FleetArgs{
		Pools: p.pools, Region: "global", Vault: p.vault, Consul: p.consul, Nomad: p.nomad, Trust: p.trust, Site: site,
	})
	if err != nil {
		return err
	}
	p.gate.Follow(ctx, fleet.Voters...)
	return nil
}

// declareMachines declares the platform up to its machines.
func (p *platform) declareMachines(ctx *pulumi.Context) error {
	if err := p.declareGround(ctx); err != nil {
		return err
	}
	for _, args := range []*MachinePoolArgs{p.pool("server", serverMachines, serverRoles), p.pool("client", clientMachines, clientRoles)} {
		pool, err := NewMachinePool(ctx, args)
		if err != nil {
			return err
		}
		p.pools = append(p.pools, pool)
	}
	return p.boot(ctx)
}

// boot declares the machines behind their gate.
func (p *platform) boot(ctx *pulumi.Context) error {
	p.gate = NewGate(ctx, &GateArgs{Pools: p.pools, Trust: p.trust})
	for _, pool := range p.pools {
		if err := pool.Boot(ctx, p.gate); err != nil {
			return err
		}
	}
	return nil
}

// described is a machine as its parts see it.
func described(t *testing.T, m testMachine) machine.Machine {
	t.Helper()
	pool, nodePool, roles := "client", clientNodePool, clientRoles
	if slices.Contains(serverMachines, m) {
		pool, nodePool, roles = "server", "", serverRoles
	}
	return machine.Machine{
		Name: m.name, Pool: pool, Roles: roles, NodePool: nodePool, Private: netip.MustParseAddr(m.private), Public: netip.MustParseAddr(m.public),
	}
}

func testNetwork() NetworkArgs {
	return NetworkArgs{
		Location: "fsn1",
		Range:    netip.MustParsePrefix("10.0.0.0/16"),
		Subnets: map[string]netip.Prefix{
			"server": netip.MustParsePrefix("10.0.1.0/24"), "client": netip.MustParsePrefix("10.0.2.0/24"),
		},
		Labels: labels,
	}
}

// clientNodePool is the node pool of the clients.
const clientNodePool = "batch"

func (p *platform) pool(name string, machines []testMachine, roles []machine.Role) *MachinePoolArgs {
	nodePool := ""
	if name == "client" {
		nodePool = clientNodePool
	}
	return &MachinePoolArgs{
		Name: name, Machines: peers(machines), Roles: roles, NodePool: nodePool,
		ServerType: "cpx31", Image: "debian-12", Location: "fsn1",
		Operators: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		Labels:    labels,
		Network:   p.network, Trust: p.trust, Cluster: testCluster(),
	}
}

func peers(machines []testMachine) []machine.Peer {
	var all []machine.Peer
	for _, m := range machines {
		all = append(all, machine.Peer{Name: m.name, Address: netip.MustParseAddr(m.private)})
	}
	return all
}

func testCluster() machine.Cluster {
	servers := peers(serverMachines)
	return machine.Cluster{
		Datacenter: "fsn1", Region: "global", Network: netip.MustParsePrefix("10.0.0.0/16"),
		Servers: map[machine.Role][]machine.Peer{
			machine.RoleVault: servers, machine.RoleConsulServer: servers, machine.RoleNomadServer: servers,
		},
		Packages: machine.Packages{Consul: "1.22.3-1", Nomad: "1.11.3-1", Vault: "1.21.0-1", ConsulTemplate: "0.41.1-1"},
	}
}

// byURN finds resources by what others refer to them by.
func (p *platform) byURN() map[string]pulumitest.Resource {
	all := map[string]pulumitest.Resource{}
	for _, declared := range p.Resources() {
		all[declared.URN] = declared
	}
	return all
}

// want are expected inputs, by their path. A nil says that there must be none.
type want map[string]any

func assertInputs(t *testing.T, declared pulumitest.Resource, expected want) {
	t.Helper()
	for path, value := range expected {
		assert.EqualValues(t, value, declared.Input(path), "%s of %s %s", path, declared.Type, declared.Name)
	}
}

// assertSecret asserts an input and that it is a secret.
func assertSecret(t *testing.T, declared pulumitest.Resource, name string, value any) {
	t.Helper()
	assert.EqualValues(t, value, declared.Input(name), "%s of %s %s", name, declared.Type, declared.Name)
	assert.True(t, declared.Secret(name), "%s of %s %s is a secret", name, declared.Type, declared.Name)
}

// list is a list as it is among inputs.
func list[T any](elements ...T) []any {
	all := []any{}
	for _, element := range elements {
		all = append(all, element)
	}
	return all
}

// number is a Hetzner Cloud ID as inputs refer to it.
func number(t *testing.T, declared pulumitest.Resource) float64 {
	t.Helper()
	n, err := strconv.Atoi(declared.ID)
	require.NoError(t, err)
	return float64(n)
}

// dependencies are the resources that have to be there before another, as "type name".
func (p *platform) dependencies(declared pulumitest.Resource) []string {
	all := p.byURN()
	var found []string
	for _, urn := range declared.Options.RegisterRPC.GetDependencies() {
		found = append(found, all[urn].Type+" "+all[urn].Name)
	}
	return found
}
