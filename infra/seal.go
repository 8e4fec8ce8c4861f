package infra

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"hashistack/internal/machine"
)

// parameter is what a parameter of a seal must be.
type parameter struct {
	required bool
	// test returns the rule that the value breaks, with the remedy. Nil: any plain text.
	test func(value string) error
}

// seal is a kind of seal, as Vault documents it: https://developer.hashicorp.com/vault/docs/v1.21.x/configuration/seal. A
// machine has nothing but these parameters: no environment, no instance metadata and no files of the cloud with the keys. So
// credentials, which elsewhere may come from there, are required.
type seal map[string]parameter

var seals = map[string]seal{
	"transit": {
		"address":         {required: true, test: httpsAddress},
		"token":           {required: true},
		"key_name":        {required: true},
		"mount_path":      {required: true},
		"namespace":       {},
		"disable_renewal": {test: boolean},
		"key_id_prefix":   {},
		"tls_server_name": {},
		"tls_ca_cert":     {test: noFile("that Vault needs a certificate of an authority that Debian trusts")},
		"tls_client_cert": {test: noFile("the token is what that Vault knows the machines by")},
		"tls_client_key":  {test: noFile("the token is what that Vault knows the machines by")},
		"tls_skip_verify": {test: verified},
	},
	"awskms": {
		"access_key":    {required: true},
		"secret_key":    {required: true},
		"kms_key_id":    {required: true},
		"region":        {},
		"session_token": {},
		"endpoint":      {test: httpsAddress},
	},
	"gcpckms": {
		"credentials": {test: noFile(noGoogle)},
		"project":     {required: true},
		"region":      {required: true},
		"key_ring":    {required: true},
		"crypto_key":  {required: true},
	},
	"azurekeyvault": {
		"tenant_id":     {required: true},
		"client_id":     {required: true},
		"client_secret": {required: true},
		"vault_name":    {required: true},
		"key_name":      {required: true},
		"environment":   {},
		"resource":      {test: domainName},
	},
}

// noGoogle is what to do instead of gcpckms.
const noGoogle = "use transit, awskms or azurekeyvault, whose credentials are parameters"

// sealTypes are those that can unseal a machine's Vault.
func sealTypes() []string {
	return slices.DeleteFunc(machine.SealTypes(), func(kind string) bool { return kind == "gcpckms" })
}

// sealType refuses what machines cannot use.
var sealType = limit[string]{oneOf(sealTypes()).says, func(value string) error {
	if value == "gcpckms" {
		// Its client takes a file, or looks for one at the usual places (go-kms-wrapping, wrappers/gcpckms).
		return errors.New("must not be gcpckms: Vault reads Google's credentials from a file, and no machine has such a file; " + noGoogle)
	}
	return oneOf(sealTypes()).test(value)
}}

// parameter refuses what the type's seal does not have.
func (s *Seal) parameter(name, value string) error {
	if isSkipVerify(name) {
		return verified(value)
	}
	known, ok := seals[s.Type]
	if !ok {
		return oneLine(value, largestParameter) // what its parameters are, nobody knows
	}
	wanted, ok := known[name]
	if !ok {
		return fmt.Errorf("%s is no parameter of the seal %s, which has %s", shown(name), s.Type, commas(slices.Sorted(maps.Keys(known))))
	}
	if err := oneLine(value, largestParameter); err != nil {
		return concealed(err)
	}
	for _, elsewhere := range []string{"file://", "env://"} {
		// Vault would look there for the value (go-kms-wrapping, ParsePaths).
		if strings.HasPrefix(strings.ToLower(strings.TrimSpace(value)), elsewhere) {
			return fmt.Errorf("must be the value itself, got one that begins with %s: machines have no such files and no such "+
				"environment; set it with `pulumi config set --secret --path`", elsewhere)
		}
	}
	if wanted.test != nil {
		return wanted.test(value)
	}
	return nil
}

const (
	largestParameter = 2048
	// parametersRoom leaves room in the user-data of machines.
	parametersRoom = 3072
)

// concealed is a problem of a value that may be a secret.
func concealed(err error) error {
	rule, _, _ := strings.Cut(err.Error(), ", got ")
	return errors.New(rule + "; the value is not shown, as it may be a secret")
}

// complete tells which parameters the seal lacks.
func (s *Seal) complete(broken report) {
	known := seals[s.Type]
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if known[name].required && s.Parameters[name] == "" {
			broken("parameters."+name, "missing: Vault needs it, and finds it nowhere else on a machine; set it with "+
				"`pulumi config set --secret --path`")
		}
	}
}

// isSkipVerify tells whether a parameter switches verification off, however it is spelt.
func isSkipVerify(name string) bool {
	letters := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(name))
	return strings.Contains(letters, "skipverify") || strings.Contains(letters, "insecure")
}

// verified refuses the parameter whatever its value is: machines are searched for its name.
func verified(string) error {
	return errors.New("must not be set: certificates are verified always, there is no form of skipping it; " +
		"the service needs a certificate of an authority that Debian trusts")
}

// noFile refuses the name of a file. instead is what to do.
func noFile(instead string) func(string) error {
	return func(value string) error {
		return fmt.Errorf("must not be set, got %s: it names a file, and no machine has such a file; %s", shown(value), instead)
	}
}

var (
	httpsURL = regexp.MustCompile(`^https://[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?/?$`)
	domain   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
)

// httpsAddress refuses addresses over which the service's answers would come in the clear.
func httpsAddress(value string) error {
	return matching(httpsURL, "an https address of a host such as https://vault.example:8200", "").test(value)
}

func domainName(value string) error {
	return matching(domain, "the name of a domain such as vault.azure.net", "").test(value)
}

func boolean(value string) error {
	if value != "true" && value != "false" {
		return fmt.Errorf("must be true or false, in quotes, got %s", shown(value))
	}
	return nil
}
