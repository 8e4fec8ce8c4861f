package main

import (
	"errors"
	"net"
	"syscall"
)

// refusals are the errors of a port that is closed, or that something in between closes.
var refusals = []error{
	syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EACCES, syscall.EPERM,
}

// own returns an error unless it is the other side's: one of the scan's own makes it wrong, as when it opens too many files.
func own(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return nil
	}
	for _, refusal := range refusals {
		if errors.Is(err, refusal) {
			return nil
		}
	}
	return err
}
