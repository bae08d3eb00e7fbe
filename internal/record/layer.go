package record

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// LayerVersion is one version of a layer, which never changes but for its policy. Its key is
// LayerKey.
type LayerVersion struct {
	Description   string `json:"desc,omitempty"`
	Artifact      string `json:"art"`
	CodeSHA256    string `json:"sha"`
	CodeBytes     int64  `json:"size"`
	UnzippedBytes int64  `json:"usize"`
	// SigningProfile is as Function's.
	SigningProfile string `json:"sig,omitempty"`
	// Runtimes and Architectures are those that it says it is for: nil when never told, which
	// AWS shows otherwise than an empty list.
	Runtimes      []string  `json:"rt"`
	Architectures []string  `json:"arch"`
	License       string    `json:"lic,omitempty"`
	Created       time.Time `json:"at"`
	// Policy is the version's resource-based policy.
	Policy Policy `json:"pol"`
}

// LayerVersions are kept in this form.
var LayerVersions = ScopedKind[LayerVersion]("layer", 1)

// LayerCounter is the highest version number that a layer ever had: numbers are never reused,
// even when all versions have been deleted. Its key is the layer's name.
type LayerCounter struct {
	Last uint64 `json:"n"`
}

// LayerCounters are kept in this form.
var LayerCounters = ScopedKind[LayerCounter]("layercounter", 1)

// LayerID names a layer, and with a Version one of its versions.
type LayerID struct {
	Scope
	Name    string
	Version uint64 // 0: the layer itself
}

// ARN is the layer's, or the version's.
func (l LayerID) ARN() string {
	resource := "layer:" + l.Name
	if l.Version > 0 {
		resource += ":" + strconv.FormatUint(l.Version, 10)
	}
	return aws.ARN{Partition: l.Region.Partition(), Service: "lambda", Region: l.Region, Account: l.Account, Resource: resource}.String()
}

// Key is where the version lies; versions of a layer follow each other by number.
func (l LayerID) Key() Scoped {
	return Scoped{l.Scope, fmt.Sprintf("%s/%0*d", l.Name, versionDigits, l.Version)}
}

// ParseLayerKey is the inverse of LayerID.Key.
func ParseLayerKey(key Scoped) (LayerID, bool) {
	name, number, ok := strings.Cut(key.Name, "/")
	version, err := strconv.ParseUint(number, 10, 64)
	return LayerID{key.Scope, name, version}, ok && err == nil
}

// ParseLayer reads a layer's name, its ARN, or the ARN of one of its versions.
func ParseLayer(s string, scope Scope) (LayerID, bool) {
	id := LayerID{Scope: scope, Name: s}
	if strings.HasPrefix(s, "arn:") {
		arn, err := aws.ParseARN(s)
		rest, ok := strings.CutPrefix(arn.Resource, "layer:")
		if err != nil || !ok || arn.Service != "lambda" || !arn.Account.Valid() {
			return LayerID{}, false
		}
		name, number, versioned := strings.Cut(rest, ":")
		id = LayerID{Scope: Scope{arn.Account, arn.Region}, Name: name}
		if versioned {
			if id.Version, err = strconv.ParseUint(number, 10, 64); err != nil || id.Version == 0 || len(number) > versionDigits {
				return LayerID{}, false
			}
		}
	}
	return id, id.Name != "" && validNamePart(id.Name) && !strings.Contains(id.Name, ".")
}

// Layer is a layer version as a function has it: a function keeps what it had when the
// version is deleted.
type Layer struct {
	ARN           string `json:"arn"`
	Artifact      string `json:"art"`
	CodeBytes     int64  `json:"size"`
	UnzippedBytes int64  `json:"usize"`
	// SigningProfile is as Function's.
	SigningProfile string `json:"sig,omitempty"`
}
