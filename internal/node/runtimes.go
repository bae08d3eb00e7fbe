package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lambdad/lambdad/internal/artifact/runtimes"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/runtimeapi/client"
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/worker"
)

// runtimeSource joins what artifact knows of interpreters with the runtime clients: the
// worker's door to both.
type runtimeSource struct {
	catalog *runtimes.Catalog
	clients client.Set
	region  aws.Region
	log     *slog.Logger
}

// Runtime implements worker.Runtimes.
func (s runtimeSource) Runtime(ctx context.Context, want worker.RuntimeWant) (worker.Runtime, error) {
	found, err := s.resolve(ctx, want)
	if err != nil {
		return worker.Runtime{}, err
	}
	rt := worker.Runtime{
		Key:        rootfsKey(found.Rootfs),
		Rootfs:     sandbox.Rootfs{Base: found.Rootfs.Base, Mounts: mountsOf(found.Rootfs.Mounts)},
		Env:        slices.Clone(found.Env),
		Version:    found.VersionName(),
		VersionARN: found.VersionARN(s.region),
		Notice:     found.Note,
	}
	if found.Language == runtimes.Python && found.Origin != runtimes.OriginInstalled {
		// Compiled once for each interpreter, the client costs every cold start less. A
		// failure costs only that time.
		if err := s.clients.Precompile(ctx, found.Interpreter); err != nil {
			s.log.Debug("the Python client is not compiled ahead", "interpreter", found.Interpreter, "error", err)
		}
	}
	var classData client.ClassData
	if found.Language == runtimes.Java && found.Origin != runtimes.OriginInstalled && !client.HasClassData(want.JavaOptions) {
		// With an archive of the client's classes a JVM begins earlier. A failure costs only that time.
		var err error
		if classData, err = s.clients.ArchiveClasses(ctx, want.Identifier, found.Version, found.Interpreter); err != nil {
			s.log.Debug("the Java client's classes are not archived", "interpreter", found.Interpreter, "error", err)
		}
	}
	program, err := s.clients.For(client.Request{
		Runtime: want.Identifier, Interpreter: found.Interpreter, MemoryMiB: want.MemoryMiB, ExecWrapper: want.ExecWrapper, ClassData: classData,
	})
	switch {
	case errors.Is(err, client.ErrNoClient) && found.Interpreter == "":
		// provided.*: the code brings its own bootstrap, and the worker looks for it.
	case errors.Is(err, client.ErrNoClient):
		if rt.Argv, err = imagesOwnClient(found.Rootfs.Base); err != nil {
			return worker.Runtime{}, fmt.Errorf("runtime %s: %w", want.Identifier, err)
		}
	case err != nil:
		return worker.Runtime{}, fmt.Errorf("runtime %s: %w", want.Identifier, err)
	default:
		rt.Argv, rt.Waits, rt.Copies, rt.Threads = program.Argv, program.Waits, program.Copies, program.Threads
		rt.Env = append(rt.Env, program.Env...)
		rt.Mounts = []sandbox.Mount{{Source: program.Dir, Target: client.RuntimeDir}}
	}
	return rt, nil
}

func (s runtimeSource) resolve(ctx context.Context, want worker.RuntimeWant) (runtimes.Runtime, error) {
	if want.VersionARN != "" {
		return s.catalog.ResolveVersion(ctx, want.Identifier, want.Architecture, runtimes.VersionOf(want.VersionARN))
	}
	return s.catalog.Resolve(ctx, want.Identifier, want.Architecture)
}

// imagesOwnClient is the runtime client that AWS's base images bring, for the languages
// that have none here.
func imagesOwnClient(base string) (argv []string, err error) {
	const bootstrap = client.RuntimeDir + "/bootstrap"
	info, err := os.Stat(filepath.Join(base, bootstrap))
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return nil, fmt.Errorf("the image it was added from has no runtime client at %s; add one that has: %w", bootstrap, client.ErrNoClient)
	}
	return []string{bootstrap}, nil
}

// rootfsKey is equal for root filesystems that look the same inside: sandboxes parked for
// one runtime then serve every other that needs no more, e.g. all that live in /usr.
func rootfsKey(r runtimes.Rootfs) string {
	var key strings.Builder
	key.WriteString(r.Base)
	for _, m := range r.Mounts {
		key.WriteString("\x00" + m.Source + "\x00" + m.Target)
	}
	return key.String()
}

func mountsOf(from []runtimes.Mount) []sandbox.Mount {
	mounts := make([]sandbox.Mount, len(from))
	for i, m := range from {
		mounts[i] = sandbox.Mount{Source: m.Source, Target: m.Target}
	}
	return mounts
}
