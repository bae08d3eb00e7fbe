package main

import (
	"github.com/spf13/cobra"

	"github.com/lambdad/lambdad/internal/node"
)

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run lambdad",
		Long: `Run lambdad until Ctrl-C. The first start makes account 000000000000 with an
administrator key and writes it to DATA/credentials; point AWS clients at it:

  export AWS_SHARED_CREDENTIALS_FILE=$PWD/data/credentials
  export AWS_ENDPOINT_URL=http://127.0.0.1:4566
  export AWS_REGION=us-east-1

Every flag can also be set in the environment (LAMBDAD_ and the flag's name in
upper case, - as _) or in the file that --config names. Flags win over the
environment, the environment over the file.

Ctrl-C drains: no new invokes are taken, running ones finish, then lambdad stops.
A second Ctrl-C stops at once.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := loadConfig(cmd.Flags())
			if err != nil {
				return err
			}
			setTimerSlack()
			return node.Run(cmd.Context(), config, cmd.ErrOrStderr())
		},
	}
	addConfigFlags(cmd.Flags())
	return cmd
}
