//go:build docker

package machine_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/machine"
)

const (
	overIPv4 = "http://169.254.169.254"
	overIPv6 = "http://[fe80::a9fe:a9fe%25eth0]"
)

// secretUserData has a word that only its machine may read, and counts how often it has run.
func secretUserData(secret string) string {
	return "#cloud-config\nwrite_files:\n- {path: /root/secret, content: " + secret + "}\nruncmd:\n- echo ran >> /root/ran\n"
}

// packed is user-data as the platform sends it.
func packed(t *testing.T, userData string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write([]byte(userData))
	require.NoError(t, errors.Join(err, w.Close()))
	return base64.StdEncoding.EncodeToString(out.Bytes())
}

// ask returns what the metadata service answers a machine.
func (c *cloud) ask(id int64, url string, curlOptions ...string) (string, error) {
	return c.try(id, "curl --silent --show-error --fail --max-time 5 "+strings.Join(curlOptions, " ")+" '"+url+"'")
}

// asksSoon is ask for the time of a boot, in which a link-local address is not there yet.
func (c *cloud) asksSoon(id int64, url string) string {
	c.t.Helper()
	var answer string
	c.eventually(30*time.Second, func() (err error) {
		answer, err = c.ask(id, url)
		return err
	})
	return answer
}

// TestMetadata lets each machine ask for its own metadata, and everybody for that of others.
func TestMetadata(t *testing.T) {
	before := hostsWay(t)
	c := newCloud(t)
	one, two, bare := spec(1, packed(t, secretUserData("of-one"))), spec(2, secretUserData("of-two")), spec(3, "")
	one.SSHKeys = []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1lWWvDCpuPI3KzgsTd6QyAzwBbJrvV7KmCRUaCrmzL somebody"}
	for _, s := range []machine.Spec{one, two, bare} {
		c.create(s)
	}
	for id := range int64(3) {
		c.booted(id + 1)
	}
	eachItsOwn := func(t *testing.T) {
		for _, base := range []string{overIPv4, overIPv6} {
			for _, s := range []machine.Spec{one, two, bare} {
				assert.Equal(t, strings.TrimSpace(s.UserData), c.asksSoon(s.ID, base+"/hetzner/v1/userdata"), "exactly what was sent")
				assert.Equal(t, s.Name, c.asksSoon(s.ID, base+"/hetzner/v1/metadata/hostname"))
				assert.Equal(t, s.Public.String(), c.asksSoon(s.ID, base+"/hetzner/v1/metadata/public-ipv4"))
			}
		}
	}

	c.part(t, "each its own", eachItsOwn)
	c.part(t, "the boot asked it", func(t *testing.T) {
		assert.Equal(t, "hetzner", c.run("cloud-id"))
		assert.Equal(t, "of-one", c.run("cat /root/secret"))
		assert.Equal(t, "m1", c.run("hostname"))
		assert.Contains(t, c.run("cat /root/.ssh/authorized_keys"), "somebody")
		assert.Contains(t, c.run("curl --silent "+overIPv4+"/hetzner/v1/metadata"), c.run("cat /sys/class/net/eth0/address"))
		assert.Equal(t, "600", c.run("stat --dereference --format %a /var/lib/cloud/instance/user-data.txt"))
		c.run("test ! -e /var/lib/cloud/seed/nocloud")
		systemd, err := c.try(3, "systemctl is-system-running --wait")
		require.NoError(t, err, systemd)
	})
	c.part(t, "not what a machine says, but who it is", func(t *testing.T) {
		answer, err := c.ask(2, overIPv4+"/hetzner/v1/metadata/hostname", "--header 'X-Forwarded-For: 198.19.0.11'", "--header 'Host: 198.19.0.11'")
		require.NoError(t, err)
		assert.Equal(t, "m2", answer)

		_, err = c.try(2, "ip address add 198.19.0.11/32 dev eth0")
		require.NoError(t, err)
		answer, err = c.ask(2, overIPv4+"/hetzner/v1/userdata", "--interface 198.19.0.11")
		require.Error(t, err, "with the address of another: %s", answer)
		_, err = c.try(2, "ip address del 198.19.0.11/32 dev eth0")
		require.NoError(t, err)
	})
	c.part(t, "the host gets nothing", func(t *testing.T) {
		for _, address := range c.metadataAddresses() {
			require.ErrorContains(t, dial(address), "connection refused")
		}
		zone, _ := c.metadataIPv6()
		require.Error(t, dial("[fe80::a9fe:a9fe%"+zone+"]:80"))
		assert.Equal(t, before, hostsWay(t), "its own way to this address is as it was")
	})
	c.part(t, "another container gets nothing", func(t *testing.T) {
		curl := func(url string) error {
			return exec.Command("docker", "run", "--rm", "--volume", c.opts.Image.Root+":/image:ro", c.opts.Image.Ref,
				"/bin/curl", "--silent", "--max-time", "5", url).Run()
		}
		require.Error(t, curl("http://198.19.0.1:8583/hetzner/v1/userdata"))
		require.NoError(t, curl(mirrorURL+"/key.asc"), "it reaches what is open on that address")
	})
	c.part(t, "the port behind it is closed", func(t *testing.T) {
		for _, url := range []string{"http://198.19.0.1:8583", "http://[fe80::a9fe:a9fe%25eth0]:8583"} {
			_, err := c.ask(1, url+"/hetzner/v1/userdata")
			require.ErrorContains(t, err, "exit code 7") // curl: could not connect
		}
	})
	c.part(t, "private networks do not serve it", func(t *testing.T) {
		c.run("ip route add 169.254.169.254 via 10.213.0.1 dev eth1")
		_, err := c.ask(1, overIPv4+"/hetzner/v1/userdata")
		require.Error(t, err)
		c.run("ip route del 169.254.169.254")
		_, err = c.ask(1, "http://[fe80::a9fe:a9fe%25eth1]/hetzner/v1/userdata")
		require.Error(t, err)
		_, err = c.ask(1, overIPv4+"/hetzner/v1/userdata")
		require.NoError(t, err)
	})
	c.part(t, "IPv6 leads nowhere else", func(t *testing.T) {
		linkLocal := c.run("ip -6 -brief address show dev eth0 scope link | awk '{print $3}' | cut -d/ -f1")
		require.Equal(t, "fe80::", linkLocal[:6])
		_, err := c.try(2, "nc -z -w 2 198.19.0.11 22")
		require.NoError(t, err, "sshd listens")
		_, err = c.try(2, "nc -z -w 2 "+linkLocal+"%eth0 22")
		require.Error(t, err, "a neighbour")
		zone, _ := c.metadataIPv6()
		require.Error(t, dial("["+linkLocal+"%"+zone+"]:22"), "the host")
	})
	c.part(t, "after a reboot", func(t *testing.T) {
		c.run("touch /run/before")
		_, _ = c.try(1, "reboot")
		c.eventually(time.Minute, func() error { _, err := c.try(1, "test ! -e /run/before"); return err })
		c.booted(1)
		eachItsOwn(t)
		assert.Equal(t, "ran", c.run("cat /root/ran"), "the same instance: user-data has not run again")
		assert.Contains(t, c.run("cat /run/cloud-init/cloud-init-generator.log /var/log/cloud-init.log"), "restored from checked cache")
	})
	c.part(t, "after a restart of the local cloud", func(t *testing.T) {
		c.end()
		for _, server := range c.servers {
			require.NoError(t, server.Close())
		}
		_, err := c.ask(1, overIPv4+"/hetzner/v1/userdata")
		require.Error(t, err)
		c.servers = nil
		c.start()
		eachItsOwn(t)
	})
	c.part(t, "with another public address", func(t *testing.T) {
		other := netip.MustParseAddr("198.19.0.78")
		require.NoError(t, c.PowerOff(t.Context(), 1))
		require.NoError(t, c.SetPublic(t.Context(), 1, other))
		require.NoError(t, c.PowerOn(t.Context(), 1))
		c.booted(1)
		assert.Equal(t, strings.TrimSpace(one.UserData), c.asksSoon(1, overIPv4+"/hetzner/v1/userdata"))
	})
}

