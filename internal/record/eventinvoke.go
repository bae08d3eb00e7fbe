package record

import "time"

// EventInvokeConfig is how asynchronous invokes of a function, a version or an alias are
// retried, and where their records go. Its key is the function with Latest for the function itself.
type EventInvokeConfig struct {
	// MaxRetries and MaxAgeS are nil when never set: 2 retries, 6 hours.
	MaxRetries *int32    `json:"r,omitempty"`
	MaxAgeS    *int32    `json:"a,omitempty"`
	OnSuccess  string    `json:"ok,omitempty"` // ARN of a destination, "" for none
	OnFailure  string    `json:"ko,omitempty"`
	Modified   time.Time `json:"mod"`
}

// EventInvokeConfigs are kept in this form.
var EventInvokeConfigs = QualifiedKind[EventInvokeConfig]("eventinvoke", 1)
