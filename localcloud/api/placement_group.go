package api

import (
	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"hashistack/localcloud/store"
)

// maxSpread is how many servers a spread placement group holds.
const maxSpread = 10

type placementGroup struct {
	store.Meta
	Type string `json:"type"`
}

func (a *API) wirePlacementGroup(g *placementGroup) schema.PlacementGroup {
	w := schema.PlacementGroup{
		ID: g.ID, Name: g.Name, Labels: wireLabels(&g.Meta), Created: g.Created, Type: g.Type, Servers: []int64{},
	}
	for _, s := range a.serversIn(g) {
		w.Servers = append(w.Servers, s.ID)
	}
	return w
}

func (a *API) serversIn(g *placementGroup) []*server {
	var in []*server
	for _, s := range a.state.Servers.All() {
		if s.PlacementGroup == g.ID {
			in = append(in, s)
		}
	}
	return in
}

func (a *API) placementGroups() *collection[*placementGroup, schema.PlacementGroup] {
	return &collection[*placementGroup, schema.PlacementGroup]{
		singular: "placement_group", plural: "placement_groups", table: &a.state.PlacementGroups, wire: a.wirePlacementGroup,
		filters: map[string]func(*placementGroup, string) bool{
			"type": func(g *placementGroup, v string) bool { return g.Type == v },
		},
		sorts: sortsByNameAndAge[*placementGroup](),
	}
}

func (a *API) placementGroupRoutes() {
	groups := a.placementGroups()
	groups.routes(a)
	a.route("POST /placement_groups", a.createPlacementGroup)
	a.route("PUT /placement_groups/{id}", func(c *call) (reply, error) {
		var req schema.PlacementGroupUpdateRequest
		group, err := groups.find(c)
		if err == nil {
			err = decode(c, &req)
		}
		if err == nil {
			err = groups.update(group, deref(req.Name), req.Labels)
		}
		if err != nil {
			return reply{}, err
		}
		return ok(schema.PlacementGroupUpdateResponse{PlacementGroup: groups.wire(group)})
	})
	a.route("DELETE /placement_groups/{id}", func(c *call) (reply, error) {
		group, err := groups.find(c)
		if err != nil {
			return reply{}, err
		}
		if n := len(a.serversIn(group)); n > 0 {
			return reply{}, errorf(hcloud.ErrorCodeResourceInUse, "placement group with ID '%d' is still in use by %d servers", group.ID, n)
		}
		a.state.PlacementGroups.Remove(group.ID)
		return noContent()
	})
}

func (a *API) createPlacementGroup(c *call) (reply, error) {
	var req schema.PlacementGroupCreateRequest
	if err := decode(c, &req); err != nil {
		return reply{}, err
	}
	if req.Type != string(hcloud.PlacementGroupTypeSpread) {
		return reply{}, invalid("type", "must be spread, got %q", req.Type)
	}
	if a.state.PlacementGroups.Len() >= a.Limits.PlacementGroups {
		return reply{}, limitExceeded("placement_group_limit", a.Limits.PlacementGroups)
	}
	meta, err := a.placementGroups().newMeta(a, req.Name, req.Labels)
	if err != nil {
		return reply{}, err
	}
	group := &placementGroup{Meta: meta, Type: req.Type}
	a.state.PlacementGroups.Add(group)
	return created(schema.PlacementGroupCreateResponse{PlacementGroup: a.wirePlacementGroup(group)})
}

// room returns the group with this ID if it can take one more server.
func (a *API) room(id int64) (*placementGroup, error) {
	group, err := a.placementGroups().get(id)
	if err != nil {
		return nil, err
	}
	if len(a.serversIn(group)) >= maxSpread {
		return nil, errorf(hcloud.ErrorCodePlacementError, "placement group '%s' holds %d servers, which is the most a spread group can", group.Name, maxSpread)
	}
	return group, nil
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
