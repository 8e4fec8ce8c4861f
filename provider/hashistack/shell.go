package hashistack

import (
	"fmt"
	"os"
	"strings"
)

// ForgetShell drops the variables of the three CLIs from this process. The official API clients read them by
// themselves, and a shell that points at one platform must not reach into the update of another: an old
// VAULT_CACERT fails a client, an old CONSUL_HTTP_TOKEN rides on its requests.
func ForgetShell() error {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		for _, product := range []string{"VAULT_", "CONSUL_", "NOMAD_"} {
			if !strings.HasPrefix(name, product) {
				continue
			}
			if err := os.Unsetenv(name); err != nil {
				return fmt.Errorf("drop %s from the provider's environment: %w", name, err)
			}
		}
	}
	return nil
}
