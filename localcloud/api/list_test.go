package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// groups makes n placement groups group-00, group-01, …, labelled in turn with tier=a, b and c.
func (c *cloud) groups(n int) {
	c.t.Helper()
	for i := range n {
		_, _, err := c.PlacementGroup.Create(c.ctx, hcloud.PlacementGroupCreateOpts{
			Name: fmt.Sprintf("group-%02d", i), Type: hcloud.PlacementGroupTypeSpread, Labels: map[string]string{"tier": string("abc"[i%3])},
		})
		require.NoError(c.t, err)
	}
}

func TestPages(t *testing.T) {
	c := startCloud(t, withLimits(bigLimits))
	c.groups(60)
	tests := []struct {
		opts  hcloud.ListOpts
		first string
		count int
		want  hcloud.Pagination
	}{
		{hcloud.ListOpts{}, "group-00", 25, hcloud.Pagination{Page: 1, PerPage: 25, NextPage: 2, LastPage: 3, TotalEntries: 60}},
		{hcloud.ListOpts{Page: 2}, "group-25", 25, hcloud.Pagination{Page: 2, PerPage: 25, PreviousPage: 1, NextPage: 3, LastPage: 3, TotalEntries: 60}},
		{hcloud.ListOpts{Page: 3}, "group-50", 10, hcloud.Pagination{Page: 3, PerPage: 25, PreviousPage: 2, LastPage: 3, TotalEntries: 60}},
		{hcloud.ListOpts{Page: 9}, "", 0, hcloud.Pagination{Page: 9, PerPage: 25, PreviousPage: 8, LastPage: 3, TotalEntries: 60}},
		{hcloud.ListOpts{PerPage: 7, Page: 2}, "group-07", 7, hcloud.Pagination{Page: 2, PerPage: 7, PreviousPage: 1, NextPage: 3, LastPage: 9, TotalEntries: 60}},
		{hcloud.ListOpts{PerPage: 500}, "group-00", 50, hcloud.Pagination{Page: 1, PerPage: 50, NextPage: 2, LastPage: 2, TotalEntries: 60}},
		{hcloud.ListOpts{LabelSelector: "tier=none"}, "", 0, hcloud.Pagination{Page: 1, PerPage: 25, LastPage: 1}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%+v", tt.opts), func(t *testing.T) {
			list, resp, err := c.PlacementGroup.List(c.ctx, hcloud.PlacementGroupListOpts{ListOpts: tt.opts})
			require.NoError(t, err)
			require.Len(t, list, tt.count)
			if tt.count > 0 {
				assert.Equal(t, tt.first, list[0].Name)
			}
			assert.Equal(t, tt.want, *resp.Meta.Pagination)
		})
	}
	all, err := c.PlacementGroup.All(c.ctx)
	require.NoError(t, err)
	assert.Len(t, all, 60, "the client walks through all pages")
}

func TestLinkHeader(t *testing.T) {
	c := startCloud(t, withLimits(bigLimits))
	c.groups(3)
	a := c.raw(http.MethodGet, "/v1/placement_groups?per_page=1&page=2&sort=name", testToken, "")
	assert.Equal(t, fmt.Sprintf(`<%[1]s/v1/placement_groups?page=1&per_page=1&sort=name>; rel="prev", `+
		`<%[1]s/v1/placement_groups?page=3&per_page=1&sort=name>; rel="next", `+
		`<%[1]s/v1/placement_groups?page=3&per_page=1&sort=name>; rel="last"`, c.url), a.header.Get("Link"))
}

func TestFilterAndSort(t *testing.T) {
	c := startCloud(t)
	c.groups(5)
	tests := map[string]struct {
		opts hcloud.PlacementGroupListOpts
		want []string
	}{
		"by name":          {hcloud.PlacementGroupListOpts{Name: "group-03"}, []string{"group-03"}},
		"by unknown name":  {hcloud.PlacementGroupListOpts{Name: "group"}, nil},
		"by label":         {hcloud.PlacementGroupListOpts{ListOpts: hcloud.ListOpts{LabelSelector: "tier=a"}}, []string{"group-00", "group-03"}},
		"by labels":        {hcloud.PlacementGroupListOpts{ListOpts: hcloud.ListOpts{LabelSelector: "tier in (b,c),!zone"}}, []string{"group-01", "group-02", "group-04"}},
		"by type":          {hcloud.PlacementGroupListOpts{Type: "other"}, nil},
		"sorted down":      {hcloud.PlacementGroupListOpts{Sort: []string{"name:desc"}}, []string{"group-04", "group-03", "group-02", "group-01", "group-00"}},
		"sorted by ID":     {hcloud.PlacementGroupListOpts{Sort: []string{"id:desc"}, ListOpts: hcloud.ListOpts{LabelSelector: "tier=b"}}, []string{"group-04", "group-01"}},
		"by two of a kind": {hcloud.PlacementGroupListOpts{ListOpts: hcloud.ListOpts{LabelSelector: "tier!=a,tier!=b"}}, []string{"group-02"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			list, _, err := c.PlacementGroup.List(c.ctx, tt.opts)
			require.NoError(t, err)
			var names []string
			for _, g := range list {
				names = append(names, g.Name)
			}
			assert.Equal(t, tt.want, names)
		})
	}
}

// The number of a page can be any that JSON has.
func TestPagesBeyondTheLast(t *testing.T) {
	c := startCloud(t)
	c.groups(3)
	for _, query := range []string{"page=2", "page=9223372036854775807&per_page=50", "page=4611686018427387905&per_page=2", "page=9223372036854775807&per_page=9223372036854775807"} {
		a := c.raw(http.MethodGet, "/v1/placement_groups?"+query, testToken, "")
		assert.Equal(t, http.StatusOK, a.status, query)
		assert.NotContains(t, a.header.Get("Link"), `rel="next"`, query)
	}
}
