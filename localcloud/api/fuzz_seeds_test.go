package api_test

import (
	"encoding/json"
	"slices"
	"strconv"
)

func itoa(id int64) string { return strconv.FormatInt(id, 10) }

// ids are those of the project's resources.
func (p project) ids() (server, network, firewall, primaryIP, group, key string) {
	type rows []struct {
		ID   int64
		Name string
	}
	var state struct {
		Servers, Networks, Firewalls rows
		PrimaryIPs                   rows `json:"primary_ips"`
		PlacementGroups              rows `json:"placement_groups"`
		SSHKeys                      rows `json:"ssh_keys"`
	}
	if err := json.Unmarshal(p.state, &state); err != nil {
		panic(err)
	}
	last := func(r rows) string { return itoa(r[len(r)-1].ID) }
	return itoa(state.Servers[0].ID), last(state.Networks), last(state.Firewalls), last(state.PrimaryIPs), last(state.PlacementGroups), last(state.SSHKeys)
}

// requests are good and bad ones for each route that takes something.
func requests(p project) []request { return slices.Concat(resourceRequests(p), actionRequests(p)) }

func resourceRequests(p project) []request {
	server, network, firewall, primaryIP, group, key := p.ids()
	return []request{
		{get, "/servers", "name=server-1&label_selector=role%3Dweb&sort=name:desc&page=1&per_page=50", ""},
		{get, "/servers", "page=9223372036854775807&per_page=50", ""},
		{get, "/servers", "page=-1&per_page=0", ""},
		{get, "/servers", "sort=colour:up&label_selector=a%20in%20(b", ""},
		{get, "/servers", "%zz;", ""},
		{get, "/servers/99999999999999999999", "", ""},
		{get, "/actions", "id=1&id=2&status=running", ""},
		{get, "/servers/actions/7", "", ""},
		{get, "/servers/" + server + "/actions", "sort=finished:desc", ""},
		{remove, "/servers/" + server, "", ""},
		{remove, "/networks/" + network, "", ""},
		{remove, "/firewalls/" + firewall, "", ""},
		{remove, "/primary_ips/" + primaryIP, "", ""},
		{remove, "/placement_groups/" + group, "", ""},
		{remove, "/ssh_keys/" + key, "", ""},
		{put, "/servers/" + server, "", `{"name":"other","labels":{"role":"db"}}`},
		{put, "/servers/" + server, "", `{"name":"no host","labels":{"a b":"c\nd"}}`},
		{put, "/networks/" + network, "", `{"name":"n2","expose_routes_to_vswitch":true}`},
		{put, "/firewalls/" + firewall, "", `{"labels":null}`},
		{put, "/primary_ips/" + primaryIP, "", `{"auto_delete":true}`},
		{put, "/placement_groups/" + group, "", `{"name":""}`},
		{put, "/ssh_keys/" + key, "", `[]`},
		{post, "/servers", "", `{"name":"s3","server_type":"cx23","image":"debian-12","location":"fsn1","networks":[` + network + `],"firewalls":[{"firewall":` + firewall +
			`}],"placement_group":` + group + `,"ssh_keys":["key"],"public_net":{"enable_ipv4":true,"ipv4":` + primaryIP + `,"enable_ipv6":false},"user_data":"#cloud-config"}`},
		{post, "/servers", "", `{"name":"s3\n","server_type":1e99,"image":{"a":1},"networks":[0,0,0,0]}`},
		{post, "/servers", "", `{"name":"s3","server_type":"cx23","image":"debian-12","networks":[` + network + `,` + network + `]}`},
		{post, "/networks", "", `{"name":"n","ip_range":"172.16.0.0/12","subnets":[{"type":"cloud","network_zone":"eu-central","ip_range":""}],"routes":[{"destination":"10.1.0.0/16","gateway":"172.16.0.9"}]}`},
		{post, "/networks", "", `{"name":"n","ip_range":"0.0.0.0/0"}`},
		{post, "/networks", "", `{"name":"n","ip_range":"::ffff:10.0.0.0/112"}`},
		{post, "/firewalls", "", `{"name":"f","rules":[{"direction":"in","protocol":"tcp","port":"80-90","source_ips":["0.0.0.0/0","::/0"]}],"apply_to":[{"type":"server","server":{"id":` + server + `}}]}`},
		{post, "/firewalls", "", `{"name":"f","rules":[{"direction":"in","protocol":"tcp","port":"90-80\n","source_ips":["1.2.3.4/0"]}]}`},
		{post, "/firewalls", "", `{"name":"f","rules":[{"direction":"in","protocol":"icmp","source_ips":["::ffff:1.2.3.4/128"]}],"apply_to":[{"type":"label_selector","label_selector":{"selector":"a in ("}}]}`},
		{post, "/firewalls", "", `{"name":"f","apply_to":[{"type":"server"},{"type":"label_selector"},{}]}`},
		{post, "/primary_ips", "", `{"name":"p","type":"ipv4","location":"fsn1"}`},
		{post, "/primary_ips", "", `{"name":"p","type":"ipv6","assignee_id":` + server + `,"assignee_type":"server"}`},
		{post, "/placement_groups", "", `{"name":"g","type":"spread"}`},
		{post, "/ssh_keys", "", `{"name":"k","public_key":"` + testKey + `\nssh-ed25519 AAAA another"}`},
		{post, "/ssh_keys", "", `{"name":"k","public_key":"\u0000"}`},
		{post, "/networks", "", `{"name":`},
		{post, "/networks", "", `{} {}`},
		{post, "/networks", "", `null`},
	}
}

