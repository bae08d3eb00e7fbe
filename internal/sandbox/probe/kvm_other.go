//go:build !amd64

package probe

import "context"

// virtualMachine has no guest code for this architecture yet: it says so, and
// does not guess from the device.
func virtualMachine(context.Context) []Finding {
	return []Finding{{"kvm", Degraded, "not tried: no probe for this architecture", ""}}
}
