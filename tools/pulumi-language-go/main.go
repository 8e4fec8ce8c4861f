// pulumi-language-go is the language host of Go programs: the engine starts it and asks it to compile and run the
// program of a stack and the plugins that are run from source.
//
// It stands in for Pulumi's own host, which is not published as a Go module, and serves the same calls as far as
// `pulumi up` and its kin make them. Generating code and converting programs are left out: they answer Unimplemented.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"

	"hashistack/tools/lifetime"
)

func main() {
	// The engine passes these to every host; tracing goes by environment variables now.
	flag.String("tracing", "", "accepted for compatibility, without effect")
	flag.String("root", "", "accepted for compatibility, without effect")
	flag.Parse()
	if err := serve(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-language-go:", err)
		os.Exit(1)
	}
}

// serve answers the engine until it asks the host to stop or is gone.
func serve(engine string) error {
	h := newHost(engine)
	// Nothing that this host started may outlive the engine, however it ends.
	lifetime.EndWithParent(func() {
		h.children.killAll()
		os.Exit(1)
	})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-stop
		h.children.killAll()
		os.Exit(0)
	}()
	server, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Init: func(s *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(s, h)
			return nil
		},
		Options: rpcutil.OpenTracingServerInterceptorOptions(nil),
	})
	if err != nil {
		return fmt.Errorf("listen for the engine: %w", err)
	}
	fmt.Println(server.Port) // the first line tells the engine where to call
	return <-server.Done
}
