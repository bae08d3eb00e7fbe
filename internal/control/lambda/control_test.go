package lambda

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/artifact/runtimes"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/record/keys"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
	"github.com/lambdad/lambdad/internal/wire"
)

const (
	testAccount  = "111111111111"
	testRegion   = "us-east-1"
	testRole     = "arn:aws:iam::111111111111:role/lambda-role"
	testEndpoint = "http://127.0.0.1:4566"
	soon         = 10 * time.Second
)

// runtimesFake resolves everything but what is missing.
type runtimesFake struct {
	mu      sync.Mutex
	missing map[string]error
	origin  runtimes.Origin
	version string
}

func (r *runtimesFake) Resolve(_ context.Context, identifier, architecture string) (runtimes.Runtime, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if architecture != "x86_64" {
		return runtimes.Runtime{}, fmt.Errorf("%w: this host is x86_64", runtimes.ErrWrongArchitecture)
	}
	if err := r.missing[identifier]; err != nil {
		return runtimes.Runtime{}, err
	}
	return runtimes.Runtime{Identifier: identifier, Architecture: architecture, Origin: r.origin, Version: r.version}, nil
}

// ResolveVersion knows what Resolve finds.
func (r *runtimesFake) ResolveVersion(ctx context.Context, identifier, architecture, versionID string) (runtimes.Runtime, error) {
	rt, err := r.Resolve(ctx, identifier, architecture)
	if err == nil && rt.VersionID() != versionID {
		err = fmt.Errorf("%w: held to %s", runtimes.ErrNoRuntime, versionID)
	}
	return rt, err
}

func (r *runtimesFake) set(identifier string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missing[identifier] = err
}

// house is a control plane with a real artifact store and a store in memory.
type house struct {
	*Control
	t         *testing.T
	store     store.Records
	view      *record.Functions
	runtimes  *runtimesFake
	artifacts *artifact.Store
	h         api.Handlers
}

// newHouse makes a control plane whose functions the test settles itself.
func newHouse(t *testing.T, change ...func(*Options)) *house {
	t.Helper()
	s := mem.New()
	t.Cleanup(func() { s.Close() })
	artifacts, err := artifact.Open(t.TempDir(), artifact.Options{SweepGrace: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { artifacts.Close() })
	return openHouse(t, s, artifacts, change...)
}

func openHouse(t *testing.T, s store.Records, artifacts *artifact.Store, change ...func(*Options)) *house {
	t.Helper()
	r := &runtimesFake{missing: map[string]error{}}
	policies := record.Policies.View(s, nil)
	ring, err := keys.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Store: s, Functions: record.NewFunctions(s, nil), Policies: policies, Keys: ring, Artifacts: artifacts, Runtimes: r, SettleAfter: time.Millisecond}
	for _, f := range change {
		f(&o)
	}
	c, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { o.Functions.Run(ctx) })
	wg.Go(func() { policies.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	select {
	case <-o.Functions.Ready():
	case <-time.After(soon):
		t.Fatal("the view did not become ready")
	}
	return &house{Control: c, t: t, store: s, view: o.Functions, runtimes: r, artifacts: artifacts, h: c.Handlers()}
}

// run starts the settler until the test ends.
func (h *house) run() {
	ctx, cancel := context.WithCancel(h.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := h.Run(ctx); !errors.Is(err, context.Canceled) {
			h.t.Errorf("Run: %v", err)
		}
	})
	h.t.Cleanup(func() { cancel(); wg.Wait() })
}

// settleAll ends what is in progress, as the settler would.
func (h *house) settleAll() {
	h.t.Helper()
	var names []record.Name
	if err := h.table.Unsettled(h.t.Context(), func(s record.Stored) {
		names = append(names, record.Name{ID: s.ID, Qualifier: s.Version})
	}); err != nil {
		h.t.Fatal(err)
	}
	for _, n := range names {
		if err := h.settle(h.t.Context(), n); err != nil {
			h.t.Fatal(err)
		}
	}
}

func call() *wire.Call {
	return &wire.Call{RequestID: aws.NewRequestID(), Service: "lambda", Account: testAccount, Region: testRegion, Endpoint: testEndpoint}
}

func zipOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func createRequest(t testing.TB, name string) *api.CreateFunctionRequest {
	return &api.CreateFunctionRequest{
		FunctionName: &name, Runtime: wire.Ptr("python3.12"), Handler: wire.Ptr("handler.handler"), Role: wire.Ptr(testRole),
		Code: &api.FunctionCode{ZipFile: zipOf(t, map[string]string{"handler.py": "def handler(e, c): return 1"})},
	}
}

