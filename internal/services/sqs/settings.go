package sqs

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	api "github.com/lambdad/lambdad/internal/api/sqs"
	"github.com/lambdad/lambdad/internal/iam/policy"
)

// settings are a queue's attributes, read.
type settings struct {
	visibility, retention, delay, wait time.Duration
	sizeMax                            int
	contentDedup                       bool
	dedupByGroup                       bool
	sealed                             bool
	keyID                              string
	keyReuse                           time.Duration
	redrive                            *redrivePolicy
	allow                              *redriveAllowPolicy
	policy                             string
}

type redrivePolicy struct {
	Target      string // ARN
	MaxReceives int
}

type redriveAllowPolicy struct {
	Permission string   `json:"redrivePermission"`
	Sources    []string `json:"sourceQueueArns"`
}

// The attributes that can be set, with their defaults and their ranges (API
// reference, SetQueueAttributes; MaximumMessageSize is 1 MiB since August 2025,
// recorded).
var numbers = []struct {
	name            string
	def, least, top int
}{
	{"DelaySeconds", 0, 0, 900},
	{"MaximumMessageSize", messageBytesMax, 1024, messageBytesMax},
	{"MessageRetentionPeriod", 345600, 60, 1209600},
	{"ReceiveMessageWaitTimeSeconds", 0, 0, 20},
	{"VisibilityTimeout", 30, 0, 43200},
	{"KmsDataKeyReusePeriodSeconds", 300, 60, 86400},
}

const messageBytesMax = 1 << 20

// readSettings reads attributes that were checked.
func readSettings(attributes map[string]string) settings {
	number := func(name string) int {
		for _, n := range numbers {
			if n.name == name {
				if v, err := strconv.Atoi(attributes[name]); err == nil {
					return v
				}
				return n.def
			}
		}
		return 0
	}
	seconds := func(name string) time.Duration { return time.Duration(number(name)) * time.Second }
	set := settings{
		visibility: seconds("VisibilityTimeout"), retention: seconds("MessageRetentionPeriod"), delay: seconds("DelaySeconds"),
		wait: seconds("ReceiveMessageWaitTimeSeconds"), sizeMax: number("MaximumMessageSize"),
		contentDedup: attributes["ContentBasedDeduplication"] == "true",
		dedupByGroup: attributes["DeduplicationScope"] == "messageGroup",
		sealed:       attributes["SqsManagedSseEnabled"] != "false",
		keyID:        attributes["KmsMasterKeyId"], keyReuse: seconds("KmsDataKeyReusePeriodSeconds"),
		policy: attributes["Policy"],
	}
	if text := attributes["RedrivePolicy"]; text != "" {
		if r, err := parseRedrive(text); err == nil {
			set.redrive = r
		}
	}
	if text := attributes["RedriveAllowPolicy"]; text != "" {
		var a redriveAllowPolicy
		if json.Unmarshal([]byte(text), &a) == nil {
			set.allow = &a
		}
	}
	return set
}

// settable are the other attributes that can be set.
const (
	onlyFIFO    = "FifoQueue ContentBasedDeduplication DeduplicationScope FifoThroughputLimit"
	alsoSet     = "Policy RedrivePolicy RedriveAllowPolicy KmsMasterKeyId SqsManagedSseEnabled"
	onlyRead    = "ApproximateNumberOfMessages ApproximateNumberOfMessagesNotVisible ApproximateNumberOfMessagesDelayed CreatedTimestamp LastModifiedTimestamp QueueArn"
	keyIDMax    = 2048 // of KMS: the longest form of a key
	policyBytes = 8192 // quotas related to policies, developer guide
)

func among(list, name string) bool {
	for have := range strings.FieldsSeq(list) {
		if have == name {
			return true
		}
	}
	return false
}

// checkAttributes refuses what the service refuses, for a queue of the name.
func (s *Service) checkAttributes(name Name, attributes map[string]string) error {
	if attributes["KmsMasterKeyId"] != "" && attributes["SqsManagedSseEnabled"] == "true" {
		return api.NewInvalidAttributeName("You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.")
	}
	for _, key := range sortedKeys(attributes) {
		if err := s.checkAttribute(name, key, attributes[key]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) checkAttribute(name Name, key, value string) error {
	for _, n := range numbers {
		if n.name == key {
			if v, err := strconv.Atoi(value); err != nil || v < n.least || v > n.top {
				return invalidAttribute(key, "")
			}
			return nil
		}
	}
	switch {
	case among(onlyFIFO, key) && !name.FIFO():
		return api.NewInvalidAttributeName("Unknown Attribute " + key + ".")
	case among(onlyFIFO, key):
		return checkFIFO(key, value)
	case !among(alsoSet, key):
		return api.NewInvalidAttributeName("Unknown Attribute " + key + ".")
	}
	return s.checkOther(name, key, value)
}

func checkFIFO(key, value string) error {
	valid := map[string]string{
		"FifoQueue": "true", "ContentBasedDeduplication": "true false", "DeduplicationScope": "messageGroup queue",
		"FifoThroughputLimit": "perMessageGroupId perQueue",
	}[key]
	if among(valid, value) {
		return nil
	}
	if key == "FifoQueue" {
		return invalidAttribute(key, "Modifying queue type is not supported.")
	}
	return invalidAttribute(key, "")
}

func (s *Service) checkOther(name Name, key, value string) error {
	if value == "" {
		return nil // takes the attribute away
	}
	switch key {
	case "SqsManagedSseEnabled":
		if value != "true" && value != "false" {
			return invalidAttribute(key, "")
		}
	case "KmsMasterKeyId":
		if len(value) > keyIDMax {
			return invalidAttribute(key, "")
		}
	case "Policy":
		if _, err := policy.Parse(value); err != nil || len(value) > policyBytes {
			return invalidAttribute(key, "")
		}
	case "RedrivePolicy":
		return s.checkRedrive(name, value)
	case "RedriveAllowPolicy":
		return checkRedriveAllow(value)
	}
	return nil
}

// kept are the attributes as they are remembered: nothing is kept of what says
// nothing, and of two kinds of encryption the one that was asked for last.
func kept(attributes map[string]string) map[string]string {
	out := map[string]string{}
	for key, value := range attributes {
		if value != "" {
			out[key] = value
		}
	}
	if out["KmsMasterKeyId"] == "" {
		delete(out, "KmsDataKeyReusePeriodSeconds")
	} else {
		out["SqsManagedSseEnabled"] = "false"
	}
	return out
}
