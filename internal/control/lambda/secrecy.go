package lambda

import (
	"context"
	"errors"
	"fmt"
	"maps"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/record/keys"
	"github.com/lambdad/lambdad/internal/wire"
)

// Keys seals functions' variables. *keys.Ring is one.
type Keys interface {
	Usable(keyARN, account string) error
	Seal(keyARN, functionARN string, variables map[string]string) ([]byte, error)
	Unseal(keyARN, functionARN string, sealed []byte) (map[string]string, error)
}

// What a caller must be allowed to do with the key of a function. Source: Lambda developer guide,
// "Securing Lambda environment variables", the permissions for a customer managed key.
const (
	actionGrant   = "kms:CreateGrant"
	actionEncrypt = "kms:Encrypt"
	actionDecrypt = "kms:Decrypt"
)

// sealEnvironment seals what a request has given, or what is there once more where the key is
// another; an empty key is lambdad's own again.
func (c *Control) sealEnvironment(ctx context.Context, call *wire.Call, f *record.Function, s *settings) error {
	key := f.KMSKeyARN
	if s.KMSKeyArn != nil {
		key = *s.KMSKeyArn
	}
	moved := key != f.KMSKeyARN
	if !moved && f.Environment == nil {
		return nil
	}
	if key != "" {
		if err := c.mayUseKey(ctx, call, key, actionGrant, actionEncrypt); err != nil {
			return unconfigurable("KMS access was denied", "AccessDeniedException", err)
		}
		if err := c.keys.Usable(key, string(f.ID.Account)); err != nil {
			return unconfigurableKey(key, err)
		}
	}
	if f.Environment == nil && f.Sealed != nil {
		opened, err := c.keys.Unseal(f.KMSKeyARN, f.ID.ARN(), f.Sealed)
		if err != nil {
			code, reason := undecryptable(err)
			return invalid("Lambda was unable to decrypt your environment variables because %s. Please check your KMS key settings. KMS Exception: %s", reason, code)
		}
		f.Environment = opened
	}
	f.KMSKeyARN = key
	return c.seal(f)
}

// seal moves a function's plain variables into its envelope.
func (c *Control) seal(f *record.Function) error {
	if f.Environment == nil {
		return nil
	}
	sealed, err := c.keys.Seal(f.KMSKeyARN, f.ID.ARN(), f.Environment)
	if err != nil {
		return fmt.Errorf("seal the variables of %s: %w", f.ID.ARN(), err)
	}
	f.Sealed, f.Environment = sealed, nil
	return nil
}

func (c *Control) mayUseKey(ctx context.Context, call *wire.Call, key string, actions ...string) error {
	if c.authorize == nil {
		return nil
	}
	for _, action := range actions {
		if err := c.authorize.AuthorizeAccess(ctx, call, iam.Access{Action: action, Resource: key}); err != nil {
			return err
		}
	}
	return nil
}

// shownEnvironment is Environment as the caller sees it: the error in its place where the key cannot be
// used, or the caller may not.
func (c *Control) shownEnvironment(ctx context.Context, call *wire.Call, f *record.Function) *api.EnvironmentResponse {
	if f.Sealed == nil {
		if f.Environment == nil {
			return nil
		}
		return &api.EnvironmentResponse{Variables: f.Environment}
	}
	if f.KMSKeyARN != "" {
		if err := c.mayUseKey(ctx, call, f.KMSKeyARN, actionDecrypt); err != nil {
			return unreadable(err)
		}
	}
	variables, err := c.keys.Unseal(f.KMSKeyARN, f.ID.ARN(), f.Sealed)
	if err != nil {
		c.log.Info("a function's variables do not open", "function", f.ID.QualifiedARN(f.Version), "error", err)
		return unreadable(err)
	}
	return &api.EnvironmentResponse{Variables: variables}
}

func unreadable(err error) *api.EnvironmentResponse {
	code, reason := undecryptable(err)
	return &api.EnvironmentResponse{Error: &api.EnvironmentError{
		ErrorCode: wire.Ptr(code),
		Message:   wire.Ptr(fmt.Sprintf("Lambda was unable to decrypt your environment variables because %s. Please check your KMS permissions. KMS Exception: %s", reason, code)),
	}}
}

// undecryptable is KMS's own error, and what Lambda says of it.
func undecryptable(err error) (code, reason string) {
	switch {
	case errors.Is(err, keys.ErrNotFound):
		return "NotFoundException", "the KMS key was not found"
	case errors.Is(err, keys.ErrDisabled):
		return "DisabledException", "the KMS key used is disabled"
	case errors.Is(err, keys.ErrState):
		return "KMSInvalidStateException", "the state of the KMS key used is not valid for Decrypt"
	default:
		return "AccessDeniedException", "the KMS access was denied"
	}
}

func unconfigurableKey(key string, err error) error {
	switch {
	case errors.Is(err, keys.ErrNotFound):
		return unconfigurable("the KMS key is invalid for CreateGrant", "NotFoundException", fmt.Errorf("Key '%s' does not exist", key))
	case errors.Is(err, keys.ErrDisabled):
		return unconfigurable("the KMS key used is disabled", "DisabledException", fmt.Errorf("%s is disabled.", key))
	case errors.Is(err, keys.ErrState):
		return unconfigurable("the KMS key is invalid for CreateGrant", "KMSInvalidStateException", fmt.Errorf("%s is pending deletion.", key))
	default:
		return unconfigurable("KMS access was denied", "AccessDeniedException", fmt.Errorf("%s is of another account.", key))
	}
}

// unconfigurable is how Lambda tells what KMS has said to a change.
func unconfigurable(reason, code string, err error) error {
	return invalid("Lambda was unable to configure access to your environment variables because %s. Please check your KMS key settings. KMS Exception: %s KMS Message: %s", reason, code, err)
}

// sameEnvironment compares without opening: envelopes of one key tell whether they hold the same.
func sameEnvironment(a, b *record.Function) bool {
	if a.KMSKeyARN != b.KMSKeyARN || (a.Sealed == nil) != (b.Sealed == nil) {
		return false
	}
	if a.Sealed != nil {
		return keys.Same(a.Sealed, b.Sealed)
	}
	return (a.Environment == nil) == (b.Environment == nil) && maps.Equal(a.Environment, b.Environment)
}