func (h *house) create(name string) *api.FunctionConfiguration {
	h.t.Helper()
	out, err := h.h.CreateFunction(h.t.Context(), call(), createRequest(h.t, name))
	if err != nil {
		h.t.Fatal(err)
	}
	h.settleAll()
	return out
}

func (h *house) configuration(name string) *api.FunctionConfiguration {
	h.t.Helper()
	out, err := h.h.GetFunctionConfiguration(h.t.Context(), call(), &api.GetFunctionConfigurationRequest{FunctionName: &name})
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// wantFault checks the code and a part of the text of an error.
func wantFault(t *testing.T, err error, code, text string) {
	t.Helper()
	var f wire.Fault
	if !errors.As(err, &f) {
		t.Errorf("got %v, want %s", err, code)
		return
	}
	if f.FaultCode() != code || !strings.Contains(f.FaultMessage(), text) {
		t.Errorf("got %s %q, want %s %q", f.FaultCode(), f.FaultMessage(), code, text)
	}
}

func TestLifeOfAFunction(t *testing.T) {
	h := newHouse(t)
	out, err := h.h.CreateFunction(t.Context(), call(), createRequest(t, "f"))
	if err != nil {
		t.Fatal(err)
	}
	if *out.State != "Pending" || *out.StateReasonCode != "Creating" || out.LastUpdateStatus != nil {
		t.Errorf("created as %v", out)
	}
	_, err = h.h.CreateFunction(t.Context(), call(), createRequest(t, "f"))
	wantFault(t, err, "ResourceConflictException", "Function already exist: f")
	_, err = h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("f"), Timeout: wire.Ptr(int32(5))})
	wantFault(t, err, "ResourceConflictException", "currently in the following state: Pending")

	h.settleAll()
	active := h.configuration("f")
	if *active.State != "Active" || *active.LastUpdateStatus != "Successful" || active.StateReason != nil || *active.RevisionId == *out.RevisionId {
		t.Errorf("settled as %+v", active)
	}
	if !strings.HasPrefix(*active.RuntimeVersionConfig.RuntimeVersionArn, "arn:aws:lambda:us-east-1::runtime:") {
		t.Errorf("runtime version %s", *active.RuntimeVersionConfig.RuntimeVersionArn)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000+0000", *active.LastModified); err != nil {
		t.Error(err)
	}

	before, _, err := h.view.Refresh(t.Context(), record.FunctionID{Account: testAccount, Region: testRegion, Name: "f"}, record.Latest)
	if err != nil {
		t.Fatal(err)
	}
	out, err = h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("f"), Timeout: wire.Ptr(int32(5))})
	if err != nil {
		t.Fatal(err)
	}
	if *out.LastUpdateStatus != "InProgress" || *out.State != "Active" || *out.Timeout != 5 || *out.MemorySize != 128 {
		t.Errorf("updated as %+v", out)
	}
	after, _, _ := h.view.Refresh(t.Context(), before.ID, record.Latest)
	if after.Generation <= before.Generation {
		t.Error("an update did not change the generation")
	}
	h.settleAll()

	deleted, err := h.h.DeleteFunction(t.Context(), call(), &api.DeleteFunctionRequest{FunctionName: wire.Ptr("f")})
	if err != nil || *deleted.StatusCode != 204 {
		t.Fatalf("%v, %v", deleted, err)
	}
	_, err = h.h.GetFunction(t.Context(), call(), &api.GetFunctionRequest{FunctionName: wire.Ptr("f")})
	wantFault(t, err, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:111111111111:function:f")
	_, err = h.h.DeleteFunction(t.Context(), call(), &api.DeleteFunctionRequest{FunctionName: wire.Ptr("f")})
	wantFault(t, err, "ResourceNotFoundException", "Function not found")
}

func TestSettlerRunsAndSurvivesRestarts(t *testing.T) {
	s := mem.New()
	defer s.Close()
	artifacts, err := artifact.Open(t.TempDir(), artifact.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer artifacts.Close()

	first := openHouse(t, s, artifacts) // its settler never runs, as if it was killed
	if _, err := first.h.CreateFunction(t.Context(), call(), createRequest(t, "f")); err != nil {
		t.Fatal(err)
	}
	second := openHouse(t, s, artifacts)
	second.run()
	waitFor(t, func() bool { return *second.configuration("f").State == "Active" })
	if _, err := second.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("f"), Timeout: wire.Ptr(int32(5))}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return *second.configuration("f").LastUpdateStatus == "Successful" })
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(soon); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}

