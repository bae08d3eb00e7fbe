package platform

// Events of an INIT and of a restore. Source: Lambda developer guide, "Telemetry API Event schema
// reference"; the Logs API has none of them.

// InitStart says that INIT has begun.
type InitStart struct {
	InitializationType string `json:"initializationType"`
	Phase              string `json:"phase"`
	RuntimeVersion     string `json:"runtimeVersion,omitempty"`
	RuntimeVersionARN  string `json:"runtimeVersionArn,omitempty"`
	FunctionName       string `json:"functionName,omitempty"`
	FunctionVersion    string `json:"functionVersion,omitempty"`
}

// Type implements Record.
func (InitStart) Type() string { return "platform.initStart" }

func (r InitStart) in(s Schema) any {
	switch {
	case s.Logs():
		return nil
	case s == Telemetry20220701:
		r.FunctionName, r.FunctionVersion = "", ""
	}
	return r
}

// InitRuntimeDone says that the runtime has asked for its first invocation, or failed to.
type InitRuntimeDone struct {
	InitializationType string `json:"initializationType"`
	Phase              string `json:"phase"`
	Status             string `json:"status"`
	ErrorType          string `json:"errorType,omitempty"`
}

// Type implements Record.
func (InitRuntimeDone) Type() string { return "platform.initRuntimeDone" }

func (r InitRuntimeDone) in(s Schema) any { return telemetryOnly(s, r) }

// InitReport sums INIT up.
type InitReport struct {
	InitializationType string       `json:"initializationType"`
	Phase              string       `json:"phase"`
	Status             string       `json:"status"`
	ErrorType          string       `json:"errorType,omitempty"`
	Metrics            PhaseMetrics `json:"metrics"`
}

// PhaseMetrics are those of an INIT or a restore.
type PhaseMetrics struct {
	DurationMs Millis `json:"durationMs"`
}

// Type implements Record.
func (InitReport) Type() string { return "platform.initReport" }

func (r InitReport) in(s Schema) any { return telemetryOnly(s, r) }

// RestoreStart says that a snapshot is being restored.
type RestoreStart struct {
	FunctionName      string `json:"functionName"`
	FunctionVersion   string `json:"functionVersion"`
	RuntimeVersion    string `json:"runtimeVersion,omitempty"`
	RuntimeVersionARN string `json:"runtimeVersionArn,omitempty"`
}

// Type implements Record.
func (RestoreStart) Type() string { return "platform.restoreStart" }

func (r RestoreStart) in(s Schema) any { return restoring(s, r) }

// RestoreRuntimeDone says that the runtime has run its hooks.
type RestoreRuntimeDone struct {
	Status    string `json:"status"`
	ErrorType string `json:"errorType,omitempty"`
}

// Type implements Record.
func (RestoreRuntimeDone) Type() string { return "platform.restoreRuntimeDone" }

func (r RestoreRuntimeDone) in(s Schema) any { return restoring(s, r) }

// RestoreReport sums a restore up.
type RestoreReport struct {
	Status    string       `json:"status"`
	ErrorType string       `json:"errorType,omitempty"`
	Metrics   PhaseMetrics `json:"metrics"`
}

// Type implements Record.
func (RestoreReport) Type() string { return "platform.restoreReport" }

func (r RestoreReport) in(s Schema) any { return restoring(s, r) }

func telemetryOnly(s Schema, r any) any {
	if s.Logs() {
		return nil
	}
	return r
}

// restoring: the events came with the second schema.
func restoring(s Schema, r any) any {
	if s.Logs() || s == Telemetry20220701 {
		return nil
	}
	return r
}
