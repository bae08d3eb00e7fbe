package main

import (
	"fmt"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/node"
	"github.com/lambdad/lambdad/internal/record/keys"
)

func keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make and manage keys for functions' environment variables",
		Long: `Environment variables are always encrypted at rest. A function that names a key of its own in
KMSKeyArn is encrypted with that one, and does not run while the key is disabled or gone. These keys are
files; a lambdad that runs follows them within a second.`,
	}
	cmd.PersistentFlags().String("data", node.Defaults().Data, "the data folder that serve uses")
	cmd.PersistentFlags().String("kms-key-folder", "", "the folder of keys that serve uses; keys in the data folder by default")
	cmd.AddCommand(
		keyCreateCommand(), keyListCommand(),
		keyStateCommand("enable", "Let a key be used again", keys.Enabled),
		keyStateCommand("disable", "Stop the functions of a key until it is enabled", keys.Disabled),
		keyDeleteCommand(),
	)
	return cmd
}

// keyFolder is the folder that the flags name.
func keyFolder(cmd *cobra.Command) (string, error) {
	data, err := cmd.Flags().GetString("data")
	if err != nil {
		return "", err
	}
	folder, err := cmd.Flags().GetString("kms-key-folder")
	if err != nil {
		return "", err
	}
	return filepath.Abs(node.KeyFolder(node.Config{Data: data, KMSKeyFolder: folder}))
}

func keyCreateCommand() *cobra.Command {
	var account, region string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a key, and print its ARN",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := keyFolder(cmd)
			if err != nil {
				return err
			}
			if !aws.AccountID(account).Valid() || region == "" {
				return fmt.Errorf("--account %q, --region %q: an account has 12 digits, a region a name", account, region)
			}
			k, err := keys.Create(dir, keys.Owner{Partition: aws.Region(region).Partition(), Account: account, Region: region})
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), k.ARN)
			return nil
		},
	}
	cmd.Flags().StringVar(&account, "account", "000000000000", "the account whose functions may use it")
	cmd.Flags().StringVar(&region, "region", node.Defaults().Region, "the region of its functions")
	return cmd
}

func keyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := keyFolder(cmd)
			if err != nil {
				return err
			}
			all, err := keys.List(dir)
			if err != nil {
				return err
			}
			out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(out, "ARN\tSTATE\tCREATED")
			for _, k := range all {
				fmt.Fprintf(out, "%s\t%s\t%s\n", k.ARN, k.State, k.Created.Format("2006-01-02T15:04:05Z"))
			}
			return out.Flush()
		},
	}
}

func keyStateCommand(use, short string, to keys.State) *cobra.Command {
	return &cobra.Command{
		Use:   use + " ARN",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return setKeyState(cmd, args[0], to)
		},
	}
}

func keyDeleteCommand() *cobra.Command {
	var now bool
	cmd := &cobra.Command{
		Use:   "delete ARN",
		Short: "Mark a key for deletion, or remove it for good",
		Long: `Without --now the key is only marked: enable brings it back. With --now nothing opens any more what
it has encrypted; its functions need their variables anew.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !now {
				return setKeyState(cmd, args[0], keys.PendingDeletion)
			}
			dir, err := keyFolder(cmd)
			if err != nil {
				return err
			}
			if err := keys.Remove(dir, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", args[0])
			return nil
		},
	}
	cmd.Flags().BoolVar(&now, "now", false, "remove it for good")
	return cmd
}

func setKeyState(cmd *cobra.Command, arn string, to keys.State) error {
	dir, err := keyFolder(cmd)
	if err != nil {
		return err
	}
	k, err := keys.SetState(dir, arn, to)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s is %s\n", k.ARN, k.State)
	return nil
}
