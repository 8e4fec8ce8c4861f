package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"hashistack/localcloud/machine"
)

// serverWorks says what each command of a server does, and which status Hetzner shows meanwhile.
func (a *API) serverWorks() {
	onMachine := func(do func(context.Context, int64) error) func(context.Context, action) error {
		return func(ctx context.Context, act action) error { return do(ctx, act.Target.ID) }
	}
	a.works["create_server"] = work{do: a.createMachine, done: a.machineMade, status: string(hcloud.ServerStatusInitializing)}
	a.works["start_server"] = work{do: onMachine(a.startMachine), status: string(hcloud.ServerStatusStarting)}
	a.works["stop_server"] = work{do: onMachine(a.Runtime.PowerOff), status: string(hcloud.ServerStatusStopping)}
	a.works["shutdown_server"] = work{do: onMachine(a.Runtime.Shutdown)}
	a.works["reboot_server"] = work{do: onMachine(a.Runtime.Reboot)}
	a.works["reset_server"] = work{do: onMachine(a.Runtime.Reset)}
	a.works["rebuild_server"] = work{do: a.rebuildMachine, status: string(hcloud.ServerStatusRebuilding)}
	a.works["change_server_type"] = work{do: a.resizeMachine, status: string(hcloud.ServerStatusMigrating)}
	a.works["change_server_protection"] = work{done: func(*action) {}}
	a.works["add_to_placement_group"] = work{done: func(*action) {}}
	a.works["remove_from_placement_group"] = work{done: func(*action) {}}
	a.works["delete_server"] = work{
		do:     onMachine(a.Runtime.Delete),
		done:   func(act *action) { a.forgetServer(act.Target.ID) },
		status: string(hcloud.ServerStatusDeleting),
	}
}

// specOf returns the spec of a server, for callers that do not hold the lock.
func (a *API) specOf(id int64) (machine.Spec, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, err := a.servers().get(id)
	if err != nil {
		return machine.Spec{}, err
	}
	return a.spec(s), nil
}

func (a *API) createMachine(ctx context.Context, act action) error {
	spec, err := a.specOf(act.Target.ID)
	if err != nil {
		return err
	}
	// Remove what an interrupted attempt left. It is of no use, and nobody has seen it yet.
	if err := a.Runtime.Delete(ctx, spec.ID); err != nil {
		return fmt.Errorf("clear the way for machine %s: %w", spec.Name, err)
	}
	a.progress(act.ID, 10)
	if err := a.Runtime.Create(ctx, spec); err != nil {
		return fmt.Errorf("create machine %s: %w", spec.Name, err)
	}
	return nil
}

func (a *API) machineMade(act *action) {
	if s, found := a.state.Servers.Get(act.Target.ID); found {
		for i := range s.Networks {
			s.Networks[i].Ready = true
		}
	}
}

func (a *API) startMachine(ctx context.Context, id int64) error {
	if _, err := a.Runtime.State(ctx, id); errors.Is(err, machine.ErrNotFound) {
		return fmt.Errorf("server with ID '%d' was not created", id)
	}
	return a.Runtime.PowerOn(ctx, id)
}

func (a *API) rebuildMachine(ctx context.Context, act action) error {
	spec, err := a.specOf(act.Target.ID)
	if err != nil {
		return err
	}
	return a.Runtime.Rebuild(ctx, spec)
}

// resizeMachine makes the machine as large as its server's type says, and starts it, as Hetzner does.
func (a *API) resizeMachine(ctx context.Context, act action) error {
	spec, err := a.specOf(act.Target.ID)
	if err != nil {
		return err
	}
	// A machine that runs already was resized by an attempt that a restart interrupted.
	if state, err := a.Runtime.State(ctx, spec.ID); err != nil || state == machine.Off {
		if err := a.Runtime.Resize(ctx, spec); err != nil {
			return err
		}
	}
	return a.Runtime.PowerOn(ctx, spec.ID)
}

func (a *API) serverActionRoutes() {
	for path, command := range map[string]string{
		"poweron": "start_server", "poweroff": "stop_server", "shutdown": "shutdown_server", "reboot": "reboot_server",
		"reset": "reset_server",
	} {
		serverAction(a, path, command, func(*server, struct{}) error { return nil })
	}
	serverAction(a, "change_protection", "change_server_protection", changeServerProtection)
	serverAction(a, "change_type", "change_server_type", a.changeType)
	serverAction(a, "add_to_placement_group", "", a.addToPlacementGroup)
	serverAction(a, "remove_from_placement_group", "", a.removeFromPlacementGroup)
	a.route("POST /servers/{id}/actions/rebuild", a.rebuildServer)
}

