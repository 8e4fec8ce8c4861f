// Package lifetime ends a process with the one that started it.
//
// The Pulumi engine asks its plugins to stop when it is done, but cannot when it is killed: its plugins then live on,
// with their credentials in memory, until their own health check notices minutes later.
package lifetime

import (
	"os"
	"time"
)

// interval is how soon the end of the parent is noticed. The check is one system call.
const interval = 200 * time.Millisecond

// EndWithParent starts to watch the process that started this one and calls end, once, when it is gone.
func EndWithParent(end func()) {
	parent := os.Getppid()
	go func() {
		for range time.Tick(interval) {
			// An orphan is handed to another process (init or a subreaper): its parent changes.
			if os.Getppid() != parent {
				end()
				return
			}
		}
	}()
}
