package frontend

import (
	"errors"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/record/keys"
)

// Keys knows the keys that seal functions' variables: *keys.Ring.
type Keys interface {
	Usable(keyARN, account string) error
}

// checkKey refuses a function whose variables cannot be opened now, also where a warm environment has
// them still: a key that is disabled stops its functions.
func (f *Frontend) checkKey(fn *record.Function) error {
	if fn.Sealed == nil || fn.KMSKeyARN == "" || f.keys == nil {
		return nil
	}
	if err := f.keys.Usable(fn.KMSKeyARN, string(fn.ID.Account)); err != nil {
		return keyFault(err)
	}
	return nil
}

// keyFault is the fault of variables that do not open, nil for any other error. Source: Lambda API,
// Invoke, "Errors"; the text of the last is the one that users of AWS see.
func keyFault(err error) error {
	const check = " Please check the function's KMS key settings. KMS Exception: "
	switch {
	case errors.Is(err, keys.ErrNotFound):
		return api.NewKMSNotFoundException("Lambda was unable to decrypt the environment variables because the KMS key was not found." + check + "NotFoundException")
	case errors.Is(err, keys.ErrDisabled):
		return api.NewKMSDisabledException("Lambda was unable to decrypt the environment variables because the KMS key used is disabled." + check + "DisabledException")
	case errors.Is(err, keys.ErrState):
		return api.NewKMSInvalidStateException("Lambda was unable to decrypt the environment variables because the state of the KMS key used is not valid for Decrypt." + check + "KMSInvalidStateException")
	case errors.Is(err, keys.ErrDenied):
		return api.NewKMSAccessDeniedException("Lambda was unable to decrypt the environment variables because KMS access was denied." + check + "AccessDeniedException")
	}
	return nil
}
