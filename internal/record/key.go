package record

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
)

// FunctionPrefix begins the key of every function record, and is what a view
// watches. $LATEST and published versions have key spaces of their own, so that
// a page of functions is a page of one of them:
//
//	lambda/function/latest/ACCOUNT/REGION/NAME
//	lambda/function/version/ACCOUNT/REGION/NAME/0000000001
const (
	FunctionPrefix  = "lambda/function/"
	latestPrefix    = FunctionPrefix + "latest/"
	versionPrefix   = FunctionPrefix + "version/"
	retiredPrefix   = "lambda/retired/"
	versionDigits   = 10
	keyPartsLatest  = 3
	keyPartsVersion = 4
)

// ErrBadKey is returned (wrapped) for a key that names no function record.
var ErrBadKey = errors.New("record: not a function's key")

// FunctionKey is the key of one version. Version must be Latest or a number
// without leading zeros, as ValidVersion reports.
func FunctionKey(id FunctionID, version string) string {
	if version == Latest {
		return latestPrefix + idPath(id)
	}
	return versionsPrefix(id) + strings.Repeat("0", max(0, versionDigits-len(version))) + version
}

// ValidVersion reports whether s can be the version of a record: Latest or a
// positive number as AWS writes them.
func ValidVersion(s string) bool {
	return s == Latest || IsVersionNumber(s)
}

// IsVersionNumber reports whether s is a published version's number.
func IsVersionNumber(s string) bool {
	if s == "" || len(s) > versionDigits || s[0] == '0' {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// parseFunctionKey is the inverse of FunctionKey.
func parseFunctionKey(key string) (FunctionID, string, error) {
	if rest, ok := strings.CutPrefix(key, latestPrefix); ok {
		parts := strings.Split(rest, "/")
		if len(parts) == keyPartsLatest {
			return FunctionID{aws.AccountID(parts[0]), aws.Region(parts[1]), parts[2]}, Latest, nil
		}
	}
	if rest, ok := strings.CutPrefix(key, versionPrefix); ok {
		parts := strings.Split(rest, "/")
		if len(parts) == keyPartsVersion {
			if n, err := strconv.ParseUint(parts[3], 10, 64); err == nil && n > 0 {
				return FunctionID{aws.AccountID(parts[0]), aws.Region(parts[1]), parts[2]}, strconv.FormatUint(n, 10), nil
			}
		}
	}
	return FunctionID{}, "", fmt.Errorf("%q: %w", key, ErrBadKey)
}

func idPath(id FunctionID) string {
	return string(id.Account) + "/" + string(id.Region) + "/" + id.Name
}

// latestOf is the prefix of all functions of an account in a region.
func latestOf(account aws.AccountID, region aws.Region) string {
	return latestPrefix + string(account) + "/" + string(region) + "/"
}

func versionsOf(account aws.AccountID, region aws.Region) string {
	return versionPrefix + string(account) + "/" + string(region) + "/"
}

func versionsPrefix(id FunctionID) string { return versionPrefix + idPath(id) + "/" }

func retiredKey(id FunctionID) string { return retiredPrefix + idPath(id) }
