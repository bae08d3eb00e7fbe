package sqs

import (
	"net/url"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/wire"
)

// Name names a queue.
type Name struct {
	Account aws.AccountID
	Region  aws.Region
	Queue   string
}

// ARN of the queue.
func (n Name) ARN() string {
	return aws.ARN{Partition: n.Region.Partition(), Service: "sqs", Region: n.Region, Account: n.Account, Resource: n.Queue}.String()
}

// FIFO tells by the suffix, as AWS does.
func (n Name) FIFO() bool { return strings.HasSuffix(n.Queue, fifoSuffix) }

const fifoSuffix = ".fifo"

// ParseARN reads a queue's ARN.
func ParseARN(s string) (Name, bool) {
	arn, err := aws.ParseARN(s)
	if err != nil || arn.Service != "sqs" || !arn.Account.Valid() || arn.Region == "" || !validName(arn.Resource) {
		return Name{}, false
	}
	return Name{Account: arn.Account, Region: arn.Region, Queue: arn.Resource}, true
}

// nameMax is the longest name, with the suffix (developer guide, queue quotas).
const nameMax = 80

func validName(s string) bool {
	if len(s) == 0 || len(s) > nameMax {
		return false
	}
	base := strings.TrimSuffix(s, fifoSuffix)
	return base != "" && strings.IndexFunc(base, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) < 0
}

// parseURL reads a queue's URL, or its path alone: the last two segments count, so
// that a queue is found under each of the node's addresses. AWS takes a bare name, too:
// a queue of the caller's.
func parseURL(s string, call *wire.Call) (Name, bool) {
	if validName(s) {
		return Name{Account: call.Account, Region: call.Region, Queue: s}, true
	}
	path := s
	if u, err := url.Parse(s); err == nil {
		path = u.Path
	}
	segments := strings.Split(strings.Trim(path, "/"), "/")
	if len(segments) < 2 {
		return Name{}, false
	}
	account, queue := aws.AccountID(segments[len(segments)-2]), segments[len(segments)-1]
	if !account.Valid() || queue == "" {
		return Name{}, false
	}
	return Name{Account: account, Region: call.Region, Queue: queue}, true
}

func (n Name) url(endpoint string) string {
	return endpoint + "/" + string(n.Account) + "/" + n.Queue
}
