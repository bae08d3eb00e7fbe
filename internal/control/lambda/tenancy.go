package lambda

// notForTenants refuses what cannot go with tenant isolation. Source: Lambda developer guide,
// "Tenant isolation", supported features and limitations.
func notForTenants(features string) error {
	return invalid("%s not supported for functions with tenant isolation mode enabled.", features)
}
