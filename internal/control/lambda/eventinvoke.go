package lambda

import (
	"context"
	"errors"
	"slices"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// eventInvokeItemsMax is a page of ListFunctionEventInvokeConfigs. Source: Lambda API, MaxItems.
const eventInvokeItemsMax = 50

// Destinations knows where records of asynchronous invokes can be sent.
type Destinations interface {
	// Check returns nil if a function of an account and region with this role can send to the
	// destination. The text of its error tells the user why not.
	Check(ctx context.Context, scope record.Scope, roleARN, destination string) error
}

func (c *Control) putFunctionEventInvokeConfig(ctx context.Context, call *wire.Call, in *api.PutFunctionEventInvokeConfigRequest) (*api.FunctionEventInvokeConfig, error) {
	return c.setEventInvoke(ctx, call, in.FunctionName, in.Qualifier, func(config *record.EventInvokeConfig, exists bool) error {
		if in.MaximumRetryAttempts == nil && in.MaximumEventAgeInSeconds == nil && in.DestinationConfig == nil {
			return invalid("You must specify at least one of error handling or destination setting.")
		}
		*config = record.EventInvokeConfig{MaxRetries: in.MaximumRetryAttempts, MaxAgeS: in.MaximumEventAgeInSeconds}
		setDestinations(config, in.DestinationConfig)
		return nil
	})
}

func (c *Control) updateFunctionEventInvokeConfig(ctx context.Context, call *wire.Call, in *api.UpdateFunctionEventInvokeConfigRequest) (*api.FunctionEventInvokeConfig, error) {
	return c.setEventInvoke(ctx, call, in.FunctionName, in.Qualifier, func(config *record.EventInvokeConfig, exists bool) error {
		if !exists {
			return errNoEventInvoke
		}
		if in.MaximumRetryAttempts == nil && in.MaximumEventAgeInSeconds == nil && in.DestinationConfig == nil {
			return invalid("You must specify at least one of error handling or destination setting.")
		}
		if in.MaximumRetryAttempts != nil {
			config.MaxRetries = in.MaximumRetryAttempts
		}
		if in.MaximumEventAgeInSeconds != nil {
			config.MaxAgeS = in.MaximumEventAgeInSeconds
		}
		setDestinations(config, in.DestinationConfig)
		return nil
	})
}

func setDestinations(config *record.EventInvokeConfig, in *api.DestinationConfig) {
	if in == nil {
		return
	}
	if in.OnSuccess != nil {
		config.OnSuccess = value(in.OnSuccess.Destination)
	}
	if in.OnFailure != nil {
		config.OnFailure = value(in.OnFailure.Destination)
	}
}

var errNoEventInvoke = errors.New("control/lambda: no event invoke config")

// setEventInvoke edits the configuration of what a request names.
func (c *Control) setEventInvoke(ctx context.Context, call *wire.Call, name, qualifier *string, edit func(*record.EventInvokeConfig, bool) error) (*api.FunctionEventInvokeConfig, error) {
	n, err := c.named(call, name, qualifier)
	if err != nil {
		return nil, err
	}
	key := n.PolicyKey()
	for range commitAttemptsMax {
		f, err := c.read(ctx, n)
		if err != nil {
			return nil, err
		}
		config, cond := record.EventInvokeConfig{}, store.IfAbsent()
		held, err := record.EventInvokeConfigs.Get(ctx, c.records, key)
		switch {
		case err == nil:
			config, cond = *held.Value, store.IfRevision(held.Revision)
		case !errors.Is(err, store.ErrNotFound):
			return nil, fault(err)
		}
		if err := edit(&config, held.Value != nil); errors.Is(err, errNoEventInvoke) {
			return nil, noEventInvoke(key)
		} else if err != nil {
			return nil, err
		}
		if err := c.checkDestinations(ctx, f.Function, &config); err != nil {
			return nil, err
		}
		config.Modified = c.now()
		put, err := record.EventInvokeConfigs.Put(key, &config, cond)
		if err != nil {
			return nil, err
		}
		there := store.Write{Kind: store.WriteCheck, Key: record.FunctionKey(f.ID, f.Version), If: store.IfExists()}
		_, err = c.table.Commit(ctx, there, put)
		if err == nil {
			return shownEventInvoke(key, &config), nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, fault(err)
		}
	}
	return nil, updateInProgress(n.ID)
}

// destinationServices are those that records can go to. Source: Lambda API, DestinationConfig.
var destinationServices = []string{"lambda", "sqs", "sns", "events", "s3"}

func (c *Control) checkDestinations(ctx context.Context, f *record.Function, config *record.EventInvokeConfig) error {
	for i, destination := range []string{config.OnSuccess, config.OnFailure} {
		if destination == "" {
			continue
		}
		arn, err := aws.ParseARN(destination)
		if err != nil || !slices.Contains(destinationServices, arn.Service) {
			return badDestination(destination)
		}
		if arn.Service == "s3" && i == 0 { // Source: Lambda API, OnSuccess
			return badDestination(destination)
		}
		if arn.Service == "lambda" && strings.TrimSuffix(destination, ":"+record.Latest) == f.ID.ARN() {
			return invalid("You can't specify the function as a destination for itself.")
		}
		if c.destinations == nil {
			continue
		}
		if err := c.destinations.Check(ctx, record.Scope{Account: f.ID.Account, Region: f.ID.Region}, f.Role, destination); err != nil {
			return invalid("%s", err)
		}
	}
	return nil
}

// badDestination is AWS's one text for all that is wrong with a destination, as its users quote it.
func badDestination(destination string) error {
	return invalid("The destination ARN %s is invalid.", destination)
}

// checkDeadLetter refuses a queue or topic that the function could not send to. The texts are
// AWS's, as its users quote them.
func (c *Control) checkDeadLetter(ctx context.Context, f *record.Function) error {
	if f.DeadLetterARN == "" {
		return nil
	}
	arn, err := aws.ParseARN(f.DeadLetterARN)
	action := map[string]string{"sqs": "SendMessage on SQS", "sns": "Publish on SNS"}[arn.Service]
	if err != nil || action == "" {
		return invalid("The provided dead-letter target %s is not an SQS queue or an SNS topic.", f.DeadLetterARN)
	}
	if c.destinations == nil {
		return nil
	}
	if err := c.destinations.Check(ctx, record.Scope{Account: f.ID.Account, Region: f.ID.Region}, f.Role, f.DeadLetterARN); err != nil {
		return invalid("The provided execution role does not have permissions to call %s: %s", action, err)
	}
	return nil
}

func (c *Control) getFunctionEventInvokeConfig(ctx context.Context, call *wire.Call, in *api.GetFunctionEventInvokeConfigRequest) (*api.FunctionEventInvokeConfig, error) {
	n, err := c.named(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	held, err := record.EventInvokeConfigs.Get(ctx, c.records, n.PolicyKey())
	if errors.Is(err, store.ErrNotFound) {
		return nil, noEventInvoke(n.PolicyKey())
	}
	if err != nil {
		return nil, fault(err)
	}
	return shownEventInvoke(held.Key, held.Value), nil
}

func (c *Control) deleteFunctionEventInvokeConfig(ctx context.Context, call *wire.Call, in *api.DeleteFunctionEventInvokeConfigRequest) error {
	n, err := c.named(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return err
	}
	if !record.ValidQualifier(n.PolicyKey().Qualifier) {
		return noEventInvoke(n.PolicyKey())
	}
	_, err = c.table.Commit(ctx, record.EventInvokeConfigs.Drop(n.PolicyKey(), store.IfExists()))
	if errors.Is(err, store.ErrConflict) {
		return noEventInvoke(n.PolicyKey())
	}
	return fault(err)
}

func (c *Control) listFunctionEventInvokeConfigs(ctx context.Context, call *wire.Call, in *api.ListFunctionEventInvokeConfigsRequest) (*api.ListFunctionEventInvokeConfigsResponse, error) {
	n, err := c.namedLatest(call, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if _, err := c.read(ctx, n); err != nil {
		return nil, err
	}
	at, err := readMarker(value(in.Marker), 1)
	if err != nil {
		return nil, err
	}
	var after *record.Qualified
	if at[0] != "" {
		after = &record.Qualified{ID: n.ID, Qualifier: at[0]}
	}
	page, more, err := record.EventInvokeConfigs.List(ctx, c.records, record.OfFunction(n.ID), after, min(pageSize(in.MaxItems), eventInvokeItemsMax))
	if err != nil {
		return nil, fault(err)
	}
	out := &api.ListFunctionEventInvokeConfigsResponse{FunctionEventInvokeConfigs: []api.FunctionEventInvokeConfig{}}
	for _, h := range page {
		out.FunctionEventInvokeConfigs = append(out.FunctionEventInvokeConfigs, *shownEventInvoke(h.Key, h.Value))
	}
	if more && len(page) > 0 {
		out.NextMarker = writeMarker(page[len(page)-1].Key.Qualifier)
	}
	return out, nil
}

// noEventInvoke is answered of functions that do not exist, too (recorded: test_ops_on_nonexisting_fn).
func noEventInvoke(key record.Qualified) error {
	return api.NewResourceNotFoundException("The function " + key.ID.QualifiedARN(key.Qualifier) + " doesn't have an EventInvokeConfig")
}

func shownEventInvoke(key record.Qualified, config *record.EventInvokeConfig) *api.FunctionEventInvokeConfig {
	out := &api.FunctionEventInvokeConfig{
		FunctionArn:              wire.Ptr(key.ID.QualifiedARN(key.Qualifier)),
		LastModified:             wire.Ptr(config.Modified),
		MaximumRetryAttempts:     config.MaxRetries,
		MaximumEventAgeInSeconds: config.MaxAgeS,
		DestinationConfig:        &api.DestinationConfig{OnSuccess: &api.OnSuccess{}, OnFailure: &api.OnFailure{}},
	}
	if config.OnSuccess != "" {
		out.DestinationConfig.OnSuccess.Destination = &config.OnSuccess
	}
	if config.OnFailure != "" {
		out.DestinationConfig.OnFailure.Destination = &config.OnFailure
	}
	return out
}
