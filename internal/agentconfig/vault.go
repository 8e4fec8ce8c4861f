package agentconfig

// Vault is the configuration of a Vault server: https://developer.hashicorp.com/vault/docs/configuration
type Vault struct {
	ClusterName  string           `json:"cluster_name"`
	APIAddr      string           `json:"api_addr"`
	ClusterAddr  string           `json:"cluster_addr"`
	UI           bool             `json:"ui"`
	DisableMlock bool             `json:"disable_mlock"`
	LogLevel     string           `json:"log_level"`
	Listener     []VaultListener  `json:"listener"`
	Storage      []VaultStorage   `json:"storage"`
	Seal         []map[string]any `json:"seal,omitempty"` // by type: {"transit": {"address": …}}
	// UserLockout is by the type of an auth method: {"approle": …}.
	UserLockout []map[string]VaultUserLockout `json:"user_lockout"`
	Telemetry   []VaultTelemetry              `json:"telemetry"`
}

// VaultUserLockout says when a user's logins are refused for a while.
type VaultUserLockout struct {
	DisableLockout bool `json:"disable_lockout"`
}

// VaultListener is a listener block of type tcp.
type VaultListener struct {
	TCP VaultListenerTCP `json:"tcp"`
}

// VaultListenerTCP holds a TCP listener's parameters.
type VaultListenerTCP struct {
	Address               string `json:"address"`
	ClusterAddress        string `json:"cluster_address"`
	TLSCertFile           string `json:"tls_cert_file"`
	TLSKeyFile            string `json:"tls_key_file"`
	TLSMinVersion         string `json:"tls_min_version"`
	TLSDisableClientCerts bool   `json:"tls_disable_client_certs"`
}

// VaultStorage is a storage block of type raft.
type VaultStorage struct {
	Raft VaultRaft `json:"raft"`
}

// VaultRaft holds the parameters of the integrated storage.
type VaultRaft struct {
	Path                  string           `json:"path"`
	NodeID                string           `json:"node_id"`
	PerformanceMultiplier string           `json:"performance_multiplier"` // a number; Vault takes strings here
	RetryJoin             []VaultRetryJoin `json:"retry_join,omitempty"`
}

// VaultRetryJoin is another node to join through.
type VaultRetryJoin struct {
	LeaderAPIAddr       string `json:"leader_api_addr"`
	LeaderCACertFile    string `json:"leader_ca_cert_file"`
	LeaderTLSServerName string `json:"leader_tls_servername"`
}

// VaultTelemetry is the telemetry block.
type VaultTelemetry struct {
	PrometheusRetentionTime Duration `json:"prometheus_retention_time"`
	DisableHostname         bool     `json:"disable_hostname"`
}

// VaultAgent is the configuration of a Vault Agent that logs in and keeps a token in a file:
// https://developer.hashicorp.com/vault/docs/agent-and-proxy/agent
type VaultAgent struct {
	LogLevel string            `json:"log_level"`
	Vault    []VaultAgentVault `json:"vault"`
	AutoAuth []VaultAutoAuth   `json:"auto_auth"`
}

// VaultAgentVault says how to reach Vault.
type VaultAgentVault struct {
	Address string            `json:"address"`
	CACert  string            `json:"ca_cert"`
	Retry   []VaultAgentRetry `json:"retry"`
}

// VaultAgentRetry limits retries of a single request.
type VaultAgentRetry struct {
	NumRetries int `json:"num_retries"`
}

// VaultAutoAuth is the auto_auth block.
type VaultAutoAuth struct {
	Method []VaultAuthMethod `json:"method"`
	Sink   []VaultSink       `json:"sink"`
}

// VaultAuthMethod is a method block of type approle.
type VaultAuthMethod struct {
	Type       string               `json:"type"`
	MountPath  string               `json:"mount_path"`
	MinBackoff Duration             `json:"min_backoff"`
	MaxBackoff Duration             `json:"max_backoff"`
	Config     []VaultAppRoleConfig `json:"config"`
}

// VaultAppRoleConfig names the files with the AppRole's RoleID and SecretID.
type VaultAppRoleConfig struct {
	RoleIDFilePath                 string `json:"role_id_file_path"`
	SecretIDFilePath               string `json:"secret_id_file_path"`
	RemoveSecretIDFileAfterReading bool   `json:"remove_secret_id_file_after_reading"`
}

// VaultSink is a sink block of type file.
type VaultSink struct {
	Type   string                `json:"type"`
	Config []VaultFileSinkConfig `json:"config"`
}

// VaultFileSinkConfig says where the token goes.
type VaultFileSinkConfig struct {
	Path string `json:"path"`
	Mode int    `json:"mode"` // a number: JSON shows 0600 as 384
}
