// Command scan looks at a machine's ports from wherever it runs: on this host, on a machine, in a task. It is copied there, so
// it needs nothing but itself.
//
//	scan tcp ADDRESS AT-ONCE [PORT...]   prints the TCP ports, of all that there are or of these, that accept connections
//	scan udp ADDRESS AT-ONCE PORT...     prints those of the UDP ports that do not refuse a packet
//	scan tls ADDRESS:PORT BYTE CA NAME [BUNDLE]
//	                                     shakes hands with an agent's RPC port as its clients do: a byte says that TLS follows.
//	                                     With the certificate and key of a bundle, or with none
//	scan register ADDRESS:PORT CA NAME BUNDLE NODE POOL
//	                                     asks a Nomad server to take a new node, with the introduction from standard input, and prints
//	                                     the node's ID
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// silence is how long to wait for an answer. Machines are on this host, and most refuse at once.
const silence = time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) >= 5 && args[0] == "tls" {
		return handshake(args[1], args[2], args[3], args[4], args[5:])
	}
	if len(args) == 7 && args[0] == "register" {
		return register(args[1], args[2], args[3], args[4], args[5], args[6], os.Stdin)
	}
	tries := map[string]func(string, int) (bool, error){"tcp": accepts, "udp": takes}
	if len(args) < 3 || tries[args[0]] == nil {
		return errors.New("say what to scan: tcp|udp ADDRESS AT-ONCE [PORT...], tls ADDRESS:PORT BYTE CA NAME [BUNDLE], " +
			"register ADDRESS:PORT CA NAME BUNDLE NODE POOL")
	}
	var numbers []int
	for _, text := range args[2:] {
		number, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("number %q: %w", text, err)
		}
		numbers = append(numbers, number)
	}
	atOnce, ports := numbers[0], numbers[1:]
	for port := 1; len(numbers) == 1 && port <= 65535; port++ {
		ports = append(ports, port)
	}
	return show(ports, atOnce, func(port int) (bool, error) { return tries[args[0]](args[1], port) })
}

// show asks for all ports, some at once, and prints those that are open.
func show(ports []int, atOnce int, open func(int) (bool, error)) error {
	var (
		lock  sync.Mutex
		found []int
		wrong error
		work  = make(chan int)
		group sync.WaitGroup
	)
	for range atOnce {
		group.Go(func() {
			for port := range work {
				is, err := open(port)
				lock.Lock()
				if is {
					found = append(found, port)
				}
				if err != nil {
					wrong = fmt.Errorf("port %d: %w", port, err)
				}
				lock.Unlock()
			}
		})
	}
	for _, port := range ports {
		work <- port
	}
	close(work)
	group.Wait()
	slices.Sort(found)
	for _, port := range found {
		fmt.Println(port)
	}
	return wrong
}

// accepts tells whether a TCP port accepts a connection.
func accepts(address string, port int) (bool, error) {
	connection, err := net.DialTimeout("tcp", net.JoinHostPort(address, strconv.Itoa(port)), silence) //nolint:gosec // G704: where to is the caller's to say
	if err != nil {
		return false, own(err)
	}
	// On the loopback address a port that nobody listens on can meet itself: the kernel chose it as the source as well.
	itself := connection.LocalAddr().String() == connection.RemoteAddr().String()
	return !itself, connection.Close()
}

// takes tells whether nobody says of a UDP port that it is closed.
func takes(address string, port int) (bool, error) {
	connection, err := net.Dial("udp", net.JoinHostPort(address, strconv.Itoa(port))) //nolint:gosec // G704: where to is the caller's to say
	if err != nil {
		return false, own(err)
	}
	defer connection.Close() //nolint:errcheck // there is nothing in it that could get lost
	// The refusal of a packet is the error of what comes after it. Linux refuses six packets at once, and then one a second.
	for range 4 {
		if _, err := connection.Write([]byte{0}); err != nil {
			return false, own(err)
		}
		if err := connection.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return false, err
		}
		_, err := connection.Read(make([]byte, 1500))
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return false, own(err)
		}
	}
	return true, nil
}
