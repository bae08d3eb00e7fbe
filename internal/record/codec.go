package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// functionForm is the version of the stored form. A reader takes every form up
// to its own and tolerates fields it does not know; a form it cannot understand
// gets a higher number, and old readers refuse it instead of misreading it.
const functionForm = 1

// ErrForm is returned (wrapped) for a record that this program cannot read.
var ErrForm = errors.New("record: unreadable form")

// storedFunction is Function at rest. Field names are short because a function
// with many versions has many of them.
type storedFunction struct {
	Form    int           `json:"f"`
	Account aws.AccountID `json:"acc"`
	Region  aws.Region    `json:"reg"`
	Name    string        `json:"n"`
	Version string        `json:"ver"`

	Description  string `json:"desc,omitempty"`
	Runtime      string `json:"rt,omitempty"`
	RuntimeARN   string `json:"rtarn,omitempty"`
	RuntimeOn    string `json:"rton,omitempty"`
	Handler      string `json:"h,omitempty"`
	Role         string `json:"role,omitempty"`
	TimeoutS     int    `json:"to"`
	MemoryMiB    int    `json:"mem"`
	TmpMiB       int    `json:"tmp"`
	Architecture string `json:"arch"`

	Artifact      string `json:"art,omitempty"`
	CodeSHA256    string `json:"sha,omitempty"`
	CodeBytes     int64  `json:"size,omitempty"`
	UnzippedBytes int64  `json:"usize,omitempty"`
	SigningProf   string `json:"sig,omitempty"`

	// A pointer, so that an empty map and no map stay different.
	Environment *map[string]string `json:"env,omitempty"` // not since Sealed
	Sealed      []byte             `json:"senv,omitempty"`
	KMSKeyARN   string             `json:"kms,omitempty"`

	Layers []Layer `json:"lay,omitempty"`
	Image  *Image  `json:"img,omitempty"`

	SnapStart     string `json:"ss,omitempty"`
	SnapStartDone bool   `json:"ssd,omitempty"`
	DeadLetterARN string `json:"dlq,omitempty"`
	Tenancy       string `json:"ten,omitempty"`

	Logging     storedLogging     `json:"log"`
	TracingMode string            `json:"trc,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`

	State            State        `json:"st"`
	StateReason      string       `json:"str,omitempty"`
	StateReasonCode  string       `json:"stc,omitempty"`
	Update           UpdateStatus `json:"up,omitempty"`
	UpdateReason     string       `json:"upr,omitempty"`
	UpdateReasonCode string       `json:"upc,omitempty"`

	Generation    uint64    `json:"gen"`
	RevisionID    string    `json:"rev"`
	LastModified  time.Time `json:"mod"`
	LastVersion   uint64    `json:"lastv,omitempty"`
	PublishedDesc string    `json:"pubdesc,omitempty"`
}

type storedLogging struct {
	Format           string `json:"f,omitempty"`
	Group            string `json:"g,omitempty"`
	ApplicationLevel string `json:"a,omitempty"`
	SystemLevel      string `json:"s,omitempty"`
}

// EncodeFunction gives the form that DecodeFunction reads.
func EncodeFunction(f *Function) ([]byte, error) {
	s := storedFunction{
		Form: functionForm, Account: f.ID.Account, Region: f.ID.Region, Name: f.ID.Name, Version: f.Version,
		Description: f.Description, Runtime: f.Runtime, RuntimeARN: f.RuntimeVersionARN, RuntimeOn: f.RuntimeUpdate, Handler: f.Handler, Role: f.Role,
		TimeoutS: f.TimeoutS, MemoryMiB: f.MemoryMiB, TmpMiB: f.TmpMiB, Architecture: f.Architecture,
		Artifact: f.Artifact, CodeSHA256: f.CodeSHA256, CodeBytes: f.CodeBytes, UnzippedBytes: f.UnzippedBytes, SigningProf: f.SigningProfile,
		Layers: f.Layers, Image: f.Image, SnapStart: f.SnapStart.ApplyOn, SnapStartDone: f.SnapStart.Optimized, DeadLetterARN: f.DeadLetterARN, Tenancy: f.Tenancy,
		Logging: storedLogging(f.Logging), TracingMode: f.TracingMode, Tags: f.Tags,
		State: f.State, StateReason: f.StateReason, StateReasonCode: f.StateReasonCode,
		Update: f.Update, UpdateReason: f.UpdateReason, UpdateReasonCode: f.UpdateReasonCode,
		Generation: f.Generation, RevisionID: f.RevisionID, LastModified: f.LastModified.UTC(),
		LastVersion: f.LastVersion, PublishedDesc: f.PublishedDescription,
		Sealed: f.Sealed, KMSKeyARN: f.KMSKeyARN,
	}
	if f.Environment != nil && f.Sealed == nil {
		s.Environment = &f.Environment
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", f.ID.QualifiedARN(f.Version), err)
	}
	return b, nil
}

// DecodeFunction reads what EncodeFunction wrote, of this or an older program.
func DecodeFunction(b []byte) (*Function, error) {
	var s storedFunction
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	if s.Form < 1 || s.Form > functionForm {
		return nil, fmt.Errorf("%w: form %d, this program reads up to %d", ErrForm, s.Form, functionForm)
	}
	f := &Function{
		ID: FunctionID{s.Account, s.Region, s.Name}, Version: s.Version,
		Description: s.Description, Runtime: s.Runtime, RuntimeVersionARN: s.RuntimeARN, RuntimeUpdate: s.RuntimeOn, Handler: s.Handler, Role: s.Role,
		TimeoutS: s.TimeoutS, MemoryMiB: s.MemoryMiB, TmpMiB: s.TmpMiB, Architecture: s.Architecture,
		Artifact: s.Artifact, CodeSHA256: s.CodeSHA256, CodeBytes: s.CodeBytes, UnzippedBytes: s.UnzippedBytes, SigningProfile: s.SigningProf,
		Layers: s.Layers, Image: s.Image, SnapStart: SnapStart{ApplyOn: s.SnapStart, Optimized: s.SnapStartDone}, DeadLetterARN: s.DeadLetterARN, Tenancy: s.Tenancy,
		Logging: Logging(s.Logging), TracingMode: s.TracingMode, Tags: s.Tags,
		State: s.State, StateReason: s.StateReason, StateReasonCode: s.StateReasonCode,
		Update: s.Update, UpdateReason: s.UpdateReason, UpdateReasonCode: s.UpdateReasonCode,
		Generation: s.Generation, RevisionID: s.RevisionID, LastModified: s.LastModified,
		LastVersion: s.LastVersion, PublishedDescription: s.PublishedDesc,
		Sealed: s.Sealed, KMSKeyARN: s.KMSKeyARN,
	}
	if s.Environment != nil {
		f.Environment = *s.Environment
		if f.Environment == nil {
			f.Environment = map[string]string{}
		}
	}
	return f, nil
}
