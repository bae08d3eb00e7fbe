package lambda

import (
	"fmt"
	"maps"
	"slices"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
)

// Bounds that the model leaves wider than the service, or does not carry.
// Source: Lambda quotas.
const (
	timeoutSMax  = 900
	memoryMiBMax = 10240
)

// What a function has that was not told otherwise. Source: Lambda API, CreateFunction.
const (
	timeoutSDefault     = 3
	memoryMiBDefault    = 128
	tmpMiBDefault       = 512
	architectureDefault = "x86_64"
	logFormatText       = "Text"
	logFormatJSON       = "JSON"
	logLevelDefault     = "INFO" // of both levels, only with JSON (recorded: test_function_partial_advanced_logging_configuration_update)
	logGroupPrefix      = "/aws/lambda/"
)

// settings are the members that CreateFunction and UpdateFunctionConfiguration share.
// A nil member leaves what is there.
type settings struct {
	Runtime          *string
	Role             *string
	Handler          *string
	Description      *string
	Timeout          *int32
	MemorySize       *int32
	Environment      *api.Environment
	KMSKeyArn        *string // sealed with by Control.sealEnvironment
	TracingConfig    *api.TracingConfig
	EphemeralStorage *api.EphemeralStorage
	LoggingConfig    *api.LoggingConfig
	SnapStart        *api.SnapStart
	DeadLetterConfig *api.DeadLetterConfig
	TenancyConfig    *api.TenancyConfig // only of CreateFunction
	ImageConfig      *api.ImageConfig
	Layers           []string // nil leaves what is there; read by Control.layersOf

	unenforced
}

func settingsOfCreate(in *api.CreateFunctionRequest) settings {
	return settings{
		Runtime: in.Runtime, Role: in.Role, Handler: in.Handler, Description: in.Description,
		Timeout: in.Timeout, MemorySize: in.MemorySize, Environment: in.Environment, TracingConfig: in.TracingConfig,
		EphemeralStorage: in.EphemeralStorage, LoggingConfig: in.LoggingConfig, SnapStart: in.SnapStart,
		DeadLetterConfig: in.DeadLetterConfig, TenancyConfig: in.TenancyConfig, Layers: in.Layers, ImageConfig: in.ImageConfig, KMSKeyArn: in.KMSKeyArn,
		unenforced: unenforced{
			VpcConfig:              in.VpcConfig,
			FileSystemConfigs:      in.FileSystemConfigs,
			CapacityProviderConfig: in.CapacityProviderConfig, DurableConfig: in.DurableConfig,
			PublishTo: in.PublishTo,
		},
	}
}

func settingsOfUpdate(in *api.UpdateFunctionConfigurationRequest) settings {
	return settings{
		Runtime: in.Runtime, Role: in.Role, Handler: in.Handler, Description: in.Description,
		Timeout: in.Timeout, MemorySize: in.MemorySize, Environment: in.Environment, TracingConfig: in.TracingConfig,
		EphemeralStorage: in.EphemeralStorage, LoggingConfig: in.LoggingConfig, SnapStart: in.SnapStart,
		DeadLetterConfig: in.DeadLetterConfig, Layers: in.Layers, ImageConfig: in.ImageConfig, KMSKeyArn: in.KMSKeyArn,
		unenforced: unenforced{
			VpcConfig:              in.VpcConfig,
			FileSystemConfigs:      in.FileSystemConfigs,
			CapacityProviderConfig: in.CapacityProviderConfig, DurableConfig: in.DurableConfig,
		},
	}
}

// check refuses what no function may have. It looks at nothing but the request.
func (s *settings) check() error {
	if s.Runtime != nil {
		if err := checkRuntime(*s.Runtime); err != nil {
			return err
		}
	}
	if s.Timeout != nil && *s.Timeout > timeoutSMax {
		return constraint(*s.Timeout, "timeout", fmt.Sprintf("Member must have value less than or equal to %d", timeoutSMax))
	}
	if s.MemorySize != nil && *s.MemorySize > memoryMiBMax {
		// The model's bound is that of other compute; on-demand functions have this text.
		return invalid("'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to %d", memoryMiBMax)
	}
	if s.Environment != nil {
		if err := checkEnvironment(s.Environment.Variables); err != nil {
			return err
		}
	}
	return s.unenforced.check()
}

