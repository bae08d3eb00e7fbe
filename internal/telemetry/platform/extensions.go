package platform

// Extension tells how an extension has come through INIT.
type Extension struct {
	Name      string   `json:"name"`
	State     string   `json:"state"`
	Events    []string `json:"events"`
	ErrorType string   `json:"errorType,omitempty"`
}

// Type implements Record.
func (Extension) Type() string { return "platform.extension" }

func (r Extension) in(Schema) any { return r }

// States of a subscription. Source: recorded log lines of extensions that subscribe twice.
const (
	StateSubscribed        = "Subscribed"
	StateAlreadySubscribed = "Already subscribed"
)

// Subscription says that an extension has subscribed, through the Telemetry or the Logs API.
type Subscription struct {
	Name  string   `json:"name"`
	State string   `json:"state"`
	Types []string `json:"types"`
	// Logs says which of the APIs it was.
	Logs bool `json:"-"`
}

// Type implements Record.
func (r Subscription) Type() string {
	if r.Logs {
		return "platform.logsSubscription"
	}
	return "platform.telemetrySubscription"
}

func (r Subscription) in(Schema) any { return r }

// LogsDropped says that a subscriber was too slow.
type LogsDropped struct {
	DroppedBytes   int64  `json:"droppedBytes"`
	DroppedRecords int64  `json:"droppedRecords"`
	Reason         string `json:"reason"`
}

// ReasonFallenBehind of dropping. Source: Lambda developer guide, the examples of
// platform.logsDropped.
const ReasonFallenBehind = "Consumer seems to have fallen behind as it has not acknowledged receipt of logs."

// Type implements Record.
func (LogsDropped) Type() string { return "platform.logsDropped" }

func (r LogsDropped) in(Schema) any { return r }
