package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// classDataTimeMax is far above what a JVM takes to rehearse and to write its archive.
	classDataTimeMax = 60 * time.Second
	// classDataVersionMin, a major version, is the first Java whose archives are made here: before 13 there were none at
	// exit, and 11 is the only other on Lambda.
	classDataVersionMin = 17
	// rehearsal is a handler that every JDK has, and rehearsalEvent what it takes.
	rehearsal      = "java.lang.Integer::bitCount"
	rehearsalEvent = "7"
)

// classDataScript shows the client where sandboxes see it: a JVM takes an archive only for a class path of the
// same names. It has a mount namespace of its own, and . is the client's folder, which may lie below /var.
const classDataScript = `set -e
mount --make-rprivate /
mount -t tmpfs none /var
mkdir /var/runtime
mount -c --bind . /var/runtime
cd /
exec "$@"`

// errNoClassData says that this Java, or who runs lambdad, can make no archive.
var errNoClassData = errors.New("client: no class-data archive")

// ClassData is an archive of the Java client's classes, of one Java; the zero value is none.
type ClassData struct {
	name  string // in the client's folder
	major int    // of the Java, whatever runtime it is for
}

// flags have the JVM begin with the archive, and say nothing where it does not suit.
func (c ClassData) flags(mountedAt string) []string {
	if c.name == "" {
		return nil
	}
	flags := []string{"-XX:SharedArchiveFile=" + mountedAt + "/" + c.name, "-Xlog:cds=off"}
	if c.major >= 24 { // its messages have this tag as well, which others refuse
		flags = append(flags, "-Xlog:aot=off")
	}
	return flags
}

// HasClassData says that a function's own Java options name an archive or a cache of theirs: a JVM takes only one kind,
// and refuses to start with both.
func HasClassData(options string) bool {
	for _, word := range []string{"-XX:SharedArchiveFile", "-XX:AOT", "-XX:ArchiveClassesAtExit", "-XX:+AutoCreateSharedArchive", "-Xshare"} {
		if strings.Contains(options, word) {
			return true
		}
	}
	return false
}

// ArchiveClasses has a Java of this host load the client, serve one event with it, and write what it has loaded
// to an archive of class data (CDS), once for each Java; version is the interpreter's own. As Precompile, it must not be called for an interpreter from outside. It needs root.
func (s Set) ArchiveClasses(ctx context.Context, runtime, version, interpreter string) (ClassData, error) {
	language, _ := splitRuntime(runtime)
	first, _, _ := strings.Cut(version, ".")
	major, err := strconv.Atoi(first)
	if language != "java" || err != nil || major < classDataVersionMin || os.Geteuid() != 0 {
		return ClassData{}, errNoClassData
	}
	info, err := os.Stat(interpreter)
	if err != nil {
		return ClassData{}, fmt.Errorf("client: class data: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d %d", runtime, interpreter, info.Size(), info.ModTime().UnixNano()))
	name := "classes-" + hex.EncodeToString(sum[:8]) + ".jsa"
	dir := filepath.Join(s.Dir, "java")
	failed := filepath.Join(dir, name+".failed")
	if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
		return ClassData{name, major}, nil
	}
	if _, err := os.Stat(failed); err == nil {
		return ClassData{}, errNoClassData
	}
	half := fmt.Sprintf(".%d-%d-%s", os.Getpid(), time.Now().UnixNano(), name)
	defer os.Remove(filepath.Join(dir, half))
	if err := s.rehearse(ctx, runtime, interpreter, half); err != nil {
		if ctx.Err() == nil { // not again at every cold start
			err = errors.Join(err, os.WriteFile(failed, nil, 0o444))
		}
		return ClassData{}, fmt.Errorf("client: class data with %s: %w", interpreter, err)
	}
	if err := os.Chmod(filepath.Join(dir, half), 0o444); err != nil {
		return ClassData{}, fmt.Errorf("client: class data: %w", err)
	}
	if err := os.Rename(filepath.Join(dir, half), filepath.Join(dir, name)); err != nil {
		return ClassData{}, fmt.Errorf("client: class data: %w", err)
	}
	return ClassData{name, major}, nil
}

// rehearse runs the client with one event; the JVM writes its archive when it is told to end.
func (s Set) rehearse(ctx context.Context, runtime, interpreter, archive string) error {
	ctx, cancel := context.WithTimeout(ctx, classDataTimeMax)
	defer cancel()
	served := make(chan struct{})
	address, stop, err := rehearsalAPI(served)
	if err != nil {
		return err
	}
	defer stop()
	program, err := s.For(Request{Runtime: runtime, Interpreter: interpreter, MemoryMiB: 512})
	if err != nil {
		return err
	}
	argv := append([]string{program.Argv[0], "-XX:ArchiveClassesAtExit=" + RuntimeDir + "/" + archive}, program.Argv[1:]...)
	for i := range argv { // what is not there yet cannot be in it: a JVM refuses folders, and what comes after is free
		if argv[i] == "-cp" {
			argv[i+1], _, _ = strings.Cut(argv[i+1], ":")
		}
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", classDataScript, "sh"}, argv...)...)
	cmd.Dir = program.Dir
	cmd.Env = append(program.Env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "AWS_LAMBDA_RUNTIME_API="+address, "_HANDLER="+rehearsal,
		"AWS_LAMBDA_FUNCTION_NAME=rehearsal", "AWS_LAMBDA_FUNCTION_VERSION=1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512",
		"AWS_LAMBDA_LOG_GROUP_NAME=rehearsal", "AWS_LAMBDA_LOG_STREAM_NAME=rehearsal")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	go func() {
		select {
		case <-served:
			_ = cmd.Process.Signal(syscall.SIGTERM)
		case <-ctx.Done():
		}
	}()
	out, err := cmd.CombinedOutput()
	select {
	case <-served: // it ends by the signal
	default:
		return fmt.Errorf("it did not serve: %w: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(program.Dir, archive)); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// rehearsalAPI is a Runtime API that has one event; served is closed when its answer has come and the next is asked for.
func rehearsalAPI(served chan<- struct{}) (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	answered := false // one connection, one request at a time
	server := &http.Server{ReadHeaderTimeout: classDataTimeMax, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			_, _ = io.Copy(io.Discard, r.Body)
			answered = strings.HasSuffix(r.URL.Path, "/response")
			w.WriteHeader(http.StatusAccepted)
		case answered:
			answered = false
			close(served)
			<-r.Context().Done()
		default:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "rehearsal")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(classDataTimeMax).UnixMilli(), 10))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:rehearsal")
			_, _ = io.WriteString(w, rehearsalEvent)
		}
	})}
	go func() { _ = server.Serve(l) }()
	return l.Addr().String(), func() { _ = server.Close() }, nil
}
