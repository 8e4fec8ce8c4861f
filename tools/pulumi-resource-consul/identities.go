package main

import "github.com/hashicorp/consul/api"

// ServiceIdentity grants what a service of that name needs.
type ServiceIdentity struct {
	ServiceName string   `pulumi:"serviceName"`
	Datacenters []string `pulumi:"datacenters,optional"`
}

// NodeIdentity grants what the agent of a node of that name needs.
type NodeIdentity struct {
	NodeName   string `pulumi:"nodeName"`
	Datacenter string `pulumi:"datacenter"`
}

// TemplatedPolicy grants what one of Consul's own policy templates says.
type TemplatedPolicy struct {
	TemplateName      string             `pulumi:"templateName"`
	TemplateVariables *TemplateVariables `pulumi:"templateVariables,optional"`
	Datacenters       []string           `pulumi:"datacenters,optional"`
}

// TemplateVariables are the variables of a policy template.
type TemplateVariables struct {
	Name *string `pulumi:"name,optional"`
}

func serviceIdentities(inputs []ServiceIdentity) []*api.ACLServiceIdentity {
	var out []*api.ACLServiceIdentity
	for _, i := range inputs {
		out = append(out, &api.ACLServiceIdentity{ServiceName: i.ServiceName, Datacenters: i.Datacenters})
	}
	return out
}

func liveServices(live []*api.ACLServiceIdentity) []ServiceIdentity {
	var out []ServiceIdentity
	for _, l := range live {
		out = append(out, ServiceIdentity{ServiceName: l.ServiceName, Datacenters: l.Datacenters})
	}
	return out
}

func nodeIdentities(inputs []NodeIdentity) []*api.ACLNodeIdentity {
	var out []*api.ACLNodeIdentity
	for _, i := range inputs {
		out = append(out, &api.ACLNodeIdentity{NodeName: i.NodeName, Datacenter: i.Datacenter})
	}
	return out
}

func liveNodes(live []*api.ACLNodeIdentity) []NodeIdentity {
	var out []NodeIdentity
	for _, l := range live {
		out = append(out, NodeIdentity{NodeName: l.NodeName, Datacenter: l.Datacenter})
	}
	return out
}

func templatedPolicies(inputs []TemplatedPolicy) []*api.ACLTemplatedPolicy {
	var out []*api.ACLTemplatedPolicy
	for _, i := range inputs {
		policy := &api.ACLTemplatedPolicy{TemplateName: i.TemplateName, Datacenters: i.Datacenters}
		if i.TemplateVariables != nil && i.TemplateVariables.Name != nil {
			policy.TemplateVariables = &api.ACLTemplatedPolicyVariables{Name: *i.TemplateVariables.Name}
		}
		out = append(out, policy)
	}
	return out
}

func liveTemplated(live []*api.ACLTemplatedPolicy) []TemplatedPolicy {
	var out []TemplatedPolicy
	for _, l := range live {
		policy := TemplatedPolicy{TemplateName: l.TemplateName, Datacenters: l.Datacenters}
		if l.TemplateVariables != nil && l.TemplateVariables.Name != "" {
			policy.TemplateVariables = &TemplateVariables{Name: &l.TemplateVariables.Name}
		}
		out = append(out, policy)
	}
	return out
}
