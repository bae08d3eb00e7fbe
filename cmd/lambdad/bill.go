package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lambdad/lambdad/internal/node"
	"github.com/lambdad/lambdad/internal/telemetry/metering/bill"
)

func billCommand() *cobra.Command {
	var from, to, by, format, prices string
	cmd := &cobra.Command{
		Use:   "bill",
		Short: "Tell what functions consumed and what it costs",
		Long: `Tell what functions consumed and what it costs, by AWS's published prices or by a table
of your own, and what a server would cost that runs all the time in their place.

It asks the running lambdad, with the key in DATA/credentials or in AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY, or reads the data folder when none runs. Account 000000000000
sees every account; others see their own. Usage is told apart by the minute for two
days, by the hour for two months, by the day after that.

  lambdad bill                                     this month, by function
  lambdad bill --from 2026-01-01 --to 2026-02-01   that January
  lambdad bill --by tag=team --format csv`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := loadConfig(cmd.Flags())
			if err != nil {
				return err
			}
			group, err := bill.ParseBy(by)
			if err != nil {
				return err
			}
			table, err := priceTable(prices)
			if err != nil {
				return err
			}
			now := time.Now().UTC()
			y, m, _ := now.Date()
			begin, end := time.Date(y, m, 1, 0, 0, 0, 0, time.UTC), now
			if begin, err = parseDay("from", from, begin); err != nil {
				return err
			}
			if end, err = parseDay("to", to, end); err != nil {
				return err
			}
			if !begin.Before(end) {
				return fmt.Errorf("--from %s is not before --to %s", begin.Format(time.RFC3339), end.Format(time.RFC3339))
			}
			months, err := usageByMonth(cmd.Context(), config, begin, end)
			if err != nil {
				return err
			}
			sheet := bill.Sheet{From: begin, To: end, Prices: table, Bill: bill.Make(months, group, table, end.Sub(begin))}
			return sheet.Write(cmd.OutOrStdout(), format)
		},
	}
	addConfigFlags(cmd.Flags())
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		f.Hidden = f.Name != "data" && f.Name != "listen" && f.Name != "config"
	})
	cmd.Flags().StringVar(&from, "from", "", "first day or time, such as 2026-01-31 or 2026-01-31T12:00:00Z; the month's first by default")
	cmd.Flags().StringVar(&to, "to", "", "first day or time that is not in the bill; now by default")
	cmd.Flags().StringVar(&by, "by", "function", "account, function, version, tenant or tag=KEY")
	cmd.Flags().StringVar(&format, "format", "text", "text, json or csv")
	cmd.Flags().StringVar(&prices, "prices", "", "file with a price table; AWS's published prices by default")
	return cmd
}

func priceTable(path string) (bill.Prices, error) {
	if path == "" {
		return bill.Default(), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return bill.Prices{}, fmt.Errorf("price table: %w", err)
	}
	defer f.Close()
	return bill.ReadPrices(f)
}

func parseDay(flag, text string, otherwise time.Time) (time.Time, error) {
	if text == "" {
		return otherwise, nil
	}
	for _, format := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(format, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("--%s is %q: use 2026-01-31 or 2026-01-31T12:00:00Z", flag, text)
}

// usageByMonth asks for each calendar month by itself, because price tiers begin anew with each.
func usageByMonth(ctx context.Context, config node.Config, from, to time.Time) ([]bill.Month, error) {
	var months []bill.Month
	for from.Before(to) {
		end := time.Date(from.Year(), from.Month()+1, 1, 0, 0, 0, 0, time.UTC)
		if end.After(to) {
			end = to
		}
		report, err := node.FetchUsage(ctx, config, from, end)
		if errors.Is(err, syscall.ECONNREFUSED) {
			if report, err = node.ReadUsage(ctx, config, from, end); err != nil {
				err = fmt.Errorf("nobody listens on %s, and the data folder cannot be read: %w", config.Listen, err)
			}
		}
		if err != nil {
			return nil, err
		}
		var month bill.Month
		for _, l := range report.Usage {
			month = append(month, bill.Line{Key: l.Key, Usage: l.Usage, Tags: l.Tags})
		}
		months = append(months, month)
		from = end
	}
	return months, nil
}
