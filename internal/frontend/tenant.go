package frontend

import (
	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
)

// checkTenant refuses an invoke without a tenant where tenants are kept apart, and one with a
// tenant where they are not. Source: Lambda developer guide, "Troubleshooting tenant isolation";
// the texts are AWS's, as its users quote them.
func checkTenant(fn *record.Function, tenantID string) error {
	switch {
	case fn.Tenancy != "" && tenantID == "":
		return api.NewInvalidParameterValueException("The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again.")
	case fn.Tenancy == "" && tenantID != "":
		return api.NewInvalidParameterValueException("The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and try again.")
	}
	return nil
}
