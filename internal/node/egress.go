package node

import (
	"errors"
	"os"
	"strings"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// network decides what sandboxes may reach beside lambdad, and says why not more. "auto"
// gives the internet where this machine has a way to it and lambdad the right to
// share it.
func network(egress string) (_ sandbox.Network, why string, err error) {
	root := os.Geteuid() == 0
	switch {
	case egress == "off":
		return sandbox.NetworkEndpoint, "--egress=off", nil
	case egress == "on" && !root:
		return 0, "", errors.New("--egress=on needs root: linking sandboxes to the internet changes the host's network; use --egress=auto to go without")
	case egress == "on":
		return sandbox.NetworkEgress, "", nil
	case !root:
		return sandbox.NetworkEndpoint, "without root the host's network cannot be shared", nil
	case !defaultRoute():
		return sandbox.NetworkEndpoint, "this machine has no default route", nil
	default:
		return sandbox.NetworkEgress, "", nil
	}
}

// defaultRoute reports whether the machine has a way out over IPv4. Source: proc(5),
// /proc/net/route: a default route has destination and mask 00000000.
func defaultRoute() bool {
	table, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 7 && f[1] == "00000000" && f[7] == "00000000" {
			return true
		}
	}
	return false
}
