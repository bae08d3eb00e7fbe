package signature

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// Profiles are the certificates of publishers, by the ARN of their signing profile's version.
type Profiles map[string]*x509.Certificate

// Publishers are the ARNs of all, in order.
func (p Profiles) Publishers() []string { return slices.Sorted(maps.Keys(p)) }

// ReadProfiles reads ARN=FILE settings; each file has one certificate in PEM.
func ReadProfiles(settings []string) (Profiles, error) {
	p := Profiles{}
	for _, s := range settings {
		arn, file, ok := strings.Cut(s, "=")
		if !ok || !strings.HasPrefix(arn, "arn:") || !strings.Contains(arn, ":signer:") {
			return nil, fmt.Errorf("signature: %q: use ARN=FILE with the ARN of a signing profile's version", s)
		}
		if p[arn] != nil {
			return nil, fmt.Errorf("signature: %s is named twice", arn)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("signature: %w", err)
		}
		block, _ := pem.Decode(text)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("signature: %s: there is no certificate in PEM", file)
		}
		if p[arn], err = x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("signature: %s: %w", file, err)
		}
	}
	return p, nil
}
