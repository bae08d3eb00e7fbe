package iam

import (
	"context"
	"slices"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/iam/policy"
	"github.com/lambdad/lambdad/internal/wire"
)

func (c *Control) contextKeysForCustomPolicy(_ context.Context, _ *wire.Call, in *api.GetContextKeysForCustomPolicyRequest) (*api.GetContextKeysForPolicyResponse, error) {
	s := &simulation{}
	return s.contextKeys(in.PolicyInputList)
}

func (c *Control) contextKeysForPrincipalPolicy(ctx context.Context, call *wire.Call, in *api.GetContextKeysForPrincipalPolicyRequest) (*api.GetContextKeysForPolicyResponse, error) {
	s := &simulation{}
	if err := c.gather(ctx, call.Account, text(in.PolicySourceArn), s); err != nil {
		return nil, err
	}
	return s.contextKeys(in.PolicyInputList)
}

// contextKeys are those of the gathered policies and of the documents given with them.
func (s *simulation) contextKeys(documents []string) (*api.GetContextKeysForPolicyResponse, error) {
	if err := s.inputs(documents, nil, nil); err != nil {
		return nil, err
	}
	names := []string{}
	for _, set := range [][]policy.Source{s.policies.Identity, s.policies.Boundary} {
		for _, src := range set {
			for _, key := range src.Document.ContextKeys() {
				if !slices.Contains(names, key) {
					names = append(names, key)
				}
			}
		}
	}
	return &api.GetContextKeysForPolicyResponse{ContextKeyNames: names}, nil
}
