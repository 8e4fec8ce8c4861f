package agentconfig

// ConsulTemplate is consul-template's configuration: https://github.com/hashicorp/consul-template/blob/main/docs/configuration.md
type ConsulTemplate struct {
	LogLevel  string                   `json:"log_level"`
	Vault     ConsulTemplateVault      `json:"vault"`
	Templates []ConsulTemplateTemplate `json:"template"`
}

// ConsulTemplateVault says how to reach Vault and with which token.
type ConsulTemplateVault struct {
	Address             string              `json:"address"`
	VaultAgentTokenFile string              `json:"vault_agent_token_file"`
	SSL                 ConsulTemplateSSL   `json:"ssl"`
	Retry               ConsulTemplateRetry `json:"retry"`
	// LeaseRenewalThreshold is the part of its life after which a certificate, or a lease that cannot be renewed, is
	// replaced.
	LeaseRenewalThreshold float64 `json:"lease_renewal_threshold"`
}

// ConsulTemplateSSL says whom to trust.
type ConsulTemplateSSL struct {
	Enabled bool   `json:"enabled"`
	Verify  bool   `json:"verify"`
	CACert  string `json:"ca_cert"`
}

// ConsulTemplateRetry says how to retry a request that failed.
type ConsulTemplateRetry struct {
	Enabled    bool     `json:"enabled"`
	Attempts   int      `json:"attempts"` // 0: without end
	Backoff    Duration `json:"backoff"`
	MaxBackoff Duration `json:"max_backoff"`
}

// ConsulTemplateTemplate is one file to render.
type ConsulTemplateTemplate struct {
	Source            string   `json:"source"`
	Destination       string   `json:"destination"`
	User              string   `json:"user"`
	Group             string   `json:"group"`
	Perms             string   `json:"perms"`             // octal: "0600"
	Command           []string `json:"command,omitempty"` // run when the file has changed
	ErrorOnMissingKey bool     `json:"error_on_missing_key"`
}
