package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/lambdad/lambdad/internal/artifact/runtimes"
	"github.com/lambdad/lambdad/internal/node"
)

func runtimeAddCommand() *cobra.Command {
	var (
		options runtimes.AddOptions
		debian  bool
		suite   string
		mirror  string
	)
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a runtime, e.g. python3.13",
		Long: `Add a runtime that this machine's own interpreters do not give, from exactly one of:

  --layout DIR    an OCI image layout folder
  --image REF     an image in an OCI registry
  --debian        packages of the Debian release that has this version (needs
                  debootstrap or mmdebstrap, and root)

Without any of them --debian is tried. Runtimes that Debian has:
  ` + strings.Join(runtimes.Bootstrappable(), " "),
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options.Identifier = args[0]
			if debian || options.Layout == "" && options.Image == "" {
				options.Bootstrap = &runtimes.Bootstrap{Suite: suite, Mirror: mirror}
			}
			if options.Bootstrap == nil && (suite != "" || mirror != "") {
				return errors.New("--suite and --mirror belong to --debian")
			}
			catalog, err := openCatalog(cmd)
			if err != nil {
				return err
			}
			defer catalog.Close()
			added, err := catalog.Add(cmd.Context(), options, showProgress(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "added %s (%s) from %s\n", added.Identifier, added.Version, added.Source)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&options.Architecture, "architecture", "", "x86_64 or arm64; this machine's by default")
	f.StringVar(&options.Layout, "layout", "", "folder of an OCI image layout")
	f.StringVar(&options.Image, "image", "", "reference of an image in an OCI registry")
	f.BoolVar(&options.PlainHTTP, "plain-http", false, "the registry speaks HTTP without TLS")
	f.BoolVar(&debian, "debian", false, "install packages of a Debian release")
	f.StringVar(&suite, "suite", "", "Debian release, e.g. trixie; the one that has the version by default")
	f.StringVar(&mirror, "mirror", "", "Debian mirror; the tool's own default otherwise")
	return cmd
}

func openCatalog(cmd *cobra.Command) (*runtimes.Catalog, error) {
	data, err := cmd.Flags().GetString("data")
	if err != nil {
		return nil, err
	}
	if data, err = filepath.Abs(data); err != nil {
		return nil, err
	}
	return runtimes.Open(runtimes.Options{Dir: node.RuntimesDir(node.Config{Data: data})})
}

// showProgress prints one bar a stage.
func showProgress(out io.Writer) runtimes.Progress {
	var bar *progressbar.ProgressBar
	stageNow := ""
	return func(stage string, done, total int64) {
		if stage != stageNow {
			if bar != nil {
				_ = bar.Finish()
				fmt.Fprintln(out)
			}
			stageNow = stage
			if total == 0 {
				total = -1 // a spinner
			}
			bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(stage), progressbar.OptionShowBytes(total > 0))
		}
		_ = bar.Set64(done)
	}
}