// serverAction registers an action of servers. change checks the request and applies it to the state; when it returns
// an error, it has changed nothing. An empty command means the last part of the path.
func serverAction[Req any](a *API, path, command string, change func(*server, Req) error) {
	if command == "" {
		command = path
	}
	a.route("POST /servers/{id}/actions/"+path, func(c *call) (reply, error) {
		var req Req
		s, err := a.changeableServer(c)
		if err == nil {
			err = decode(c, &req)
		}
		if err == nil {
			err = change(s, req)
		}
		if err != nil {
			return reply{}, err
		}
		return created(schema.ActionGetResponse{Action: a.start(command, onServer(s.ID)).wire()})
	})
}

func changeServerProtection(s *server, req schema.ServerActionChangeProtectionRequest) error {
	remove, rebuild := s.ProtectDelete, s.ProtectRebuild
	if req.Delete != nil {
		remove = *req.Delete
	}
	if req.Rebuild != nil {
		rebuild = *req.Rebuild
	}
	if remove != rebuild {
		return invalid("rebuild", "delete and rebuild protection must have the same value")
	}
	s.ProtectDelete, s.ProtectRebuild = remove, rebuild
	return nil
}

// changeType gives a server that is off another type. Its disk can grow with it, and never shrinks: it holds data.
func (a *API) changeType(s *server, req schema.ServerActionChangeTypeRequest) error {
	kind, err := pick(serverTypes, "server_type", req.ServerType)
	if err != nil {
		return err
	}
	was, _ := serverTypes.table.Get(s.Type)
	disk := s.disk(was.item)
	switch {
	case kind.ID == s.Type:
		return errorf(hcloud.ErrorCodeInvalidServerType, "server with ID '%d' has the server type '%s' already", s.ID, kind.Name)
	case kind.Disk < disk:
		return errorf(hcloud.ErrorCodeInvalidServerType, "server type '%s' has a disk of %d GB, and that of server with ID '%d' has %d GB: disks do not shrink",
			kind.Name, kind.Disk, s.ID, disk)
	}
	if err := a.mustBeOff(s); err != nil {
		return err
	}
	s.Type, s.Disk = kind.ID, disk
	if req.UpgradeDisk {
		s.Disk = kind.Disk
	}
	return nil
}

func (a *API) addToPlacementGroup(s *server, req schema.ServerActionAddToPlacementGroupRequest) error {
	if s.PlacementGroup != 0 {
		return invalid("placement_group", "server '%s' is in the placement group with ID '%d' already", s.Name, s.PlacementGroup)
	}
	group, err := a.room(req.PlacementGroup)
	if err != nil {
		return err
	}
	if err := a.mustBeOff(s); err != nil {
		return err
	}
	s.PlacementGroup = group.ID
	return nil
}

func (a *API) removeFromPlacementGroup(s *server, _ struct{}) error {
	if s.PlacementGroup == 0 {
		return invalid("server", "server '%s' is in no placement group", s.Name)
	}
	s.PlacementGroup = 0
	return nil
}

func (a *API) rebuildServer(c *call) (reply, error) {
	var req schema.ServerActionRebuildRequest
	s, err := a.changeableServer(c)
	if err == nil {
		err = decode(c, &req)
	}
	if err != nil {
		return reply{}, err
	}
	image, err := pick(images, "image", req.Image)
	switch {
	case err != nil:
		return reply{}, err
	case s.ProtectRebuild:
		return reply{}, errorf(hcloud.ErrorCodeProtected, "server with ID '%d' is protected against rebuilding", s.ID)
	case req.UserData != nil && len(*req.UserData) > maxUserData:
		return reply{}, invalid("user_data", "must have at most %d bytes, got %d", maxUserData, len(*req.UserData))
	}
	s.Image = image.ID
	if req.UserData != nil {
		s.UserData = *req.UserData
	}
	return created(schema.ServerActionRebuildResponse{Action: a.start("rebuild_server", onServer(s.ID)).wire()})
}
