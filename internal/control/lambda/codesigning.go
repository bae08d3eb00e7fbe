package lambda

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"maps"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

const (
	signingEnforce = "Enforce"
	signingWarn    = "Warn"
	// signingIDLength is the length of an id after "csc-".
	signingIDLength = 17
)

func (c *Control) createCodeSigningConfig(ctx context.Context, call *wire.Call, in *api.CreateCodeSigningConfigRequest) (*api.CreateCodeSigningConfigResponse, error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	id := make([]byte, signingIDLength)
	_, _ = rand.Read(id) // never fails
	key := record.Scoped{Scope: scopeOf(call), Name: "csc-" + hex.EncodeToString(id)[:signingIDLength]}
	config := &record.CodeSigningConfig{Description: value(in.Description), Tags: maps.Clone(in.Tags), Modified: c.now()}
	setSigning(config, in.AllowedPublishers, in.CodeSigningPolicies)
	put, err := record.CodeSigningConfigs.Put(key, config, store.IfAbsent())
	if err != nil {
		return nil, err
	}
	if _, err := c.table.Commit(ctx, put); err != nil {
		return nil, fault(err)
	}
	return &api.CreateCodeSigningConfigResponse{CodeSigningConfig: shownSigning(key, config)}, nil
}

func setSigning(config *record.CodeSigningConfig, publishers *api.AllowedPublishers, policies *api.CodeSigningPolicies) {
	if publishers != nil {
		config.Publishers = publishers.SigningProfileVersionArns
	}
	if policies != nil && policies.UntrustedArtifactOnDeployment != nil {
		config.Enforce = *policies.UntrustedArtifactOnDeployment == signingEnforce
	}
}

func shownSigning(key record.Scoped, config *record.CodeSigningConfig) *api.CodeSigningConfig {
	policy := signingWarn
	if config.Enforce {
		policy = signingEnforce
	}
	return &api.CodeSigningConfig{
		CodeSigningConfigId:  &key.Name,
		CodeSigningConfigArn: wire.Ptr(record.CodeSigningARN(key)),
		Description:          wire.Ptr(config.Description),
		AllowedPublishers:    &api.AllowedPublishers{SigningProfileVersionArns: config.Publishers},
		CodeSigningPolicies:  &api.CodeSigningPolicies{UntrustedArtifactOnDeployment: &policy},
		LastModified:         wire.Ptr(config.Modified.UTC().Format(lastModifiedForm)),
	}
}

// signingAt reads a config of the caller's.
func (c *Control) signingAt(ctx context.Context, call *wire.Call, arn string) (record.Held[record.Scoped, record.CodeSigningConfig], error) {
	key, ok := record.ParseCodeSigningARN(arn)
	if !ok || key.Scope != scopeOf(call) {
		return record.Held[record.Scoped, record.CodeSigningConfig]{}, noSigning(arn)
	}
	held, err := record.CodeSigningConfigs.Get(ctx, c.records, key)
	if errors.Is(err, store.ErrNotFound) {
		return held, noSigning(arn)
	}
	return held, fault(err)
}

// noSigning is recorded, without the Type that other errors have: test_code_signing_not_found_excs.
func noSigning(arn string) error {
	return &api.ResourceNotFoundException{Message: wire.Ptr("The Lambda code signing configuration " + arn + " can not be found.")}
}

func (c *Control) getCodeSigningConfig(ctx context.Context, call *wire.Call, in *api.GetCodeSigningConfigRequest) (*api.GetCodeSigningConfigResponse, error) {
	held, err := c.signingAt(ctx, call, value(in.CodeSigningConfigArn))
	if err != nil {
		return nil, err
	}
	return &api.GetCodeSigningConfigResponse{CodeSigningConfig: shownSigning(held.Key, held.Value)}, nil
}

