package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/lambdad/lambdad/internal/node"
)

func runtimeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "runtime",
		Short: "Add, list and remove runtimes",
		Long: `A function runs on what was added here, else on this machine's own interpreter
of exactly its version, else, with serve --runtimes=nearest, on the nearest one.`,
	}
	cmd.PersistentFlags().String("data", node.Defaults().Data, "the data folder that serve uses")
	cmd.AddCommand(runtimeAddCommand(), runtimeListCommand(), runtimeRemoveCommand())
	return cmd
}

func runtimeListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the runtimes that were added",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			catalog, err := openCatalog(cmd)
			if err != nil {
				return err
			}
			defer catalog.Close()
			installed, err := catalog.List()
			if err != nil {
				return err
			}
			out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(out, "RUNTIME\tARCHITECTURE\tVERSION\tFROM")
			for _, r := range installed {
				fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", r.Identifier, r.Architecture, r.Version, r.Source)
			}
			return out.Flush()
		},
	}
}

func runtimeRemoveCommand() *cobra.Command {
	var architecture string
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a runtime that was added",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			catalog, err := openCatalog(cmd)
			if err != nil {
				return err
			}
			defer catalog.Close()
			if err := catalog.Remove(args[0], architecture); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", args[0])
			return nil
		},
	}
	cmd.Flags().StringVar(&architecture, "architecture", "", "x86_64 or arm64; this machine's by default")
	return cmd
}