func TestFailsWithoutRuntime(t *testing.T) {
	h := newHouse(t)
	h.runtimes.set("java21", errors.New("no Java 21 on this host: run `lambdad runtime add java21`"))
	in := createRequest(t, "j")
	in.Runtime = wire.Ptr("java21")
	out, err := h.h.CreateFunction(t.Context(), call(), in)
	if err != nil {
		t.Fatal(err)
	}
	if out.RuntimeVersionConfig != nil {
		t.Errorf("a runtime that is not there has version %v", out.RuntimeVersionConfig)
	}
	h.settleAll()
	got := h.configuration("j")
	if *got.State != "Failed" || *got.StateReasonCode != "InvalidRuntime" || !strings.Contains(*got.StateReason, "lambdad runtime add java21") || *got.LastUpdateStatus != "Failed" {
		t.Errorf("got %+v", got)
	}
	_, err = h.h.PublishVersion(t.Context(), call(), &api.PublishVersionRequest{FunctionName: wire.Ptr("j")})
	wantFault(t, err, "ResourceConflictException", "Failed")

	in = createRequest(t, "arm")
	in.Architectures = []string{"arm64"}
	if _, err := h.h.CreateFunction(t.Context(), call(), in); err != nil {
		t.Fatal(err)
	}
	h.settleAll()
	if got := h.configuration("arm"); *got.State != "Failed" || *got.StateReasonCode != "InvalidConfiguration" || got.Architectures[0] != "arm64" {
		t.Errorf("got %+v", got)
	}

	// An update to what cannot run leaves an active function active.
	h.create("f")
	if _, err := h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("f"), Runtime: wire.Ptr("java21")}); err != nil {
		t.Fatal(err)
	}
	h.settleAll()
	if got := h.configuration("f"); *got.State != "Active" || *got.LastUpdateStatus != "Failed" || *got.LastUpdateStatusReasonCode != "InvalidRuntime" {
		t.Errorf("got %+v", got)
	}

	// The runtime is added, and a new process tries again.
	again := openHouse(t, h.store, h.artifacts)
	again.run()
	waitFor(t, func() bool { return *again.configuration("j").State == "Active" })
}

func TestVersions(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	name := wire.Ptr("f")
	v1, err := h.h.PublishVersion(t.Context(), call(), &api.PublishVersionRequest{FunctionName: name, Description: wire.Ptr("first")})
	if err != nil {
		t.Fatal(err)
	}
	if *v1.Version != "1" || *v1.Description != "first" || *v1.State != "Active" || !strings.HasSuffix(*v1.FunctionArn, ":f:1") {
		t.Errorf("version 1 is %+v", v1)
	}
	again, err := h.h.PublishVersion(t.Context(), call(), &api.PublishVersionRequest{FunctionName: name, Description: wire.Ptr("other")})
	if err != nil || *again.Version != "1" || *again.Description != "first" || *again.RevisionId != *v1.RevisionId {
		t.Errorf("publishing without a change: %+v, %v", again, err)
	}

	// An update that changes nothing makes no version either; one of the description does.
	for _, description := range []string{"", "changed"} {
		if _, err := h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: name, Description: &description}); err != nil {
			t.Fatal(err)
		}
		h.settleAll()
		v, err := h.h.PublishVersion(t.Context(), call(), &api.PublishVersionRequest{FunctionName: name})
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]string{"": "1", "changed": "2"}[description]; *v.Version != want {
			t.Errorf("after description %q: version %s, want %s", description, *v.Version, want)
		}
	}

	// A published version does not change with $LATEST.
	code := zipOf(t, map[string]string{"handler.py": "def handler(e, c): return 2"})
	out, err := h.h.UpdateFunctionCode(t.Context(), call(), &api.UpdateFunctionCodeRequest{FunctionName: name, ZipFile: code, Publish: wire.Ptr(true)})
	if err != nil {
		t.Fatal(err)
	}
	if *out.Version != "3" || *out.State != "Pending" || out.LastUpdateStatus != nil {
		t.Errorf("published by the update: %+v", out)
	}
	h.settleAll()
	old, err := h.h.GetFunctionConfiguration(t.Context(), call(), &api.GetFunctionConfigurationRequest{FunctionName: name, Qualifier: wire.Ptr("1")})
	if err != nil || *old.CodeSha256 != *v1.CodeSha256 || *old.CodeSha256 == *out.CodeSha256 {
		t.Errorf("version 1 became %+v, %v", old, err)
	}

	if _, err := h.h.DeleteFunction(t.Context(), call(), &api.DeleteFunctionRequest{FunctionName: name, Qualifier: wire.Ptr("2")}); err != nil {
		t.Fatal(err)
	}
	list, err := h.h.ListVersionsByFunction(t.Context(), call(), &api.ListVersionsByFunctionRequest{FunctionName: name})
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, v := range list.Versions {
		seen = append(seen, *v.Version)
	}
	if got := strings.Join(seen, " "); got != "$LATEST 1 3" {
		t.Errorf("versions are %s", got)
	}

	// Numbers are never used twice, even by a new function of the name.
	if _, err := h.h.DeleteFunction(t.Context(), call(), &api.DeleteFunctionRequest{FunctionName: name}); err != nil {
		t.Fatal(err)
	}
	h.create("f")
	v, err := h.h.PublishVersion(t.Context(), call(), &api.PublishVersionRequest{FunctionName: name})
	if err != nil || *v.Version != "4" {
		t.Errorf("first version of the new function: %v, %v", v, err)
	}
}