func (c *Control) updateCodeSigningConfig(ctx context.Context, call *wire.Call, in *api.UpdateCodeSigningConfigRequest) (*api.UpdateCodeSigningConfigResponse, error) {
	key, config, err := c.changeSigning(ctx, call, value(in.CodeSigningConfigArn), func(config *record.CodeSigningConfig) error {
		if in.Description != nil {
			config.Description = *in.Description
		}
		setSigning(config, in.AllowedPublishers, in.CodeSigningPolicies)
		config.Modified = c.now()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateCodeSigningConfigResponse{CodeSigningConfig: shownSigning(key, config)}, nil
}

// changeSigning edits a config.
func (c *Control) changeSigning(ctx context.Context, call *wire.Call, arn string, edit func(*record.CodeSigningConfig) error) (record.Scoped, *record.CodeSigningConfig, error) {
	for range commitAttemptsMax {
		held, err := c.signingAt(ctx, call, arn)
		if err != nil {
			return held.Key, nil, err
		}
		config := *held.Value
		if config.Tags = maps.Clone(config.Tags); config.Tags == nil {
			config.Tags = map[string]string{}
		}
		if err := edit(&config); err != nil {
			return held.Key, nil, err
		}
		put, err := record.CodeSigningConfigs.Put(held.Key, &config, store.IfRevision(held.Revision))
		if err != nil {
			return held.Key, nil, err
		}
		if _, err = c.table.Commit(ctx, put); err == nil {
			return held.Key, &config, nil
		} else if !errors.Is(err, store.ErrConflict) {
			return held.Key, nil, fault(err)
		}
	}
	return record.Scoped{}, nil, signingBusy(arn)
}

func signingBusy(arn string) error {
	return api.NewResourceConflictException("The code signing configuration " + arn + " is being changed. Try again.")
}

func (c *Control) deleteCodeSigningConfig(ctx context.Context, call *wire.Call, in *api.DeleteCodeSigningConfigRequest) (*api.DeleteCodeSigningConfigResponse, error) {
	arn := value(in.CodeSigningConfigArn)
	held, err := c.signingAt(ctx, call, arn)
	if err != nil {
		return nil, err
	}
	users, err := c.signingUsers(ctx, call, arn)
	if err != nil {
		return nil, err
	}
	if len(users) > 0 {
		return nil, api.NewResourceConflictException("The code signing configuration " + arn + " is used by functions and cannot be deleted.")
	}
	// Whoever gives it to a function meanwhile writes it, too (see putFunctionSigning).
	_, err = c.table.Commit(ctx, record.CodeSigningConfigs.Drop(held.Key, store.IfRevision(held.Revision)))
	if errors.Is(err, store.ErrConflict) {
		return nil, signingBusy(arn)
	}
	return &api.DeleteCodeSigningConfigResponse{}, fault(err)
}

func (c *Control) listCodeSigningConfigs(ctx context.Context, call *wire.Call, in *api.ListCodeSigningConfigsRequest) (*api.ListCodeSigningConfigsResponse, error) {
	at, err := readMarker(value(in.Marker), 1)
	if err != nil {
		return nil, err
	}
	var after *record.Scoped
	if at[0] != "" {
		after = &record.Scoped{Scope: scopeOf(call), Name: at[0]}
	}
	page, more, err := record.CodeSigningConfigs.List(ctx, c.records, record.OfScope(scopeOf(call)), after, pageSize(in.MaxItems))
	if err != nil {
		return nil, fault(err)
	}
	out := &api.ListCodeSigningConfigsResponse{CodeSigningConfigs: []api.CodeSigningConfig{}}
	for _, h := range page {
		out.CodeSigningConfigs = append(out.CodeSigningConfigs, *shownSigning(h.Key, h.Value))
	}
	if more && len(page) > 0 {
		out.NextMarker = writeMarker(page[len(page)-1].Key.Name)
	}
	return out, nil
}

// signingUsers are the ARNs of the functions that have a config, in order.
func (c *Control) signingUsers(ctx context.Context, call *wire.Call, arn string) ([]string, error) {
	var users []string
	err := record.FunctionCodeSignings.Each(ctx, c.records, record.OfScope(scopeOf(call)), func(h record.Held[record.Qualified, record.FunctionCodeSigning]) {
		if h.Value.ARN == arn {
			users = append(users, h.Key.ID.ARN())
		}
	})
	return users, fault(err)
}

func (c *Control) listFunctionsByCodeSigningConfig(ctx context.Context, call *wire.Call, in *api.ListFunctionsByCodeSigningConfigRequest) (*api.ListFunctionsByCodeSigningConfigResponse, error) {
	at, err := readMarker(value(in.Marker), 1)
	if err != nil {
		return nil, err
	}
	if _, err := c.signingAt(ctx, call, value(in.CodeSigningConfigArn)); err != nil {
		return nil, err
	}
	users, err := c.signingUsers(ctx, call, *in.CodeSigningConfigArn)
	if err != nil {
		return nil, err
	}
	last := ""
	out := &api.ListFunctionsByCodeSigningConfigResponse{FunctionArns: []string{}}
	for _, arn := range users {
		name := arn[strings.LastIndex(arn, ":")+1:]
		if name <= at[0] {
			continue
		}
		if len(out.FunctionArns) == pageSize(in.MaxItems) {
			out.NextMarker = writeMarker(last)
			break
		}
		out.FunctionArns = append(out.FunctionArns, arn)
		last = name
	}
	return out, nil
}
