// Package bridge turns a Terraform provider into the Pulumi plugin of the same name, with the tokens and property
// names of the official plugin, so that programs, states and SDKs made for the official one work unchanged.
//
// The official plugins are generated: a program reads the Terraform provider, writes a schema and a metadata file, and
// both are compiled in. A Go program needs neither at run time: the SDK carries the schema, and what the metadata
// holds (which half of a provider serves which token) is computed here at start.
package bridge

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/x/muxer"
	"github.com/pulumi/pulumi-terraform-bridge/v3/unstable/metadata"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"

	"hashistack/tools/lifetime"
)

// emptySchema stands for the package schema, which only code generators ask a plugin for.
const emptySchema = "{}"

//go:embed tokens.json
var tokensJSON []byte

// names is one plugin's part of tokens.json.
type names struct {
	// Resources and Functions map a Terraform type to the official plugin's token.
	Resources map[string]string `json:"resources"`
	Functions map[string]string `json:"functions"`
	// Properties maps a token to its properties (Pulumi name to Terraform name) as the official schema names them.
	Properties map[string]map[string]string `json:"properties"`
}

// New describes plugin name at a version (without a leading v) over the Terraform provider p. Terraform types that
// the official plugin does not have are left out, and so are tokens that p has no type for.
func New(name, version string, p shim.Provider) (tfbridge.ProviderInfo, error) {
	if version == "" {
		return tfbridge.ProviderInfo{}, errors.New("no version: build with tools/build, which takes it from go.mod")
	}
	var table map[string]names
	if err := json.Unmarshal(tokensJSON, &table); err != nil {
		return tfbridge.ProviderInfo{}, fmt.Errorf("decode tokens.json: %w", err)
	}
	official, ok := table[name]
	if !ok {
		return tfbridge.ProviderInfo{}, fmt.Errorf("tokens.json has no plugin %q", name)
	}
	info := tfbridge.ProviderInfo{
		P:            p,
		Name:         name,
		Version:      version,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
		Resources:    map[string]*tfbridge.ResourceInfo{},
		DataSources:  map[string]*tfbridge.DataSourceInfo{},
	}
	p.ResourcesMap().Range(func(key string, r shim.Resource) bool {
		if token, ok := official.Resources[key]; ok {
			info.Resources[key] = &tfbridge.ResourceInfo{
				Tok:    tokens.Type(token),
				Fields: renames(r.Schema(), official.Properties[token]),
			}
		} else {
			info.IgnoreMappings = append(info.IgnoreMappings, key)
		}
		return true
	})
	p.DataSourcesMap().Range(func(key string, r shim.Resource) bool {
		if token, ok := official.Functions[key]; ok {
			info.DataSources[key] = &tfbridge.DataSourceInfo{
				Tok:    tokens.ModuleMember(token),
				Fields: renames(r.Schema(), official.Properties[token]),
			}
		} else {
			info.IgnoreMappings = append(info.IgnoreMappings, key)
		}
		return true
	})
	return info, nil
}

// renames returns the properties whose official name is not what the bridge's rule makes of the Terraform name.
func renames(schema shim.SchemaMap, official map[string]string) map[string]*tfbridge.SchemaInfo {
	fields := map[string]*tfbridge.SchemaInfo{}
	for pulumiName, terraformName := range official {
		if _, ok := schema.GetOk(terraformName); !ok {
			continue
		}
		if tfbridge.TerraformToPulumiNameV2(terraformName, schema, nil) != pulumiName {
			fields[terraformName] = &tfbridge.SchemaInfo{Name: pulumiName}
		}
	}
	return fields
}

// Main runs plugin name until the engine is done with it. adjust, which may be nil, makes the plugin's own changes.
func Main(name, version string, p shim.Provider, adjust func(*tfbridge.ProviderInfo)) {
	lifetime.EndWithParent(func() { os.Exit(1) })
	info, err := New(name, version, p)
	if err == nil {
		if adjust != nil {
			adjust(&info)
		}
		err = serve(context.Background(), info)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "pulumi-resource-%s: %v\n", name, err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, info tfbridge.ProviderInfo) error {
	mux, ok := info.P.(interface {
		ResolveDispatch(*tfbridge.ProviderInfo) (muxer.DispatchTable, error)
	})
	if !ok {
		pfbridge.Main(ctx, info.Name, info, pfbridge.ProviderMetadata{PackageSchema: []byte(emptySchema)})
		return nil
	}
	table, err := mux.ResolveDispatch(&info)
	if err != nil {
		return fmt.Errorf("assign tokens to the halves of provider %s: %w", info.Name, err)
	}
	if err := metadata.Set(info.GetMetadata(), "mux", table); err != nil {
		return fmt.Errorf("store the dispatch table of provider %s: %w", info.Name, err)
	}
	pfbridge.MainWithMuxer(ctx, info.Name, info, []byte(emptySchema))
	return nil
}
