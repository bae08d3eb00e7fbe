package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lambdad/lambdad/internal/artifact/runtimes"
	"github.com/lambdad/lambdad/internal/node"
	"github.com/lambdad/lambdad/internal/sandbox/microvm"
	"github.com/lambdad/lambdad/internal/sandbox/probe"
)

func doctorCommand() *cobra.Command {
	var nearest bool
	var runsc, firecracker string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Tell what this machine can do, and what to do about what it can't",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			data, err := cmd.Flags().GetString("data")
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintln(out, "Sandboxes")
			missing, noSandbox := 0, false
			findings := probe.HostWith(cmd.Context(), probe.Options{Runsc: runsc, ToolsDir: node.ToolsDir(node.Config{Data: data}), KernelDir: node.MicroVMDir(node.Config{Data: data}), Firecracker: firecracker})
			for _, f := range append(findings, probe.DataFolder(cmd.Context(), data)) {
				printFinding(out, f.Status.String(), f.Name, f.Detail, f.Remedy)
				if f.Status == probe.Missing {
					missing++
					noSandbox = noSandbox || f.Name == probe.Sandbox
				}
			}
			fmt.Fprintln(out, "\nVirtual machines")
			for _, f := range microvm.Probe(cmd.Context(), microvm.Options{KernelDir: node.MicroVMDir(node.Config{Data: data}), Firecracker: firecracker, ToolsDir: node.ToolsDir(node.Config{Data: data})}) {
				status := probe.Degraded // functions run without them
				if f.Works {
					status = probe.OK
				}
				printFinding(out, status.String(), f.Name, f.Detail, f.Remedy)
			}
			fmt.Fprintln(out, "\nRuntimes")
			catalog, err := runtimes.Open(runtimes.Options{Dir: node.RuntimesDir(node.Config{Data: data}), Nearest: nearest})
			if err != nil {
				return err
			}
			defer catalog.Close()
			found, err := catalog.Report(cmd.Context())
			if err != nil {
				return err
			}
			for _, f := range found {
				status := "ok"
				detail := strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Origin, f.Version, f.Interpreter))
				if f.Origin == "" {
					status, detail = "missing", "nothing here runs it"
				}
				printFinding(out, status, f.Identifier, detail, f.Note)
			}
			if noSandbox {
				fmt.Fprintln(out, "\nNo function can run here: no sandbox could be made. Mend what is missing above.")
				return nil
			}
			if missing > 0 {
				fmt.Fprintf(out, "\n%d things that lambdad can use are missing; it does without where it says so.\n", missing)
			}
			return nil
		},
	}
	cmd.Flags().String("data", node.Defaults().Data, "the data folder that serve uses")
	cmd.Flags().StringVar(&runsc, "runsc", os.Getenv("LAMBDAD_RUNSC"), "gVisor's runsc, as serve is told")
	cmd.Flags().StringVar(&firecracker, "firecracker", os.Getenv("LAMBDAD_FIRECRACKER"), "Firecracker, as serve is told")
	cmd.Flags().BoolVar(&nearest, "nearest", false, "judge runtimes as serve --runtimes=nearest would")
	return cmd
}

// printFinding prints one line, and below it what to do.
func printFinding(out io.Writer, status, name, detail, remedy string) {
	fmt.Fprintf(out, "  %-9s %-18s %s\n", status, name, detail)
	if remedy != "" {
		fmt.Fprintf(out, "  %-9s %-18s -> %s\n", "", "", remedy)
	}
}
