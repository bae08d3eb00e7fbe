// Package artifact owns code at rest: deployment packages and layers,
// content-addressed and unpacked once (artifact), and the root filesystems of
// runtimes (artifact/runtimes). It must never import control or worker: it
// does not know which function uses what, so that one copy serves all.
package artifact

import "errors"

// Bounds of a deployment package. Source: Lambda quotas, "Deployment package
// (.zip file archive) size"; the messages of control/lambda print them.
const (
	ZipBytesMax      = 52428800  // zipped, direct upload
	UnzippedBytesMax = 262144000 // unzipped, with layers
	FilesMax         = 200_000   // ours: AWS names no figure; beyond it unpacking is unbounded work
)

// Bounds of one entry, ours. The kernel refuses longer names; deeper trees
// exist only to be expensive.
const (
	PathBytesMax       = 4095
	NameBytesMax       = 255
	DepthMax           = 128
	LinkTargetBytesMax = 4095
)

// Kinds of refusal; match with errors.Is.
var (
	ErrNotFound    = errors.New("artifact: not found")
	ErrNotZip      = errors.New("artifact: not a zip archive") // also: damaged, encrypted, a method other than store and deflate
	ErrZipTooLarge = errors.New("artifact: zipped size over the bound")
	ErrTooLarge    = errors.New("artifact: unzipped size over the bound")
	ErrTooMany     = errors.New("artifact: too many files")
	ErrUnsafe      = errors.New("artifact: unsafe entry") // .., absolute, link out of the tree, device
	ErrEmpty       = errors.New("artifact: empty archive")
	// ErrHeld means that something running uses the artifact: it cannot be removed.
	ErrHeld = errors.New("artifact: held")
	// ErrDamaged means that the bytes at rest are no longer those that were stored.
	ErrDamaged = errors.New("artifact: stored bytes are damaged")
)

// Zip is a stored deployment package.
type Zip struct {
	Digest        Digest
	Bytes         int64 // zipped
	UnzippedBytes int64
}
