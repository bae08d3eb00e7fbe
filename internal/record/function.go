// Package record owns the form in which the control plane writes Lambda's
// resources to the store and the data planes read them: types, keys, codecs, and
// views kept fresh by the store's watch. It is the only thing that control and
// frontend share (law 1: control never calls data), so it must never import
// either, nor an AWS wire shape.
package record

import (
	"maps"
	"slices"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// Latest is the version of a function's unpublished code.
const Latest = "$LATEST"

// LatestPublished is the version that functions on capacity providers have in Latest's place for their invokes. No
// function here has one, so it names a version that does not exist. Source: Lambda developer guide,
// "$LATEST.PUBLISHED version in Lambda Managed Instances".
const LatestPublished = "$LATEST.PUBLISHED"

// State is a function's life state. Source: Lambda API, FunctionConfiguration.
type State string

const (
	StatePending  State = "Pending"
	StateActive   State = "Active"
	StateInactive State = "Inactive"
	StateFailed   State = "Failed"
)

// UpdateStatus is the state of the last update.
type UpdateStatus string

const (
	UpdateInProgress UpdateStatus = "InProgress"
	UpdateSuccessful UpdateStatus = "Successful"
	UpdateFailed     UpdateStatus = "Failed"
)

// FunctionID names a function without its version.
type FunctionID struct {
	Account aws.AccountID
	Region  aws.Region
	Name    string
}

// ARN is the unqualified function ARN.
func (f FunctionID) ARN() string {
	return aws.ARN{Partition: f.Region.Partition(), Service: "lambda", Region: f.Region, Account: f.Account, Resource: "function:" + f.Name}.String()
}

// QualifiedARN is the ARN with a version or alias.
func (f FunctionID) QualifiedARN(qualifier string) string { return f.ARN() + ":" + qualifier }

// Function is one version of a function: $LATEST, which changes, or a
// published number, which does not. Fields that were never set are zero and
// are left out of answers where AWS leaves them out.
type Function struct {
	ID      FunctionID
	Version string // Latest or "1", "2", ...

	Description  string
	Runtime      string // AWS identifier, e.g. "python3.13"
	Handler      string
	Role         string // ARN
	TimeoutS     int
	MemoryMiB    int
	TmpMiB       int // EphemeralStorage.Size
	Architecture string
	// RuntimeVersionARN is RuntimeVersionConfig.RuntimeVersionArn: which build of the
	// runtime the function was last settled on.
	RuntimeVersionARN string
	// RuntimeUpdate is UpdateRuntimeOn: "" is Auto.
	RuntimeUpdate string

	// Code. CodeSHA256 is base64 of the zip's SHA-256, as AWS shows it; Artifact is the
	// digest artifact.Store knows the zip by (hex).
	Artifact   string
	CodeSHA256 string
	CodeBytes  int64
	// UnzippedBytes counts what the package takes unpacked.
	UnzippedBytes int64
	// SigningProfile is the ARN of the signing profile's version that has signed the package, "" for none known.
	SigningProfile string

	// Image is the code of a function with PackageType Image, which has no Artifact, Runtime or
	// Handler; nil for a Zip.
	Image *Image

	// Sealed is Environment at rest, nil when never set; AWS then leaves it out. KMSKeyARN names the key
	// that sealed it, "" for lambdad's own (package keys).
	Sealed    []byte
	KMSKeyARN string
	// Environment is what Sealed holds, only while somebody needs it. A record that was written before
	// there was a key holds it so, until control seals it.
	Environment map[string]string

	// Layers lie at /opt, a later one over an earlier one.
	Layers []Layer

	SnapStart SnapStart
	// DeadLetterARN is DeadLetterConfig.TargetArn: a queue or a topic, "" for none.
	DeadLetterARN string
	// Tenancy is TenancyConfig.TenantIsolationMode: TenancyPerTenant, or "" for none. It never changes.
	Tenancy string

	Logging     Logging
	TracingMode string            // "PassThrough" or "Active"
	Tags        map[string]string // of the function; only on Latest

	State            State
	StateReason      string
	StateReasonCode  string
	Update           UpdateStatus // "" until the first settling
	UpdateReason     string
	UpdateReasonCode string

	// Generation grows with every change of code or configuration, and is part of the
	// warm pool's key: environments of different generations never mix.
	Generation uint64
	// RevisionID is new on each change, also of state.
	RevisionID   string
	LastModified time.Time
	// LastVersion is the highest number ever published; only on Latest.
	LastVersion uint64
	// PublishedDescription is Description as it was when LastVersion was made: the version
	// itself may have been given another. Only on Latest.
	PublishedDescription string
}

// Clone returns a copy that shares no map with f, for a writer to change.
func (f *Function) Clone() *Function {
	c := *f
	c.Environment = maps.Clone(f.Environment)
	c.Tags = maps.Clone(f.Tags)
	c.Layers = slices.Clone(f.Layers)
	c.Image = f.Image.Clone()
	return &c
}

// What RuntimeUpdate is where a function does not simply get what is there.
const (
	RuntimeOnUpdate = "FunctionUpdate" // held to RuntimeVersionARN, which an update of the function renews
	RuntimeManual   = "Manual"         // held to RuntimeVersionARN
)

// HeldRuntime is the ARN of the runtime's version that environments must have, "" for whatever is there.
func (f *Function) HeldRuntime() string {
	if f.RuntimeUpdate == "" {
		return ""
	}
	return f.RuntimeVersionARN
}

// TenancyPerTenant is Tenancy of a function whose environments each serve one tenant only.
const TenancyPerTenant = "PER_TENANT"

// SnapStartVersions is SnapStart.ApplyOn of a function whose published versions start from a
// snapshot; "" is None.
const SnapStartVersions = "PublishedVersions"

// SnapStart is what a function asked for, and of a version what came of it.
type SnapStart struct {
	ApplyOn string // "" or SnapStartVersions
	// Optimized: the version's snapshot has been made (OptimizationStatus On). A version
	// without it is Pending, Failed, or Active where none could be made; only on published versions.
	Optimized bool
}

// Snapshotted reports whether environments of f start from a snapshot: f is a published
// version that asks for one. $LATEST never does.
func (f *Function) Snapshotted() bool {
	return f.Version != Latest && f.SnapStart.ApplyOn == SnapStartVersions
}

// Restores reports whether environments of f are made from its snapshot now. Where none could be made
// a version is Active without it.
func (f *Function) Restores() bool {
	return f.Snapshotted() && (f.SnapStart.Optimized || f.State != StateActive)
}

// AwaitsSnapshot reports whether f is Pending until somebody has made its snapshot.
func (f *Function) AwaitsSnapshot() bool {
	return f.Snapshotted() && !f.SnapStart.Optimized && f.State == StatePending
}

// Logging is LoggingConfig.
type Logging struct {
	Format           string // "Text" or "JSON"
	Group            string
	ApplicationLevel string
	SystemLevel      string
}
