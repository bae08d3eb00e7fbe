package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/pebble"
	"github.com/lambdad/lambdad/internal/telemetry/metering"
	"github.com/lambdad/lambdad/internal/wire"
)

const (
	// UsagePath answers what was consumed, for `lambdad bill`.
	UsagePath = "/_lambdad/usage"
	// UsageService is the service that requests to UsagePath are signed for, and usageAction
	// what a caller must be allowed: those of AWS's own Cost Explorer.
	UsageService = "ce"
	usageAction  = "ce:GetCostAndUsage"
	// operatorAccount sees the usage of every account; any other sees its own.
	operatorAccount = aws.AccountID("000000000000")
)

// UsageReport is the usage of a span, summed up by key.
type UsageReport struct {
	From  time.Time   `json:"from"`
	To    time.Time   `json:"to"`
	Usage []UsageLine `json:"usage"`
}

// UsageLine is the usage of one key, with its function's tags as they are now. A line
// without a function holds the peaks of an account as a whole.
type UsageLine struct {
	metering.Key
	metering.Usage
	Tags map[string]string `json:"tags,omitempty"`
}

// ReadUsage reads the report from a data folder that no lambdad has open.
func ReadUsage(ctx context.Context, c Config, from, to time.Time) (_ UsageReport, err error) {
	s, err := pebble.Open(filepath.Join(c.Data, "store"), pebble.Options{Log: newLogger(c, discard{})})
	if err != nil {
		return UsageReport{}, fmt.Errorf("open the store in %s: %w", c.Data, err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return reportUsage(ctx, s, "", from, to)
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// reportUsage sums up what an account consumed, or all ("").
func reportUsage(ctx context.Context, records store.Records, account aws.AccountID, from, to time.Time) (UsageReport, error) {
	sums := map[metering.Key]*UsageLine{}
	err := metering.Read(ctx, records, from, to, func(e metering.Entry) error {
		if account != "" && e.Key.Account != account {
			return nil
		}
		l := sums[e.Key]
		if l == nil {
			l = &UsageLine{Key: e.Key}
			sums[e.Key] = l
		}
		l.Usage.Add(&e.Usage)
		return nil
	})
	if err != nil {
		return UsageReport{}, err
	}
	report := UsageReport{From: from.UTC(), To: to.UTC(), Usage: []UsageLine{}}
	for _, l := range sums {
		if !l.IsAccount() {
			if l.Tags, err = tagsOf(ctx, records, l.Key); err != nil {
				return UsageReport{}, err
			}
		}
		report.Usage = append(report.Usage, *l)
	}
	slices.SortFunc(report.Usage, func(a, b UsageLine) int {
		return slices.Compare(usageOrder(a.Key), usageOrder(b.Key))
	})
	return report, nil
}

func usageOrder(k metering.Key) []string {
	return []string{string(k.Account), string(k.Region), k.Function, k.Version, k.Tenant, k.Architecture}
}

// tagsOf are a function's tags; one that is gone has none.
func tagsOf(ctx context.Context, records store.Records, k metering.Key) (map[string]string, error) {
	fn, err := record.NewTable(records).Get(ctx, record.FunctionID{Account: k.Account, Region: k.Region, Name: k.Function}, record.Latest)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("tags of %s: %w", k.Function, err)
	}
	return fn.Tags, nil
}

// usageHandler serves UsagePath to whoever may read costs.
type usageHandler struct {
	node *node
	now  func() time.Time
}

func (h usageHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET")
		internalError(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "GET only.")
		return
	}
	account, err := h.caller(r)
	if err != nil {
		var fault wire.Fault
		if !errors.As(err, &fault) {
			h.node.log.Error("a caller could not be authenticated", "error", err)
			fault = wire.NewFault(http.StatusInternalServerError, "InternalFailure", "")
		}
		internalError(w, fault.FaultStatus(), fault.FaultCode(), "Usage is shown to who signs for the service "+UsageService+" and may do "+usageAction+".")
		return
	}
	from, to, err := usageSpan(r, h.now())
	if err != nil {
		internalError(w, http.StatusBadRequest, "ValidationException", "from and to must be times such as 2026-01-31T00:00:00Z, from before to.")
		return
	}
	// What was consumed until now belongs into the answer.
	if err := h.node.usage.Flush(r.Context()); err != nil {
		h.node.log.Warn("the newest usage is missing in a report", "error", err)
	}
	report, err := reportUsage(r.Context(), h.node.storage.store, account, from, to)
	if err != nil {
		h.node.log.Error("usage could not be read", "error", err)
		internalError(w, http.StatusInternalServerError, "InternalFailure", "The usage could not be read.")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	// The client is gone if this fails; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(report)
}

// caller is the account whose usage the caller may see, "" for all.
func (h usageHandler) caller(r *http.Request) (aws.AccountID, error) {
	authority := h.node.authority
	id, err := authority.Authenticate(r, nil, UsageService, wire.RestJSON)
	if err != nil {
		return "", err
	}
	account := id.Principal.Account
	call := &wire.Call{
		RequestID: aws.NewRequestID(), Service: UsageService, Operation: "GetCostAndUsage",
		Account: account, Region: id.Region, Principal: id.Principal,
		AccessKeyID: id.AccessKeyID, SessionContext: id.SessionContext, UserAgent: r.UserAgent(), Received: h.now(),
	}
	if err := authority.Authorize(r.Context(), call, usageAction, nil, nil); err != nil {
		return "", err
	}
	if account == operatorAccount {
		return "", nil
	}
	return account, nil
}

// usageSpan reads from and to; the month until now where they are missing.
func usageSpan(r *http.Request, now time.Time) (from, to time.Time, err error) {
	from, to = usageSince(now), now
	query := r.URL.Query()
	for name, at := range map[string]*time.Time{"from": &from, "to": &to} {
		if text := strings.TrimSpace(query.Get(name)); text != "" {
			if *at, err = time.Parse(time.RFC3339, text); err != nil {
				return from, to, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if to.Before(from) {
		return from, to, errors.New("to is before from")
	}
	return from, to, nil
}
