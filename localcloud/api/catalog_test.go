package api_test

import (
	"testing"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCatalog(t *testing.T) {
	c := startCloud(t)
	locations, err := c.Location.All(c.ctx)
	require.NoError(t, err)
	assert.Len(t, locations, 6)
	fsn1, _, err := c.Location.GetByName(c.ctx, "fsn1")
	require.NoError(t, err)
	assert.Equal(t, hcloud.NetworkZoneEUCentral, fsn1.NetworkZone)

	types, err := c.ServerType.All(c.ctx)
	require.NoError(t, err)
	assert.NotEmpty(t, types)
	for _, kind := range types {
		assert.Equal(t, hcloud.ArchitectureX86, kind.Architecture, kind.Name)
		assert.False(t, kind.IsDeprecated(), kind.Name)
		assert.Len(t, kind.Locations, len(locations), kind.Name)
		byID, _, err := c.ServerType.GetByID(c.ctx, kind.ID)
		require.NoError(t, err)
		assert.Equal(t, kind.Name, byID.Name)
	}

	image, _, err := c.Image.GetForArchitecture(c.ctx, "debian-12", hcloud.ArchitectureX86)
	require.NoError(t, err)
	require.NotNil(t, image)
	assert.Equal(t, "debian", image.OSFlavor)
	byID, _, err := c.Image.GetByID(c.ctx, image.ID)
	require.NoError(t, err)
	assert.Equal(t, "debian-12", byID.Name)
	arm, _, err := c.Image.GetForArchitecture(c.ctx, "debian-12", hcloud.ArchitectureARM)
	require.NoError(t, err)
	assert.Nil(t, arm)
	system, err := c.Image.AllWithOpts(c.ctx, hcloud.ImageListOpts{Type: []hcloud.ImageType{hcloud.ImageTypeSystem}, IncludeDeprecated: true, Sort: []string{"created"}})
	require.NoError(t, err)
	assert.Len(t, system, 1)
	snapshots, err := c.Image.AllWithOpts(c.ctx, hcloud.ImageListOpts{Type: []hcloud.ImageType{hcloud.ImageTypeSnapshot}})
	require.NoError(t, err)
	assert.Empty(t, snapshots)
}
