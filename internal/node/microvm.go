package node

import "path/filepath"

// MicroVMDir is where the kernel of virtual machines lies, which
// `lambdad microvm prepare` puts there.
func MicroVMDir(c Config) string { return filepath.Join(c.Data, "microvm") }
