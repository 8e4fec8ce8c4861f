package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"hashistack/localcloud/store"
)

// catalogRow is an entry of what Hetzner offers to every project: it never changes while the local cloud runs.
type catalogRow[W any] struct {
	store.Meta
	item W
}

func (r *catalogRow[W]) wire() W { return r.item }

func newCatalog[W any](singular, plural string, items []W, key func(W) (int64, string)) *collection[*catalogRow[W], W] {
	table := &store.Table[*catalogRow[W]]{}
	for _, item := range items {
		id, name := key(item)
		table.Add(&catalogRow[W]{Meta: store.Meta{ID: id, Name: name}, item: item})
	}
	return &collection[*catalogRow[W], W]{
		singular: singular, plural: plural, table: table, wire: (*catalogRow[W]).wire,
		sorts: map[string]func(x, y *catalogRow[W]) int{"name": byName[*catalogRow[W]]},
	}
}

// pick finds an entry by ID or name, the way requests refer to entries.
func pick[W any](col *collection[*catalogRow[W], W], field string, ref schema.IDOrName) (W, error) {
	row, found := col.table.Find(func(r *catalogRow[W]) bool {
		return r.ID == ref.ID || (ref.ID == 0 && r.Name == ref.Name)
	})
	if !found {
		var none W
		name := ref.Name
		if ref.ID != 0 {
			name = strconv.FormatInt(ref.ID, 10)
		}
		if name == "" {
			return none, invalid(field, "is required")
		}
		return none, invalid(field, "%s '%s' does not exist", col.singular, name)
	}
	return row.item, nil
}

// locations are Hetzner's, with their real IDs.
var locations = newCatalog("location", "locations", []schema.Location{
	{ID: 1, Name: "fsn1", Description: "Falkenstein DC Park 1", Country: "DE", City: "Falkenstein", Latitude: 50.47612, Longitude: 12.370071, NetworkZone: "eu-central"},
	{ID: 2, Name: "nbg1", Description: "Nuremberg DC Park 1", Country: "DE", City: "Nuremberg", Latitude: 49.452102, Longitude: 11.076665, NetworkZone: "eu-central"},
	{ID: 3, Name: "hel1", Description: "Helsinki DC Park 1", Country: "FI", City: "Helsinki", Latitude: 60.169855, Longitude: 24.938379, NetworkZone: "eu-central"},
	{ID: 4, Name: "ash", Description: "Ashburn, VA", Country: "US", City: "Ashburn, VA", Latitude: 39.045821, Longitude: -77.487073, NetworkZone: "us-east"},
	{ID: 5, Name: "hil", Description: "Hillsboro, OR", Country: "US", City: "Hillsboro, OR", Latitude: 45.54222, Longitude: -122.951924, NetworkZone: "us-west"},
	{ID: 6, Name: "sin", Description: "Singapore", Country: "SG", City: "Singapore", Latitude: 1.283333, Longitude: 103.833333, NetworkZone: "ap-southeast"},
}, func(l schema.Location) (int64, string) { return l.ID, l.Name })

// zoneExists says whether any location is in this network zone.
func zoneExists(zone string) bool {
	_, found := locations.table.Find(func(l *catalogRow[schema.Location]) bool { return l.item.NetworkZone == zone })
	return found
}

// plan is a row of Hetzner's price list: cores, memory and disk in GB.
type plan struct {
	id    int64
	name  string
	cpu   string
	cores int
	mem   float32
	disk  int
}

// plans are the x86 server types on sale, by https://www.hetzner.com/cloud. The other types are ARM, and there is no
// ARM host to run them.
var plans = []plan{
	{96, "ccx13", "dedicated", 2, 8, 80},
	{97, "ccx23", "dedicated", 4, 16, 160},
	{98, "ccx33", "dedicated", 8, 32, 240},
	{99, "ccx43", "dedicated", 16, 64, 360},
	{100, "ccx53", "dedicated", 32, 128, 600},
	{101, "ccx63", "dedicated", 48, 192, 960},
	{109, "cpx22", "shared", 2, 4, 80},
	{110, "cpx32", "shared", 4, 8, 160},
	{111, "cpx42", "shared", 8, 16, 320},
	{112, "cpx52", "shared", 12, 24, 480},
	{113, "cpx62", "shared", 16, 32, 640},
	{114, "cx23", "shared", 2, 4, 40},
	{115, "cx33", "shared", 4, 8, 80},
	{116, "cx43", "shared", 8, 16, 160},
	{117, "cx53", "shared", 16, 32, 320},
}

var serverTypes = newCatalog("server_type", "server_types", serverTypeList(), func(t schema.ServerType) (int64, string) { return t.ID, t.Name })

