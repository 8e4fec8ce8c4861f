package jobs

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"hashistack/internal/poll"
)

//go:embed names.nomad.hcl
var namesJob string

// namesTimeout covers the placement and the look-ups.
const namesTimeout = 2 * time.Minute

// lookUp ends with an error and says which name it was. The last one must have no address: a resolver that answers everything with
// something would pass otherwise. (Debian's busybox has a wget that crashes with a time-out.)
const lookUp = `for name in localhost $MACHINE server-1.node.consul page.service.consul; do
	said=$(busybox nc -w 3 $name 9 2>&1 </dev/null)
	case $said in *"can't connect"*) ;; *) echo no address of $name: $said >&2; exit 1;; esac
done
busybox nslookup -type=a page.service.consul >&2 || exit 1
said=$(busybox nc -w 3 nowhere.service.consul 9 2>&1 </dev/null)
case $said in *"bad address"*) ;; *) echo nowhere has an address: $said >&2; exit 1;; esac`

// Names runs tasks that look up names, and returns an error with what they said if one of them fails.
func (s *Sample) Names(ctx context.Context) error {
	if err := s.remove(ctx, "names"); err != nil {
		return err
	}
	job, err := s.nomad.Jobs().ParseHCL(namesJob, true)
	if err != nil {
		return fmt.Errorf("parse job: %w", err)
	}
	for _, group := range job.TaskGroups {
		group.Tasks[0].Config["args"] = []string{"-c", lookUp}
	}
	if _, _, err := s.nomad.Jobs().Register(job, (&nomad.WriteOptions{}).WithContext(ctx)); err != nil {
		return fmt.Errorf("register job names: %w", err)
	}
	return poll.Until(ctx, namesTimeout, "all tasks to have found the names", func(ctx context.Context) error {
		allocations, _, err := s.nomad.Jobs().Allocations("names", false, (&nomad.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return err
		}
		if len(allocations) < len(job.TaskGroups) {
			return errors.New("not all are placed yet")
		}
		for _, allocation := range allocations {
			switch allocation.ClientStatus {
			case nomad.AllocClientStatusComplete:
			case nomad.AllocClientStatusFailed:
				return poll.Final(fmt.Errorf("group %s: %s", allocation.TaskGroup, s.said(ctx, allocation)))
			default:
				return fmt.Errorf("group %s is %s", allocation.TaskGroup, allocation.ClientStatus)
			}
		}
		return nil
	})
}

// said is what the task of an allocation wrote.
func (s *Sample) said(ctx context.Context, allocation *nomad.AllocationListStub) string {
	out, err := s.stack.OnMachine(ctx, allocation.NodeName, "sh", "-c", "cat /opt/nomad/data/alloc/"+allocation.ID+"/alloc/logs/look-up.std*")
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(out))
}
