package node

import (
	"fmt"
	"os"
	"path/filepath"
)

// CredentialsFile is where the first start leaves the administrator's key.
func CredentialsFile(c Config) string { return filepath.Join(c.Data, "credentials") }

// writeCredentials writes the key in the AWS shared-credentials format, readable by
// the owner alone, durably: it is written once and cannot be asked for again. The
// region is there too, because boto3 does not read AWS_REGION, and then this file and
// AWS_ENDPOINT_URL are all that a client needs.
func writeCredentials(c Config, accessKeyID, secret string) error {
	path := CredentialsFile(c)
	tmp, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if _, err := fmt.Fprintf(tmp, "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\nregion = %s\n", accessKeyID, secret, c.Region); err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	if err := tmp.Sync(); err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	dir, err := os.Open(c.Data)
	if err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	return nil
}