// apply changes f as the request says, after check.
func (s *settings) apply(f *record.Function) error {
	setString(&f.Runtime, s.Runtime)
	setString(&f.Role, s.Role)
	setString(&f.Handler, s.Handler)
	setString(&f.Description, s.Description)
	setInt(&f.TimeoutS, s.Timeout)
	setInt(&f.MemoryMiB, s.MemorySize)
	if s.EphemeralStorage != nil {
		setInt(&f.TmpMiB, s.EphemeralStorage.Size)
	}
	if s.TracingConfig != nil {
		setString(&f.TracingMode, s.TracingConfig.Mode)
	}
	if s.Environment != nil {
		f.Sealed, f.Environment = nil, maps.Clone(s.Environment.Variables)
		if f.Environment == nil {
			f.Environment = map[string]string{} // given, and empty: shown so from now on
		}
	}
	if s.DeadLetterConfig != nil {
		f.DeadLetterARN = value(s.DeadLetterConfig.TargetArn) // empty takes it away
	}
	if s.TenancyConfig != nil {
		f.Tenancy = value(s.TenancyConfig.TenantIsolationMode)
	}
	if s.SnapStart != nil && s.SnapStart.ApplyOn != nil {
		f.SnapStart.ApplyOn = ""
		if *s.SnapStart.ApplyOn != snapStartNone {
			f.SnapStart.ApplyOn = record.SnapStartVersions
		}
	}
	if err := s.applyImage(f); err != nil {
		return err
	}
	if err := checkSnapStart(f); err != nil {
		return err
	}
	return applyLogging(&f.Logging, s.LoggingConfig)
}

// applyLogging merges what is given into what is there. Levels exist only with JSON,
// and a change to Text drops them (recorded: TestLoggingConfig).
func applyLogging(l *record.Logging, in *api.LoggingConfig) error {
	if in == nil {
		return nil
	}
	setString(&l.Format, in.LogFormat)
	setString(&l.Group, in.LogGroup)
	if l.Format != logFormatJSON {
		if in.ApplicationLogLevel != nil || in.SystemLogLevel != nil {
			return invalid("ApplicationLogLevel and SystemLogLevel can only be set when LogFormat is JSON.")
		}
		l.ApplicationLevel, l.SystemLevel = "", ""
		return nil
	}
	setString(&l.ApplicationLevel, in.ApplicationLogLevel)
	setString(&l.SystemLevel, in.SystemLogLevel)
	if l.ApplicationLevel == "" {
		l.ApplicationLevel = logLevelDefault
	}
	if l.SystemLevel == "" {
		l.SystemLevel = logLevelDefault
	}
	return nil
}

// withDefaults is a function before a CreateFunction request is applied to it.
func withDefaults(id record.FunctionID) *record.Function {
	return &record.Function{
		ID:           id,
		Version:      record.Latest,
		TimeoutS:     timeoutSDefault,
		MemoryMiB:    memoryMiBDefault,
		TmpMiB:       tmpMiBDefault,
		Architecture: architectureDefault,
		Logging:      record.Logging{Format: logFormatText, Group: logGroupPrefix + id.Name},
		TracingMode:  tracingDefault,
	}
}

// sameSettings compares what a published version freezes of a function.
func sameSettings(a, b *record.Function) bool {
	return a.Runtime == b.Runtime && a.Handler == b.Handler && a.Role == b.Role &&
		a.TimeoutS == b.TimeoutS && a.MemoryMiB == b.MemoryMiB && a.TmpMiB == b.TmpMiB &&
		a.Architecture == b.Architecture && a.Artifact == b.Artifact &&
		sameEnvironment(a, b) &&
		a.Logging == b.Logging && a.TracingMode == b.TracingMode && a.SnapStart.ApplyOn == b.SnapStart.ApplyOn && a.DeadLetterARN == b.DeadLetterARN && slices.Equal(a.Layers, b.Layers) && a.Image.Same(b.Image)
}

func setString(to *string, from *string) {
	if from != nil {
		*to = *from
	}
}

func setInt(to *int, from *int32) {
	if from != nil {
		*to = int(*from)
	}
}

// setArchitecture takes the one architecture that the model lets a request name.
func setArchitecture(f *record.Function, architectures []string) {
	if len(architectures) > 0 {
		f.Architecture = architectures[0]
	}
}