// TestMetadataComesLate boots a machine before the service listens, as when the local cloud restarts in that moment.
func TestMetadataComesLate(t *testing.T) {
	c := newCloud(t)
	for _, server := range c.servers[1:] {
		require.NoError(t, server.Close())
	}
	c.create(spec(1, secretUserData("of-one")))
	// The machine is asking, and is refused.
	c.eventually(time.Minute, func() error { _, err := c.try(1, "grep --quiet 'request error' /var/log/cloud-init.log"); return err })
	c.serveMetadata()
	c.booted(1)
	assert.Equal(t, "of-one", c.run("cat /root/secret"))
}

// hostsWay is how the host itself reaches the metadata address.
func hostsWay(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("ip", "-oneline", "route", "get", "169.254.169.254").Output()
	require.NoError(t, err)
	return string(out)
}

func (c *cloud) metadataAddresses() []string {
	c.t.Helper()
	addresses, err := c.MetadataAddresses()
	require.NoError(c.t, err)
	require.Len(c.t, addresses, 2, "the tests' host has IPv6")
	return addresses
}

// metadataIPv6 returns the interface with the service's IPv6 address, as a zone and by name.
func (c *cloud) metadataIPv6() (zone, name string) {
	c.t.Helper()
	at, err := netip.ParseAddrPort(c.metadataAddresses()[1])
	require.NoError(c.t, err)
	zone = at.Addr().Zone()
	index, err := strconv.Atoi(zone)
	require.NoError(c.t, err)
	bridge, err := net.InterfaceByIndex(index)
	require.NoError(c.t, err)
	return zone, bridge.Name
}
