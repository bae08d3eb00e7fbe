package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/lambdad/lambdad/internal/node"
	"github.com/lambdad/lambdad/internal/sandbox/microvm"
)

func microvmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "microvm",
		Short: "Prepare virtual machines for functions",
		Long: `With serve --isolation=microvm, or the tag lambdad:isolation=microvm, each environment of
a function is a virtual machine. They need QEMU (Debian's package qemu-system-x86) or
Firecracker, and a kernel, which prepare fetches.`,
	}
	cmd.PersistentFlags().String("data", node.Defaults().Data, "the data folder that serve uses")
	cmd.AddCommand(&cobra.Command{
		Use:   "prepare",
		Short: "Fetch the guest's kernel through this machine's package manager",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			data, err := cmd.Flags().GetString("data")
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			dir := node.MicroVMDir(node.Config{Data: data})
			if err := microvm.Prepare(cmd.Context(), dir, func(step string) { fmt.Fprintln(out, step) }); err != nil {
				return err
			}
			for _, f := range microvm.Probe(cmd.Context(), microvm.Options{KernelDir: dir}) {
				if f.Remedy != "" {
					fmt.Fprintf(out, "%s: %s\n  %s\n", f.Name, f.Detail, f.Remedy)
				}
			}
			return nil
		},
	})
	return cmd
}