func TestRevisionsAndDryRun(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	name := wire.Ptr("f")
	before := h.configuration("f")
	stale := wire.Ptr("00000000-0000-4000-8000-000000000000")
	_, err := h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: name, RevisionId: stale})
	wantFault(t, err, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API")
	_, err = h.h.UpdateFunctionCode(t.Context(), call(), &api.UpdateFunctionCodeRequest{FunctionName: name, RevisionId: stale, ZipFile: []byte("x")})
	wantFault(t, err, "PreconditionFailedException", "Revision Id")
	_, err = h.h.PublishVersion(t.Context(), call(), &api.PublishVersionRequest{FunctionName: name, RevisionId: stale})
	wantFault(t, err, "PreconditionFailedException", "Revision Id")

	code := zipOf(t, map[string]string{"other.py": "x = 1"})
	dry, err := h.h.UpdateFunctionCode(t.Context(), call(), &api.UpdateFunctionCodeRequest{FunctionName: name, ZipFile: code, DryRun: wire.Ptr(true), RevisionId: before.RevisionId})
	if err != nil || *dry.CodeSha256 == *before.CodeSha256 {
		t.Errorf("dry run: %+v, %v", dry, err)
	}
	if after := h.configuration("f"); *after.RevisionId != *before.RevisionId || *after.CodeSha256 != *before.CodeSha256 {
		t.Errorf("a dry run changed the function: %+v", after)
	}
	v, err := h.h.PublishVersion(t.Context(), call(), &api.PublishVersionRequest{FunctionName: name, RevisionId: before.RevisionId, CodeSha256: before.CodeSha256})
	if err != nil {
		t.Fatal(err)
	}
	if latest := h.configuration("f"); *latest.RevisionId == *before.RevisionId || *latest.RevisionId == *v.RevisionId {
		t.Error("publishing did not give $LATEST a revision of its own")
	}
}

// Many writers of one function: each of their updates is either done or refused,
// and none is lost.
func TestConcurrentChanges(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	const writers = 8
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			err := h.h.TagResource(t.Context(), call(), &api.TagResourceRequest{
				Resource: wire.Ptr("arn:aws:lambda:us-east-1:111111111111:function:f"),
				Tags:     map[string]string{fmt.Sprint(i): "x"},
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	var published sync.Map
	for range writers {
		wg.Go(func() {
			v, err := h.h.PublishVersion(t.Context(), call(), &api.PublishVersionRequest{FunctionName: wire.Ptr("f")})
			if err != nil {
				t.Error(err)
				return
			}
			published.Store(*v.Version, true)
		})
	}
	wg.Wait()
	tags, err := h.h.ListTags(t.Context(), call(), &api.ListTagsRequest{Resource: wire.Ptr("arn:aws:lambda:us-east-1:111111111111:function:f")})
	if err != nil || len(tags.Tags) != writers {
		t.Errorf("%d tags of %d: %v", len(tags.Tags), writers, err)
	}
	published.Range(func(v, _ any) bool {
		if v != "1" {
			t.Errorf("version %v was made without a change", v)
		}
		return true
	})

	var done int
	var mu sync.Mutex
	for range writers {
		wg.Go(func() {
			_, err := h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("f"), Timeout: wire.Ptr(int32(7))})
			if err == nil {
				mu.Lock()
				done++
				mu.Unlock()
				return
			}
			wantFault(t, err, "ResourceConflictException", "An update is in progress for resource: arn:aws:lambda:us-east-1:111111111111:function:f")
		})
	}
	wg.Wait()
	if done != 1 {
		t.Errorf("%d concurrent updates were taken", done)
	}
}
