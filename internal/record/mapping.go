package record

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// Mapping is an event source mapping: a poller reads the source and invokes the function
// with batches. Its key is the account and region with the mapping's UUID.
type Mapping struct {
	Source string `json:"src"` // ARN of the queue or stream
	// Function is whom to invoke; its qualifier is "" for $LATEST.
	Function Name `json:"fn"`
	// Enabled is what the user wants; State is what is shown on the way there.
	Enabled bool         `json:"on,omitempty"`
	State   MappingState `json:"st"`
	// Reason is StateTransitionReason, in the words of the source's kind.
	Reason   string            `json:"why"`
	Modified time.Time         `json:"mod"`
	Tags     map[string]string `json:"tags,omitempty"`

	BatchSize int32 `json:"batch"`
	WindowS   int32 `json:"win,omitempty"`
	// Filters are patterns; a record that matches one of them passes. None lets all pass.
	Filters []string `json:"flt,omitempty"`
	// ReportFailures: the function's answer names the records that failed.
	ReportFailures bool `json:"rbif,omitempty"`
	// Concurrency is ScalingConfig.MaximumConcurrency of a queue; 0 is none.
	Concurrency int32 `json:"conc,omitempty"`
	// Stream is nil for queues.
	Stream *StreamMapping `json:"stream,omitempty"`
}

// StreamMapping is what mappings of Kinesis and DynamoDB streams have beside.
type StreamMapping struct {
	StartingPosition string    `json:"pos"`                 // LATEST, TRIM_HORIZON or AT_TIMESTAMP
	StartingTime     time.Time `json:"at,omitzero"`         // of AT_TIMESTAMP
	Parallelization  int32     `json:"par"`                 // batches of a shard at once, 1 to 10
	TumblingS        int32     `json:"tumbling,omitempty"`  // tumbling window, 0 for none
	MaxAgeS          int32     `json:"maxage"`              // -1: no limit
	MaxRetries       int32     `json:"retries"`             // -1: no limit
	Bisect           bool      `json:"bisect,omitempty"`    // a failed batch is halved
	OnFailure        string    `json:"onfailure,omitempty"` // ARN of a destination, "" for none
}

// MappingState is a mapping's State, as the API has it.
type MappingState string

const (
	MappingCreating  MappingState = "Creating"
	MappingEnabling  MappingState = "Enabling"
	MappingEnabled   MappingState = "Enabled"
	MappingDisabling MappingState = "Disabling"
	MappingDisabled  MappingState = "Disabled"
	MappingUpdating  MappingState = "Updating"
	MappingDeleting  MappingState = "Deleting"
)

// Mappings are kept in this form.
var Mappings = ScopedKind[Mapping]("mapping", 1)

// MappingClaim keeps a source and a function from having two mappings. Its key is
// MappingClaimKey.
type MappingClaim struct {
	UUID string `json:"uuid"`
}

// MappingClaims are kept in this form.
var MappingClaims = ScopedKind[MappingClaim]("mappingclaim", 1)

// MappingClaimKey is where the claim of a source and a function, or its version or alias, lies.
func MappingClaimKey(scope Scope, source string, function Name) Scoped {
	sum := sha256.Sum256([]byte(source + "\n" + function.ARN()))
	return Scoped{scope, hex.EncodeToString(sum[:])}
}

// Polls tells whether the source is to be read now.
func (m *Mapping) Polls() bool { return m.Enabled && m.State != MappingDeleting }

// Settled is the state that a mapping on its way comes to; "" is that it is removed.
func (m *Mapping) Settled() MappingState {
	switch {
	case m.State == MappingDeleting:
		return ""
	case m.Enabled:
		return MappingEnabled
	default:
		return MappingDisabled
	}
}

const mappingResource = "event-source-mapping:"

// MappingARN is the ARN of the mapping with this key.
func MappingARN(key Scoped) string {
	return aws.ARN{Partition: key.Region.Partition(), Service: "lambda", Region: key.Region, Account: key.Account, Resource: mappingResource + key.Name}.String()
}

// ParseMappingARN is the inverse of MappingARN.
func ParseMappingARN(s string) (Scoped, bool) {
	arn, err := aws.ParseARN(s)
	uuid, ok := strings.CutPrefix(arn.Resource, mappingResource)
	if err != nil || !ok || arn.Service != "lambda" || !arn.Account.Valid() || uuid == "" || strings.Contains(uuid, "/") {
		return Scoped{}, false
	}
	return Scoped{Scope{arn.Account, arn.Region}, uuid}, true
}