func actionRequests(p project) []request {
	server, network, firewall, primaryIP, group, _ := p.ids()
	var all []request
	for action, body := range map[string]string{
		"poweron": ``, "poweroff": ``, "shutdown": `{}`, "reboot": `null`, "reset": ``, "rebuild": `{"image":"debian-12","user_data":"x"}`,
		"change_type":       `{"server_type":"cx33","upgrade_disk":true}`,
		"change_protection": `{"delete":true,"rebuild":true}`, "add_to_placement_group": `{"placement_group":` + group + `}`,
		"remove_from_placement_group": ``, "attach_to_network": `{"network":` + network + `,"ip":"10.0.1.9"}`, "detach_from_network": `{"network":` + network + `}`,
	} {
		all = append(all, request{post, "/servers/" + server + "/actions/" + action, "", body})
	}
	for action, body := range map[string]string{
		"add_subnet": `{"type":"cloud","network_zone":"eu-central","ip_range":"10.0.9.0/24"}`, "delete_subnet": `{"ip_range":"10.0.1.0/24"}`,
		"add_route": `{"destination":"0.0.0.0/0","gateway":"10.0.1.2"}`, "delete_route": `{"destination":"10.9.0.0/16","gateway":"x"}`,
		"change_protection": `{"delete":true}`, "change_ip_range": `{"ip_range":"10.0.0.0/8"}`,
	} {
		all = append(all, request{post, "/networks/" + network + "/actions/" + action, "", body})
	}
	for action, body := range map[string]string{
		"set_rules":             `{"rules":[{"direction":"in","protocol":"udp","port":"any","source_ips":["198.18.0.0/16"]}]}`,
		"apply_to_resources":    `{"apply_to":[{"type":"server","server":{"id":` + server + `}}]}`,
		"remove_from_resources": `{"remove_from":[{"type":"label_selector","label_selector":{"selector":"role=web"}}]}`,
	} {
		all = append(all, request{post, "/firewalls/" + firewall + "/actions/" + action, "", body})
	}
	for action, body := range map[string]string{
		"assign": `{"assignee_id":` + server + `,"assignee_type":"server"}`, "unassign": ``, "change_protection": `{"delete":true}`,
	} {
		all = append(all, request{post, "/primary_ips/" + primaryIP + "/actions/" + action, "", body})
	}
	return all
}

// brokenStates are what a state file can be that nobody wrote on purpose.
var brokenStates = []string{
	``, `{`, `null`, `[]`, `{}`, `{"servers": null}`, `{"servers": [null]}`, `{"servers": {}}`, `{"last_id": -1}`,
	`{"last_id": 2000, "servers": [{"id": 1001, "name": "s"}]}`,
	`{"last_id": 2000, "servers": [{"id": 1001}, {"id": 1001}]}`,
	`{"last_id": 1000, "ssh_keys": [{"id": 1001, "name": "k"}]}`,
	`{"last_id": 2000, "networks": [{"id": 1001, "name": "n"}]}`,
	`{"last_id": 2000, "networks": [{"id": 1001, "name": "n", "ip_range": "2001:db8::/32"}]}`,
	`{"last_id": 2000, "networks": [{"id": 1001, "name": "n", "ip_range": "10.0.0.0/16", "changing": true, "subnets": [{"ip_range": ""}]}]}`,
	`{"last_id": 2000, "firewalls": [{"id": 1001, "name": "f", "rules": [{"source_ips": ["x"]}], "selectors": ["("]}]}`,
	`{"last_id": 2000, "primary_ips": [{"id": 1001, "name": "p", "type": "ipv4", "ip": "1.2.3", "assignee": 1002}]}`,
	`{"last_id": 2000, "actions": [{"id": 1001, "command": "dance", "status": "running", "target": {"type": "server", "id": 1}}]}`,
	`{"last_id": 2000, "actions": [{"id": 1001, "command": "attach_to_network", "status": "running", "target": {"type": "server", "id": 1002}, "other": 3}]}`,
}
