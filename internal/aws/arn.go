package aws

import (
	"errors"
	"fmt"
	"strings"
)

// AccountID is a 12-digit AWS account number.
type AccountID string

// Valid reports whether the id has the form of an AWS account number.
func (a AccountID) Valid() bool {
	if len(a) != 12 {
		return false
	}
	for i := range len(a) {
		if a[i] < '0' || a[i] > '9' {
			return false
		}
	}
	return true
}

// Region is an AWS region name, e.g. "us-east-1".
type Region string

// Partition names the AWS partition that a region belongs to.
func (r Region) Partition() string {
	switch {
	case strings.HasPrefix(string(r), "cn-"):
		return "aws-cn"
	case strings.HasPrefix(string(r), "us-gov-"):
		return "aws-us-gov"
	default:
		return "aws"
	}
}

// ARN is an Amazon Resource Name in its six parts:
// arn:Partition:Service:Region:Account:Resource. Resource may itself contain
// colons and slashes.
type ARN struct {
	Partition string
	Service   string
	Region    Region
	Account   AccountID
	Resource  string
}

// ErrNotARN is returned (wrapped) by ParseARN.
var ErrNotARN = errors.New("not an ARN")

// ParseARN splits s into its six parts. It checks the shape only, not whether
// the partition, region or account exist.
func ParseARN(s string) (ARN, error) {
	parts := strings.SplitN(s, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[1] == "" || parts[2] == "" || parts[5] == "" {
		return ARN{}, fmt.Errorf("%q: %w", s, ErrNotARN)
	}
	return ARN{
		Partition: parts[1],
		Service:   parts[2],
		Region:    Region(parts[3]),
		Account:   AccountID(parts[4]),
		Resource:  parts[5],
	}, nil
}

func (a ARN) String() string {
	return "arn:" + a.Partition + ":" + a.Service + ":" + string(a.Region) + ":" + string(a.Account) + ":" + a.Resource
}
