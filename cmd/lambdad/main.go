// Command lambdad is AWS Lambda on your own machines: `lambdad serve` runs it,
// `lambdad doctor` tells what this machine can do. It parses flags, environment and
// file into a node.Config and calls node; it must never hold behaviour that
// node or a room could hold.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx := signalled()
	if err := rootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "lambdad:", err)
		os.Exit(1)
	}
}

// signalled ends with the first signal, which drains; a second one ends the process at once,
// whatever it would do by default: shells start background jobs that ignore Ctrl-C.
func signalled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		fmt.Fprintln(os.Stderr, "lambdad: stopped at once")
		os.Exit(1)
	}()
	return ctx
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "lambdad",
		Short: "AWS Lambda on your own machines",
		Long: `lambdad is AWS Lambda on your own machines: one program that speaks the AWS
protocols and really runs your functions, isolated, limited and metered.

Start here:
  lambdad doctor                 what this machine can do
  lambdad serve                  run it on 127.0.0.1:4566
  lambdad runtime add python3.13 install a runtime that this machine has not`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version(),
	}
	root.AddCommand(serveCommand(), doctorCommand(), runtimeCommand(), keyCommand(), billCommand(), microvmCommand())
	return root
}
