package nomadclient

import (
	"net/netip"
	"strconv"
	"strings"
	"text/template"

	"hashistack/internal/machine"
	"hashistack/internal/names"
)

// rules are what the guard of tasks is made from.
var rules = template.Must(template.New("tasks.nft").Delims("[[", "]]").Option("missingkey=error").ParseFS(files, "tasks.nft"))

// guard are the rules for what tasks reach of the platform, for nft.
func guard(c machine.Cluster) string {
	var b strings.Builder
	err := rules.Execute(&b, struct {
		Network          netip.Prefix
		FirstUser        int
		Closed, Loopback string
	}{c.Network, lastSystemID + 1, ports(names.ClosedToTasks()), ports(names.OpenToTasksOnLoopback())})
	if err != nil {
		panic(err) // the template names something that is not there; any rendering of a client in a test would show it
	}
	return b.String()
}

// ports is a list of ports as nft writes it.
func ports(all []int) string {
	var texts []string
	for _, port := range all {
		texts = append(texts, strconv.Itoa(port))
	}
	return strings.Join(texts, ", ")
}
