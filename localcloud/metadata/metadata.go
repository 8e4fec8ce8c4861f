// Package metadata is Hetzner's metadata service: what a server can ask the cloud about itself, at 169.254.169.254 and
// fe80::a9fe:a9fe.
//
// Routes and formats are those of https://docs.hetzner.cloud/reference/cloud#description/server-metadata. What that page
// leaves out is taken from cloud-init's DataSourceHetzner and its tests, whose authors are Hetzner's.
package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// ErrStranger is returned, wrapped, for an address that is no server's.
var ErrStranger = errors.New("not a server of this cloud")

// Caller is the server that has the address of a request.
type Caller struct {
	ID int64
	// MAC is the address of its public interface.
	MAC string
}

// Instance is what a server can learn about itself.
type Instance struct {
	ID       int64
	Hostname string
	// PublicIPv4 is the zero Addr for a server without one.
	PublicIPv4       netip.Addr
	AvailabilityZone string // such as hel1-dc2
	Region           string // the network zone, such as eu-central
	// PublicKeys are in authorized_keys format.
	PublicKeys      []string
	PrivateNetworks []PrivateNetwork
	// UserData is served as the API got it: nothing is decoded.
	UserData string
}

// PrivateNetwork is a server's place in a network.
type PrivateNetwork struct {
	IP           netip.Addr   `yaml:"ip"`
	AliasIPs     []netip.Addr `yaml:"alias_ips"`
	InterfaceNum int          `yaml:"interface_num"` // counts from 1
	MACAddress   string       `yaml:"mac_address"`
	NetworkID    int64        `yaml:"network_id"`
	NetworkName  string       `yaml:"network_name"`
	Network      netip.Prefix `yaml:"network"`
	Subnet       netip.Prefix `yaml:"subnet"`
	Gateway      netip.Addr   `yaml:"gateway"`
}

// summary is the answer to the whole of /metadata.
type summary struct {
	AvailabilityZone string        `yaml:"availability-zone"`
	Hostname         string        `yaml:"hostname"`
	InstanceID       int64         `yaml:"instance-id"`
	LocalIPv4        string        `yaml:"local-ipv4"` // always empty at Hetzner: see private-networks
	NetworkConfig    networkConfig `yaml:"network-config"`
	PublicIPv4       string        `yaml:"public-ipv4"`
	PublicKeys       []string      `yaml:"public-keys"`
	Region           string        `yaml:"region"`
}

// networkConfig is version 1 of cloud-init's network configuration.
type networkConfig struct {
	Version int         `yaml:"version"`
	Config  []netDevice `yaml:"config"`
}

type netDevice struct {
	Type       string      `yaml:"type"`
	Name       string      `yaml:"name"`
	MACAddress string      `yaml:"mac_address"`
	Subnets    []netSubnet `yaml:"subnets"`
}

type netSubnet struct {
	Type string `yaml:"type"`
	IPv4 bool   `yaml:"ipv4"`
}

func summaryOf(i Instance, mac string) summary {
	return summary{
		AvailabilityZone: i.AvailabilityZone, Hostname: i.Hostname, InstanceID: i.ID, PublicIPv4: text(i.PublicIPv4),
		PublicKeys: i.PublicKeys, Region: i.Region,
		NetworkConfig: networkConfig{Version: 1, Config: []netDevice{{
			Type: "physical", Name: "eth0", MACAddress: mac, Subnets: []netSubnet{{Type: "dhcp", IPv4: true}},
		}}},
	}
}

// text is empty for an address that there is not.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// routes are the paths below /hetzner/v1/ and what they answer.
var routes = map[string]func(Instance, Caller) ([]byte, error){
	"metadata":                   func(i Instance, c Caller) ([]byte, error) { return yaml.Marshal(summaryOf(i, c.MAC)) },
	"metadata/availability-zone": func(i Instance, _ Caller) ([]byte, error) { return []byte(i.AvailabilityZone), nil },
	"metadata/hostname":          func(i Instance, _ Caller) ([]byte, error) { return []byte(i.Hostname), nil },
	"metadata/instance-id":       func(i Instance, _ Caller) ([]byte, error) { return strconv.AppendInt(nil, i.ID, 10), nil },
	"metadata/local-ipv4":        func(Instance, Caller) ([]byte, error) { return nil, nil },
	"metadata/private-networks":  func(i Instance, _ Caller) ([]byte, error) { return yaml.Marshal(orEmpty(i.PrivateNetworks)) },
	"metadata/public-ipv4":       func(i Instance, _ Caller) ([]byte, error) { return []byte(text(i.PublicIPv4)), nil },
	// JSON, which afterburn reads and which is YAML too.
	"metadata/public-keys": func(i Instance, _ Caller) ([]byte, error) { return json.Marshal(orEmpty(i.PublicKeys)) },
	"metadata/region":      func(i Instance, _ Caller) ([]byte, error) { return []byte(i.Region), nil },
	// Empty, and no error, for a server without user-data: cloud-init takes an error for a service that is not up yet,
	// and gives up after two minutes.
	"userdata": func(i Instance, _ Caller) ([]byte, error) { return []byte(i.UserData), nil },
}

// orEmpty makes an empty list of none, which would be rendered as null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// lookUp bounds the search for the server that asks.
const lookUp = 10 * time.Second

// Handler serves each server what instance knows about it, and nothing to anybody else. Only who decides which server
// asks, by the address that the request came from; nothing in the request has a say in it. who returns ErrStranger,
// wrapped, for an address that is no server's.
func Handler(log *slog.Logger, who func(context.Context, netip.Addr) (Caller, error), instance func(id int64) (Instance, bool)) http.Handler {
	type known struct {
		Caller
		Instance
	}
	type key struct{}
	mux := http.NewServeMux()
	for path, answer := range routes {
		mux.HandleFunc("GET /hetzner/v1/"+path, func(w http.ResponseWriter, r *http.Request) {
			asker, _ := r.Context().Value(key{}).(known) // the handler below has put it there
			body, err := answer(asker.Instance, asker.Caller)
			if err != nil {
				log.Error("answer a server about itself", "path", r.URL.Path, "server", asker.Caller.ID, "error", err)
				http.Error(w, "internal error", http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = w.Write(body) // fails when the server does not wait for it
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := asker(r, who)
		i, found := Instance{}, false
		if err == nil {
			if i, found = instance(caller.ID); !found {
				err = ErrStranger // deleted a moment ago
			}
		}
		switch {
		case errors.Is(err, ErrStranger):
			log.Warn("metadata refused", "from", r.RemoteAddr, "path", r.URL.Path)
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, ErrStranger.Error()+"\n")
		case err != nil:
			log.Error("find out who asks for metadata", "from", r.RemoteAddr, "error", err)
			http.Error(w, "internal error", http.StatusInternalServerError)
		default:
			mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, known{caller, i})))
		}
	})
}

func asker(r *http.Request, who func(context.Context, netip.Addr) (Caller, error)) (Caller, error) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return Caller{}, err
	}
	// A client that has no more to say may close its side of the connection and still wait for the answer, as `nc -N`
	// does. Go takes that for a client that has gone, and ends the request's context.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), lookUp)
	defer cancel()
	// The zone is the host's name for the bridge, the same for all.
	return who(ctx, from.Addr().Unmap().WithZone(""))
}
