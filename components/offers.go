package components

import (
	"fmt"

	"github.com/pulumi/pulumi-hcloud/sdk/go/hcloud"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Offers are what the cloud has today.
type Offers struct {
	Locations []string
	// Types are the names of the server types, with the locations that have them.
	Types map[string][]string
}

// Offered asks the cloud, which answers previews too.
func Offered(ctx *pulumi.Context) (Offers, error) {
	offers := Offers{Types: map[string][]string{}}
	locations, err := hcloud.GetLocations(ctx)
	if err != nil {
		return offers, fmt.Errorf("look up Hetzner's locations: %w", err)
	}
	for _, location := range locations.Locations {
		offers.Locations = append(offers.Locations, location.Name)
	}
	types, err := hcloud.GetServerTypes(ctx)
	if err != nil {
		return offers, fmt.Errorf("look up Hetzner's server types: %w", err)
	}
	for _, t := range types.ServerTypes {
		in := []string{}
		for _, location := range t.Locations {
			in = append(in, location.Name)
		}
		offers.Types[t.Name] = in
	}
	return offers, nil
}
