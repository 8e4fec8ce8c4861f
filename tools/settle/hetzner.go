package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"hashistack/internal/poll"
	"hashistack/internal/stackstate"
)

// lockTimeout bounds the wait for the action that creates a machine: the machine is locked until it ends.
const lockTimeout = 5 * time.Minute

// findHetzner looks for what a create made. It looks by name, which is unique in a project for each kind of thing.
func findHetzner(ctx context.Context, s *state, r apitype.ResourceV3) (orphan, error) {
	client, err := hetznerClient(s, r)
	if err != nil {
		return nil, err
	}
	name := text(r, "name")
	switch r.Type {
	case "hcloud:index/server:Server":
		found, _, err := client.Server.GetByName(ctx, name)
		if err != nil || found == nil {
			return nil, err
		}
		return s.hetznerOrphan(r, found.ID, found.Labels, func(ctx context.Context) error {
			result, _, err := client.Server.DeleteWithResult(ctx, found)
			if err != nil {
				return err
			}
			return client.Action.WaitFor(ctx, result.Action)
		})
	case "hcloud:index/network:Network":
		found, _, err := client.Network.GetByName(ctx, name)
		if err != nil || found == nil {
			return nil, err
		}
		return s.hetznerOrphan(r, found.ID, found.Labels, func(ctx context.Context) error {
			_, err := client.Network.Delete(ctx, found)
			return err
		})
	case "hcloud:index/networkSubnet:NetworkSubnet":
		return s.findSubnet(ctx, client, r)
	case "hcloud:index/firewall:Firewall":
		found, _, err := client.Firewall.GetByName(ctx, name)
		if err != nil || found == nil {
			return nil, err
		}
		return s.hetznerOrphan(r, found.ID, found.Labels, func(ctx context.Context) error {
			_, err := client.Firewall.Delete(ctx, found)
			return err
		})
	case "hcloud:index/placementGroup:PlacementGroup":
		found, _, err := client.PlacementGroup.GetByName(ctx, name)
		if err != nil || found == nil {
			return nil, err
		}
		return s.hetznerOrphan(r, found.ID, found.Labels, func(ctx context.Context) error {
			_, err := client.PlacementGroup.Delete(ctx, found)
			return err
		})
	case "hcloud:index/primaryIp:PrimaryIp":
		found, _, err := client.PrimaryIP.GetByName(ctx, name)
		if err != nil || found == nil {
			return nil, err
		}
		return s.hetznerOrphan(r, found.ID, found.Labels, func(ctx context.Context) error {
			_, err := client.PrimaryIP.Delete(ctx, found)
			return err
		})
	}
	return nil, fmt.Errorf("how to find a half-made one is not known: look for %q in the Hetzner console, delete it if it is there, "+
		"then run `pulumi refresh --clear-pending-creates`", name)
}

func hetznerClient(s *state, r apitype.ResourceV3) (*hcloud.Client, error) {
	provider, err := s.provider(r)
	if err != nil {
		return nil, err
	}
	token, endpoint := cmp.Or(text(provider, "token"), s.token), text(provider, "endpoint")
	if token == "" {
		return nil, errors.New("no API token: export HCLOUD_TOKEN")
	}
	options := []hcloud.ClientOption{hcloud.WithToken(token)}
	if endpoint != "" {
		options = append(options, hcloud.WithEndpoint(endpoint))
	}
	return hcloud.NewClient(options...), nil
}

// hetznerOrphan makes sure that the thing that has the name was created by the interrupted update.
func (s *state) hetznerOrphan(r apitype.ResourceV3, id int64, labels map[string]string, remove func(context.Context) error) (orphan, error) {
	number := strconv.FormatInt(id, 10)
	if s.owns(number, string(r.Type)) {
		return nil, nil //nolint:nilnil // it is another resource of the stack: there is no orphan
	}
	wanted, _ := r.Inputs["labels"].(map[string]any)
	for key, value := range wanted {
		if labels[key] != stackstate.Text(value) {
			return nil, fmt.Errorf("%s %q (ID %s) exists and is not of this stack: its label %s is %q, not %q; delete or rename it, then try again",
				r.Type, text(r, "name"), number, key, labels[key], stackstate.Text(value))
		}
	}
	return thing{fmt.Sprintf("%s (ID %s)", text(r, "name"), number), func(ctx context.Context) error {
		return poll.Until(ctx, lockTimeout, "Hetzner to end the action that creates it", func(ctx context.Context) error {
			err := remove(ctx)
			if hcloud.IsError(err, hcloud.ErrorCodeNotFound) {
				return nil
			}
			return err
		})
	}}, nil
}

// findSubnet looks for a subnet by its range; it has neither name nor labels.
func (s *state) findSubnet(ctx context.Context, client *hcloud.Client, r apitype.ResourceV3) (orphan, error) {
	id, _ := r.Inputs["networkId"].(float64)
	network, _, err := client.Network.GetByID(ctx, int64(id))
	if err != nil || network == nil {
		return nil, err
	}
	_, wanted, err := net.ParseCIDR(text(r, "ipRange"))
	if err != nil {
		return nil, err
	}
	for _, subnet := range network.Subnets {
		key := fmt.Sprintf("%d-%s", network.ID, subnet.IPRange)
		if subnet.IPRange.String() != wanted.String() || s.owns(key, string(r.Type)) {
			continue
		}
		return thing{"subnet " + key, func(ctx context.Context) error {
			action, _, err := client.Network.DeleteSubnet(ctx, network, hcloud.NetworkDeleteSubnetOpts{Subnet: subnet})
			if err != nil {
				return err
			}
			return client.Action.WaitFor(ctx, action)
		}}, nil
	}
	return nil, nil //nolint:nilnil // there is no orphan
}
