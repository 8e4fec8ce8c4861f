package stack

import (
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Configure has the stack use a copy of the repository's configuration that change has changed, by its keys: "hashistack:pools"
// and so on. The repository's own file stays as it is.
func (s *Stack) Configure(change func(config map[string]any) error) error {
	content, err := os.ReadFile(filepath.Join(s.Root, "Pulumi."+Name+".yaml"))
	if err != nil {
		return err
	}
	var file map[string]any
	if err := yaml.Unmarshal(content, &file); err != nil {
		return fmt.Errorf("decode the stack's configuration: %w", err)
	}
	config, ok := file["config"].(map[string]any)
	if !ok {
		return fmt.Errorf("the stack's configuration has no config, but %v", file["config"])
	}
	if err := change(config); err != nil {
		return err
	}
	if content, err = yaml.Marshal(file); err != nil {
		return err
	}
	if err := os.MkdirAll(s.Path(), 0o700); err != nil {
		return err
	}
	s.Config = s.Path("changed.yaml")
	return os.WriteFile(s.Config, content, 0o600)
}

// Pool is the configuration of a pool, by its name.
func Pool(config map[string]any, name string) (map[string]any, error) {
	pools, _ := config["hashistack:pools"].([]any)
	for _, pool := range pools {
		if settings, is := pool.(map[string]any); is && settings["name"] == name {
			return settings, nil
		}
	}
	return nil, fmt.Errorf("the stack's configuration has no pool %s", name)
}
