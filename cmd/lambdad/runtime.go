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
			fmt.Fprintln(out, "RUNTIME\tARCHITECTURE\tVERSION\tFROM\tRUNTIME VERSION ARN ENDS IN")
			for _, r := range installed {
				earlier, err := catalog.Earlier(r.Identifier, r.Architecture)
				if err != nil {
					return err
				}
				fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", r.Identifier, r.Architecture, r.Version, r.Source, catalog.VersionID(r))
				for _, e := range earlier {
					fmt.Fprintf(out, "  earlier\t%s\t%s\t%s\t%s\n", e.Architecture, e.Version, e.Source, catalog.VersionID(e))
				}
			}
			return out.Flush()
		},
	}
}

func runtimeRemoveCommand() *cobra.Command {
	var architecture string
	var earlier bool
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a runtime that was added",
		Long: `Remove a runtime that was added, with what it was before it was added again, or with --earlier only the
latter. Functions that are held to a version that is removed do not run any more.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			catalog, err := openCatalog(cmd)
			if err != nil {
				return err
			}
			defer catalog.Close()
			if earlier {
				n, err := catalog.RemoveEarlier(args[0], architecture)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "removed %d earlier versions of %s\n", n, args[0])
				return nil
			}
			if err := catalog.Remove(args[0], architecture); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", args[0])
			return nil
		},
	}
	cmd.Flags().StringVar(&architecture, "architecture", "", "x86_64 or arm64; this machine's by default")
	cmd.Flags().BoolVar(&earlier, "earlier", false, "only what it was before it was added again")
	return cmd
}
