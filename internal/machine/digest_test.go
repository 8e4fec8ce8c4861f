package machine_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/cloudinit"
	"hashistack/internal/machine"
)

func TestDigests(t *testing.T) {
	config := func(change func(*cloudinit.Config)) map[string]string {
		c := cloudinit.Config{
			Hostname:    "client-1",
			WriteFiles:  []cloudinit.File{{Path: "/etc/one", Permissions: "0644", Content: "1"}, {Path: "/etc/two", Permissions: "0644", Content: "2"}},
			Packages:    []cloudinit.Package{{Name: "busybox"}, {Name: "nomad", Version: "1.11.3-1"}},
			RunCommands: [][]string{{"true"}},
		}
		if change != nil {
			change(&c)
		}
		digests, err := machine.Digests(c)
		require.NoError(t, err)
		return digests
	}
	before := config(nil)
	assert.Equal(t, "busybox nomad=1.11.3-1", before["packages"])
	assert.Equal(t, before, config(nil))
	for want, change := range map[string]func(*cloudinit.Config){
		"/etc/one": func(c *cloudinit.Config) { c.WriteFiles[0].Content = "11" },
		"/etc/two": func(c *cloudinit.Config) { c.WriteFiles[1].Permissions = "0600" },
		"packages": func(c *cloudinit.Config) { c.Packages[1].Version = "2.0.5-1" },
		"boot":     func(c *cloudinit.Config) { c.RunCommands = nil },
	} {
		after := config(change)
		assert.NotEqual(t, before[want], after[want], want)
		maps.DeleteFunc(after, func(name, value string) bool { return before[name] == value })
		assert.Len(t, after, 1, "nothing but %s differs", want)
	}
	assert.NotContains(t, config(func(c *cloudinit.Config) { c.WriteFiles = c.WriteFiles[:1] }), "/etc/two", "a file that is gone")
}
