// Package runtimes owns the root filesystems and interpreters that functions run
// on: which AWS runtime identifier comes from where on this machine, and how
// one is added. It must never import sandbox, worker or the runtime clients: it
// tells what to mount and which program interprets, and starts nothing of a function.
package runtimes

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
)

// Kinds of refusal; match with errors.Is. Their texts are for users.
var (
	// ErrNoRuntime means that nothing here can run the identifier; the text says what to do.
	ErrNoRuntime = errors.New("no runtime for this function")
	// ErrWrongArchitecture means that this machine's processor cannot run it; it comes with ErrNoRuntime.
	ErrWrongArchitecture = errors.New("another architecture than this machine's")
	// ErrUnknown means that AWS knows no such runtime identifier.
	ErrUnknown = errors.New("unknown runtime identifier")
	// ErrMismatch means that what was to be added is not what its name says.
	ErrMismatch = errors.New("the image does not hold this runtime")
)

// Origin says where a runtime comes from.
type Origin string

const (
	OriginInstalled Origin = "installed" // by Add
	OriginHost      Origin = "host"      // the machine's own, of exactly this version
	OriginNearest   Origin = "nearest"   // the machine's own, of another version of the language
)

// Mount is a directory or file of the host, to be seen read-only in the sandbox.
type Mount struct {
	Source string // absolute, without symbolic links
	Target string // absolute path in the sandbox
}

// Rootfs is a read-only root filesystem: a whole root directory, or mounts over an
// empty root. Mounts are in the order in which they must be made.
type Rootfs struct {
	Base   string
	Mounts []Mount
}

// Runtime is what functions of one identifier run on, here and now.
type Runtime struct {
	Identifier   string
	Architecture string // "x86_64" or "arm64"
	Language     Language
	Version      string // the actual one, e.g. "3.13.1"; "" for OS-only runtimes
	Origin       Origin
	Rootfs       Rootfs
	Interpreter  string   // path in the sandbox; "" for OS-only runtimes, whose bootstrap is in the code
	Env          []string // NAME=value that this root filesystem needs
	Note         string   // for the function's log, "" for nothing to say

	build string // tells apart two builds of the same version
}

// VersionID is 64 hex digits, equal exactly for equal builds of the runtime.
func (r Runtime) VersionID() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		r.Identifier, r.Architecture, r.Version, string(r.Origin), r.Interpreter, r.build,
	}, "\x00")))
	return hex.EncodeToString(sum[:])
}

// VersionARN has the form of AWS's runtime version ARNs, which name no account.
func (r Runtime) VersionARN(region aws.Region) string {
	return aws.ARN{Partition: region.Partition(), Service: "lambda", Region: region, Resource: "runtime:" + r.VersionID()}.String()
}

// VersionOf is the version id of such an ARN.
func VersionOf(arn string) string {
	return arn[strings.LastIndexByte(arn, ':')+1:]
}

// VersionName is what INIT_START prints, e.g. "python:3.13.v1". AWS counts its own
// releases after the v; here it is the release of the language's version.
func (r Runtime) VersionName() string {
	spec, ok := Lookup(r.Identifier)
	if !ok {
		return r.Identifier
	}
	release := "1"
	if r.Version != "" {
		numbers := strings.Split(r.Version, ".")
		depth := strings.Count(spec.Version, ".") + 1 // the parts that the identifier names
		if spec.Language == Java {
			depth++ // 17.0.9: the update is the third
		}
		if depth < len(numbers) {
			release = numbers[depth]
		}
	}
	return string(spec.Language) + ":" + spec.Version + ".v" + release
}
