package agentconfig

// Nomad is the configuration of a Nomad agent: https://developer.hashicorp.com/nomad/docs/configuration
type Nomad struct {
	Region             string           `json:"region"`
	Datacenter         string           `json:"datacenter"`
	Name               string           `json:"name"`
	DataDir            string           `json:"data_dir"`
	LogLevel           string           `json:"log_level"`
	BindAddr           string           `json:"bind_addr"`
	DisableUpdateCheck bool             `json:"disable_update_check"`
	Addresses          []NomadAddresses `json:"addresses"`
	Advertise          []NomadAddresses `json:"advertise"`
	ACL                []NomadACL       `json:"acl"`
	TLS                []NomadTLS       `json:"tls"`
	Limits             []NomadLimits    `json:"limits,omitempty"`
	Server             []NomadServer    `json:"server,omitempty"`
	Client             []NomadClient    `json:"client,omitempty"`
	Plugins            []NomadPlugins   `json:"plugin,omitempty"`
	Consul             []NomadConsul    `json:"consul"`
	Vault              []NomadVault     `json:"vault"`
	UI                 []NomadUI        `json:"ui,omitempty"`
	Telemetry          []NomadTelemetry `json:"telemetry"`
}

// NomadAddresses is where listeners bind, or what they advertise. Without a server there is no Serf.
type NomadAddresses struct {
	HTTP string `json:"http"`
	RPC  string `json:"rpc"`
	Serf string `json:"serf,omitempty"`
}

// NomadACL is the acl block.
type NomadACL struct {
	Enabled bool `json:"enabled"`
}

// NomadLimits is the limits block.
type NomadLimits struct {
	HTTPMaxConnsPerClient int `json:"http_max_conns_per_client"` // by IP address; Nomad's default is 100
}

// NomadTLS is the tls block.
type NomadTLS struct {
	HTTP                 bool   `json:"http"`
	RPC                  bool   `json:"rpc"`
	CAFile               string `json:"ca_file"`
	CertFile             string `json:"cert_file"`
	KeyFile              string `json:"key_file"`
	VerifyServerHostname bool   `json:"verify_server_hostname"`
	TLSMinVersion        string `json:"tls_min_version"`
}

// NomadServer is the server block.
type NomadServer struct {
	Enabled            bool                      `json:"enabled"`
	BootstrapExpect    int                       `json:"bootstrap_expect"`
	ServerJoin         []NomadServerJoin         `json:"server_join"`
	ClientIntroduction []NomadClientIntroduction `json:"client_introduction"`
}

// NomadClientIntroduction says which clients may register for the first time.
type NomadClientIntroduction struct {
	Enforcement        string   `json:"enforcement"` // "none", "warn" or "strict"
	DefaultIdentityTTL Duration `json:"default_identity_ttl"`
	MaxIdentityTTL     Duration `json:"max_identity_ttl"`
}

// NomadServerJoin says which servers to join, without end.
type NomadServerJoin struct {
	RetryJoin     []string `json:"retry_join"`
	RetryInterval Duration `json:"retry_interval"`
}

// NomadClient is the client block.
type NomadClient struct {
	Enabled             bool                `json:"enabled"`
	NodePool            string              `json:"node_pool"`
	Meta                []map[string]string `json:"meta,omitempty"`
	Options             []map[string]string `json:"options,omitempty"`
	ServerJoin          []NomadServerJoin   `json:"server_join"`
	CNIPath             string              `json:"cni_path"`
	BridgeNetworkSubnet string              `json:"bridge_network_subnet"`
	ChrootEnv           []map[string]string `json:"chroot_env"`
	// NetworkInterface is a name, or a go-sockaddr template that results in one.
	NetworkInterface string                `json:"network_interface"`
	Template         []NomadClientTemplate `json:"template"`
}

// NomadClientTemplate is how job templates reach Vault, Consul and Nomad.
type NomadClientTemplate struct {
	VaultRetry  []NomadRetry `json:"vault_retry"`
	ConsulRetry []NomadRetry `json:"consul_retry"`
	NomadRetry  []NomadRetry `json:"nomad_retry"`
}

// NomadRetry says how to retry; 0 attempts means without end.
type NomadRetry struct {
	Attempts   int      `json:"attempts"`
	Backoff    Duration `json:"backoff"`
	MaxBackoff Duration `json:"max_backoff"`
}

// NomadPlugins is a plugin block: one of its fields, which are the names of plugins.
type NomadPlugins struct {
	Exec    *NomadPlugin `json:"exec,omitempty"`
	RawExec *NomadPlugin `json:"raw_exec,omitempty"`
}

// NomadPlugin is a plugin block.
type NomadPlugin struct {
	Config []NomadPluginConfig `json:"config"`
}

// NomadPluginConfig is a task driver's configuration.
type NomadPluginConfig struct {
	Enabled *bool `json:"enabled,omitempty"` // of raw_exec
	// AllowCaps are the capabilities that tasks of exec may have. Empty: none; nil: Nomad's own list of fourteen.
	AllowCaps *[]string `json:"allow_caps,omitempty"`
	// DeniedHostUIDs and DeniedHostGIDs are users and groups that tasks of exec may not run as: "0-999".
	DeniedHostUIDs string `json:"denied_host_uids,omitempty"`
	DeniedHostGIDs string `json:"denied_host_gids,omitempty"`
}

// NomadConsul is a consul block. Blocks of several files are merged.
type NomadConsul struct {
	// AutoAdvertise is whether Nomad registers itself. Unset, it does.
	AutoAdvertise   *bool                   `json:"auto_advertise,omitempty"`
	Address         string                  `json:"address,omitempty"`
	SSL             bool                    `json:"ssl,omitempty"`
	CAFile          string                  `json:"ca_file,omitempty"`
	GRPCAddress     string                  `json:"grpc_address,omitempty"`
	GRPCCAFile      string                  `json:"grpc_ca_file,omitempty"`
	Token           string                  `json:"token,omitempty"`
	ServiceIdentity []NomadWorkloadIdentity `json:"service_identity,omitempty"`
	TaskIdentity    []NomadWorkloadIdentity `json:"task_identity,omitempty"`
}

// NomadVault is the vault block. Servers need Enabled and DefaultIdentity alone.
type NomadVault struct {
	Enabled            bool                    `json:"enabled"`
	Address            string                  `json:"address,omitempty"`
	CAFile             string                  `json:"ca_file,omitempty"`
	JWTAuthBackendPath string                  `json:"jwt_auth_backend_path,omitempty"`
	DefaultIdentity    []NomadWorkloadIdentity `json:"default_identity,omitempty"`
}

// NomadWorkloadIdentity is an identity that servers sign for tasks and services.
type NomadWorkloadIdentity struct {
	Audience []string `json:"aud"`
	TTL      Duration `json:"ttl"`
	// ExtraClaims are further claims. The server fills in ${job.region}, ${job.namespace} and ${job.id}.
	ExtraClaims []map[string]string `json:"extra_claims,omitempty"`
}

// NomadUI is the ui block.
type NomadUI struct {
	Enabled bool `json:"enabled"`
}

// NomadTelemetry is the telemetry block.
type NomadTelemetry struct {
	PrometheusMetrics        bool     `json:"prometheus_metrics"`
	PublishAllocationMetrics bool     `json:"publish_allocation_metrics"`
	PublishNodeMetrics       bool     `json:"publish_node_metrics"`
	DisableHostname          bool     `json:"disable_hostname"`
	CollectionInterval       Duration `json:"collection_interval"`
}
