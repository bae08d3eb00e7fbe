package node

import "path/filepath"

// ToolsDir is where programs lie that people may add to lambdad, such as runsc.
func ToolsDir(c Config) string { return filepath.Join(c.Data, "tools") }
