package agentconfig

// Consul is the configuration of a Consul agent: https://developer.hashicorp.com/consul/docs/reference/agent/configuration-file
type Consul struct {
	Datacenter string            `json:"datacenter"`
	NodeName   string            `json:"node_name"`
	NodeMeta   map[string]string `json:"node_meta,omitempty"`
	DataDir    string            `json:"data_dir"`
	LogLevel   string            `json:"log_level"`

	Server          bool             `json:"server"`
	BootstrapExpect int              `json:"bootstrap_expect,omitempty"`
	RetryJoin       []string         `json:"retry_join"`
	RetryInterval   Duration         `json:"retry_interval"`
	Autopilot       *ConsulAutopilot `json:"autopilot,omitempty"`

	BindAddr      string          `json:"bind_addr"`
	AdvertiseAddr string          `json:"advertise_addr"`
	ClientAddr    string          `json:"client_addr"`
	Addresses     ConsulAddresses `json:"addresses"`
	Ports         ConsulPorts     `json:"ports"`
	Recursors     []string        `json:"recursors,omitempty"`

	TLS                     ConsulTLS `json:"tls"`
	EnableLocalScriptChecks bool      `json:"enable_local_script_checks"` // of configuration files, none over the API
	EnableAgentTLSForChecks bool      `json:"enable_agent_tls_for_checks"`
	EncryptVerifyIncoming   bool      `json:"encrypt_verify_incoming"`
	EncryptVerifyOutgoing   bool      `json:"encrypt_verify_outgoing"`

	ACL         ConsulACL         `json:"acl"`
	Connect     ConsulEnabled     `json:"connect"`
	UI          ConsulEnabled     `json:"ui_config"`
	Performance ConsulPerformance `json:"performance"`
	Telemetry   ConsulTelemetry   `json:"telemetry"`

	DisableUpdateCheck bool `json:"disable_update_check"`
}

// ConsulEnabled is a block with nothing but a switch.
type ConsulEnabled struct {
	Enabled bool `json:"enabled"`
}

// ConsulAutopilot is the autopilot block.
type ConsulAutopilot struct {
	CleanupDeadServers      bool     `json:"cleanup_dead_servers"`
	LastContactThreshold    Duration `json:"last_contact_threshold"`
	ServerStabilizationTime Duration `json:"server_stabilization_time"`
}

// ConsulAddresses overrides ClientAddr per listener.
type ConsulAddresses struct {
	HTTPS string `json:"https"`
}

// ConsulPorts sets listeners' ports; -1 closes one.
type ConsulPorts struct {
	DNS     int `json:"dns"`
	HTTP    int `json:"http"`
	HTTPS   int `json:"https"`
	GRPC    int `json:"grpc"`
	GRPCTLS int `json:"grpc_tls"`
}

// ConsulTLS is the tls block.
type ConsulTLS struct {
	Defaults    ConsulTLSDefaults    `json:"defaults"`
	InternalRPC ConsulTLSInternalRPC `json:"internal_rpc"`
}

// ConsulTLSDefaults holds for every listener.
type ConsulTLSDefaults struct {
	CAFile         string `json:"ca_file"`
	CertFile       string `json:"cert_file"`
	KeyFile        string `json:"key_file"`
	TLSMinVersion  string `json:"tls_min_version"`
	VerifyOutgoing bool   `json:"verify_outgoing"`
}

// ConsulTLSInternalRPC holds between agents: both ends show a certificate, and servers one with a server's name.
type ConsulTLSInternalRPC struct {
	VerifyIncoming       bool `json:"verify_incoming"`
	VerifyServerHostname bool `json:"verify_server_hostname"`
}

// ConsulACL is the acl block.
type ConsulACL struct {
	Enabled                bool   `json:"enabled"`
	DefaultPolicy          string `json:"default_policy"`
	DownPolicy             string `json:"down_policy"`
	EnableTokenPersistence bool   `json:"enable_token_persistence"`
}

// ConsulPerformance is the performance block.
type ConsulPerformance struct {
	RaftMultiplier int `json:"raft_multiplier"`
}

// ConsulTelemetry is the telemetry block.
type ConsulTelemetry struct {
	PrometheusRetentionTime Duration `json:"prometheus_retention_time"`
	DisableHostname         bool     `json:"disable_hostname"`
}

// ConsulService is a service of the agent's machine.
type ConsulService struct {
	Name    string            `json:"name"`
	ID      string            `json:"id"`
	Address string            `json:"address,omitempty"`
	Port    int               `json:"port,omitempty"`
	Meta    map[string]string `json:"meta,omitempty"`
	Token   string            `json:"token,omitempty"` // empty: config_file_service_registration
	Checks  []ConsulCheck     `json:"checks"`
}

// ConsulCheck is a check of a service: by HTTPS, or a command that ends with 0 (passing), 1 (warning) or something else.
type ConsulCheck struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	HTTP          string   `json:"http,omitempty"`
	TLSServerName string   `json:"tls_server_name,omitempty"`
	Args          []string `json:"args,omitempty"`
	Interval      Duration `json:"interval"`
	Timeout       Duration `json:"timeout"`
}
