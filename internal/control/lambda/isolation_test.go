package lambda

import (
	"context"
	"strings"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// isolationFake is a policy on a host that has all but micro virtual machines.
type isolationFake struct{ record.IsolationPolicy }

func (f isolationFake) Allow(_ context.Context, account aws.AccountID, tags map[string]string) error {
	_, err := f.Choose(account, tags)
	return err
}

func TestIsolationTag(t *testing.T) {
	policy, err := record.NewIsolationPolicy("gvisor", []string{testAccount + "=gvisor"})
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, func(o *Options) { o.Isolation = isolationFake{policy} })
	refused := func(err error, says string) {
		t.Helper()
		wantFault(t, err, "InvalidParameterValueException", says)
	}
	create := createRequest(t, "f")
	create.Tags = map[string]string{record.IsolationTag: "container"}
	_, err = h.h.CreateFunction(t.Context(), call(), create)
	refused(err, "weaker than gvisor")
	create.Tags[record.IsolationTag] = "chroot"
	_, err = h.h.CreateFunction(t.Context(), call(), create)
	refused(err, "container, gvisor, microvm")
	create.Tags[record.IsolationTag] = "microvm"
	if _, err := h.h.CreateFunction(t.Context(), call(), create); err != nil {
		t.Fatal(err)
	}
	arn := wire.Ptr("arn:aws:lambda:us-east-1:111111111111:function:f")
	err = h.h.TagResource(t.Context(), call(), &api.TagResourceRequest{Resource: arn, Tags: create.Tags})
	if err != nil {
		t.Error(err)
	}
	err = h.h.TagResource(t.Context(), call(), &api.TagResourceRequest{Resource: arn, Tags: map[string]string{record.IsolationTag: "container"}})
	refused(err, "weaker than gvisor")
}

func TestMemoryBeyondTheHost(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Limits.MemoryMiB = 512 })
	create := createRequest(t, "f")
	create.MemorySize = wire.Ptr(int32(513))
	_, err := h.h.CreateFunction(t.Context(), call(), create)
	if err == nil || !strings.Contains(err.Error(), "--memory") {
		t.Errorf("create: %v", err)
	}
	create.MemorySize = wire.Ptr(int32(512))
	if _, err := h.h.CreateFunction(t.Context(), call(), create); err != nil {
		t.Fatal(err)
	}
	h.settleAll()
	_, err = h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("f"), MemorySize: wire.Ptr(int32(513))})
	if err == nil || !strings.Contains(err.Error(), "--memory") {
		t.Errorf("update: %v", err)
	}
}
