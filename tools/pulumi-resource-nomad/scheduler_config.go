package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/nomad/api"

	"hashistack/tools/native"
)

// SchedulerConfigArgs are the inputs of the cluster's scheduler config, of which there is one: its destruction leaves
// it as it is.
type SchedulerConfigArgs struct {
	SchedulerAlgorithm            *string         `pulumi:"schedulerAlgorithm,optional"`
	MemoryOversubscriptionEnabled *bool           `pulumi:"memoryOversubscriptionEnabled,optional"`
	PreemptionConfig              map[string]bool `pulumi:"preemptionConfig,optional"`
}

// SchedulerConfigState is what Nomad has.
type SchedulerConfigState struct{ SchedulerConfigArgs }

// schedulerConfigID is the id of the only one.
const schedulerConfigID = "default"

// preemption names the parts of the preemption config.
func preemption(config *api.PreemptionConfig) map[string]*bool {
	return map[string]*bool{
		"system_scheduler_enabled":   &config.SystemSchedulerEnabled,
		"sysbatch_scheduler_enabled": &config.SysBatchSchedulerEnabled,
		"batch_scheduler_enabled":    &config.BatchSchedulerEnabled,
		"service_scheduler_enabled":  &config.ServiceSchedulerEnabled,
	}
}

// apply puts the inputs into a config; what they leave out stays.
func (a SchedulerConfigArgs) apply(config *api.SchedulerConfiguration) error {
	if a.SchedulerAlgorithm != nil {
		config.SchedulerAlgorithm = api.SchedulerAlgorithm(*a.SchedulerAlgorithm)
	}
	if a.MemoryOversubscriptionEnabled != nil {
		config.MemoryOversubscriptionEnabled = *a.MemoryOversubscriptionEnabled
	}
	parts := preemption(&config.PreemptionConfig)
	for name, enabled := range a.PreemptionConfig {
		part, ok := parts[name]
		if !ok {
			return fmt.Errorf("preemptionConfig: %q is none of system_scheduler_enabled, sysbatch_scheduler_enabled, "+
				"batch_scheduler_enabled, service_scheduler_enabled", name)
		}
		*part = enabled
	}
	return nil
}

func schedulerConfig(c *connection) native.Kind[SchedulerConfigArgs, SchedulerConfigState] {
	set := func(ctx context.Context, a SchedulerConfigArgs) error {
		client, err := c.nomad(ctx)
		if err != nil {
			return err
		}
		current, _, err := client.Operator().SchedulerGetConfiguration(query(ctx))
		if err != nil {
			return fmt.Errorf("read the current one: %w", err)
		}
		if err := a.apply(current.SchedulerConfig); err != nil {
			return err
		}
		_, _, err = client.Operator().SchedulerSetConfiguration(current.SchedulerConfig, write(ctx))
		return err
	}
	return native.Kind[SchedulerConfigArgs, SchedulerConfigState]{
		Module: "index/schedulerConfig",
		Type:   "SchedulerConfig",
		Label:  func(SchedulerConfigArgs) string { return "scheduler config" },
		State: func(a SchedulerConfigArgs, _ SchedulerConfigState) SchedulerConfigState {
			return SchedulerConfigState{a}
		},
		Create: func(ctx context.Context, a SchedulerConfigArgs) (string, SchedulerConfigState, error) {
			if err := set(ctx, a); err != nil {
				return "", SchedulerConfigState{}, err
			}
			return schedulerConfigID, SchedulerConfigState{a}, nil
		},
		Read: func(
			ctx context.Context, _ string, inputs SchedulerConfigArgs, _ SchedulerConfigState,
		) (SchedulerConfigArgs, SchedulerConfigState, bool, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return inputs, SchedulerConfigState{}, false, err
			}
			current, _, err := client.Operator().SchedulerGetConfiguration(query(ctx))
			if err != nil {
				return inputs, SchedulerConfigState{}, false, err
			}
			config := current.SchedulerConfig
			live := SchedulerConfigArgs{}
			if inputs.SchedulerAlgorithm != nil {
				algorithm := string(config.SchedulerAlgorithm)
				live.SchedulerAlgorithm = &algorithm
			}
			if inputs.MemoryOversubscriptionEnabled != nil {
				live.MemoryOversubscriptionEnabled = &config.MemoryOversubscriptionEnabled
			}
			parts := preemption(&config.PreemptionConfig)
			for name := range inputs.PreemptionConfig {
				if live.PreemptionConfig == nil {
					live.PreemptionConfig = map[string]bool{}
				}
				live.PreemptionConfig[name] = native.Value(parts[name])
			}
			return live, SchedulerConfigState{live}, true, nil
		},
		Update: func(
			ctx context.Context, _ string, a SchedulerConfigArgs, _ SchedulerConfigState,
		) (SchedulerConfigState, error) {
			return SchedulerConfigState{a}, set(ctx, a)
		},
		Delete: func(context.Context, string, SchedulerConfigState) error { return nil },
	}
}