func serverTypeList() []schema.ServerType {
	categories := map[string]string{"ccx": "General Purpose", "cpx": "Regular Performance", "cx": "Cost-Optimized"}
	list := make([]schema.ServerType, 0, len(plans))
	for _, p := range plans {
		t := schema.ServerType{
			ID: p.id, Name: p.name, Description: strings.ToUpper(p.name), Category: categories[strings.TrimRight(p.name, "0123456789")],
			Cores: p.cores, Memory: p.mem, Disk: p.disk, StorageType: "local", CPUType: p.cpu, Architecture: string(hcloud.ArchitectureX86),
			Prices: []schema.PricingServerTypePrice{}, // The local cloud costs nothing, and must not pretend to know Hetzner's prices.
		}
		for _, l := range locations.table.All() {
			t.Locations = append(t.Locations, schema.ServerTypeLocation{ID: l.ID, Name: l.Name, Available: true})
		}
		list = append(list, t)
	}
	return list
}

func ptr[T any](v T) *T { return &v }

var debian12 = schema.Image{
	ID: 114690387, Status: "available", Type: "system", Name: ptr("debian-12"), Description: "Debian 12", DiskSize: 5,
	Created:  ptr(time.Date(2023, 6, 13, 6, 0, 0, 0, time.UTC)),
	OSFlavor: "debian", OSVersion: ptr("12"), Architecture: string(hcloud.ArchitectureX86), RapidDeploy: true,
	Labels: map[string]string{},
}

// images holds the only image: machine.Runtime makes every machine from it.
var images = imageCatalog()

func imageCatalog() *collection[*catalogRow[schema.Image], schema.Image] {
	list := newCatalog("image", "images", []schema.Image{debian12}, func(i schema.Image) (int64, string) { return i.ID, *i.Name })
	list.sorts["created"] = func(x, y *catalogRow[schema.Image]) int { return x.item.Created.Compare(*y.item.Created) }
	list.filters = map[string]func(*catalogRow[schema.Image], string) bool{
		"type":         func(r *catalogRow[schema.Image], v string) bool { return r.item.Type == v },
		"status":       func(r *catalogRow[schema.Image], v string) bool { return r.item.Status == v },
		"architecture": func(r *catalogRow[schema.Image], v string) bool { return r.item.Architecture == v },
		// Only backups are bound to a server, and there are none.
		"bound_to": func(*catalogRow[schema.Image], string) bool { return false },
		// No image is deprecated, so that including the deprecated ones changes nothing.
		"include_deprecated": func(*catalogRow[schema.Image], string) bool { return true },
	}
	return list
}

func (a *API) catalogRoutes() {
	locations.routes(a)
	serverTypes.routes(a)
	images.routes(a)

	for _, path := range []string{"/datacenters", "/datacenters/{id}"} {
		a.route("GET "+path, func(*call) (reply, error) {
			return reply{}, gone("datacenters were removed, use locations",
				"https://docs.hetzner.cloud/changelog#2026-06-02-datacenters-deprecated")
		}, "name", "sort", "page", "per_page")
	}
}

// missing are the parts of the Hetzner API that the local cloud leaves out, and answers with not_implemented.
var missing = map[string]string{
	"certificates": "certificates", "floating_ips": "floating IPs", "isos": "ISO images", "load_balancers": "load balancers",
	"load_balancer_types": "load balancers", "pricing": "pricing", "volumes": "volumes", "zones": "DNS zones",
	"storage_boxes": "storage boxes", "storage_box_types": "storage boxes",
}

var missingServerActions = []string{
	"attach_iso", "change_alias_ips", "change_dns_ptr", "create_image", "detach_iso", "disable_backup",
	"disable_rescue", "enable_backup", "enable_rescue", "request_console", "reset_password",
}

func (a *API) missingRoutes() {
	refuse := func(pattern, what string) {
		a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { a.fail(w, r, notImplemented(what)) })
	}
	for path, what := range missing {
		refuse(fmt.Sprintf("%s/%s", version, path), what)
		refuse(fmt.Sprintf("%s/%s/", version, path), what)
	}
	for _, command := range missingServerActions {
		refuse(fmt.Sprintf("POST %s/servers/{id}/actions/%s", version, command), "server action "+command)
	}
	refuse("GET "+version+"/servers/{id}/metrics", "server metrics")
	refuse("GET "+version+"/networks/{id}/members", "listing the members of a network")
	refuse("POST "+version+"/primary_ips/{id}/actions/change_dns_ptr", "reverse DNS")
	refuse("PUT "+version+"/images/{id}", "changing an image")
	refuse("DELETE "+version+"/images/{id}", "deleting an image")
	refuse("POST "+version+"/images/{id}/actions/change_protection", "changing an image")
}
