package lambda

import (
	"bytes"
	"strings"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/record/keys"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// keyring is a ring in a folder with a key of the test's account.
func keyring(t *testing.T) (*keys.Ring, string, string) {
	t.Helper()
	dir := t.TempDir()
	k, err := keys.Create(dir, keys.Owner{Partition: "aws", Account: testAccount, Region: testRegion})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return ring, dir, k.ARN
}

// stored is every value of a function's records.
func (h *house) stored() []byte {
	h.t.Helper()
	page, _, err := h.store.List(h.t.Context(), record.FunctionPrefix, "", store.ListLimitMax)
	if err != nil {
		h.t.Fatal(err)
	}
	var all []byte
	for _, r := range page {
		all = append(all, r.Value...)
	}
	return all
}

func (h *house) update(in *api.UpdateFunctionConfigurationRequest) error {
	h.t.Helper()
	in.FunctionName = wire.Ptr("f")
	_, err := h.h.UpdateFunctionConfiguration(h.t.Context(), call(), in)
	h.settleAll()
	return err
}

func TestEnvironmentIsSealed(t *testing.T) {
	ring, dir, key := keyring(t)
	a := &authorizerFake{}
	h := newHouse(t, func(o *Options) { o.Keys, o.Authorizer = ring, a })
	in := createRequest(t, "f")
	in.Environment = &api.Environment{Variables: map[string]string{"SECRET": "plain value"}}
	in.Publish = wire.Ptr(true)
	out, err := h.h.CreateFunction(t.Context(), call(), in)
	if err != nil || out.Environment.Variables["SECRET"] != "plain value" || out.KMSKeyArn != nil {
		t.Fatal(out, err)
	}
	h.settleAll()
	check := func(what string) {
		t.Helper()
		if bytes.Contains(h.stored(), []byte("plain value")) {
			t.Errorf("%s: the store has the value", what)
		}
		if c := h.configuration("f"); c.Environment == nil || c.Environment.Error != nil || c.Environment.Variables["SECRET"] != "plain value" {
			t.Errorf("%s: %+v", what, c.Environment)
		}
	}
	check("created")
	publish := func() string {
		t.Helper()
		v, err := h.h.PublishVersion(t.Context(), call(), &api.PublishVersionRequest{FunctionName: wire.Ptr("f")})
		if err != nil {
			t.Fatal(err)
		}
		return *v.Version
	}
	// The same again, another, and the first once more: only what differs makes a version.
	for _, step := range []struct{ value, want string }{{"plain value", "1"}, {"other", "2"}, {"other", "2"}, {"plain value", "3"}} {
		if err := h.update(&api.UpdateFunctionConfigurationRequest{Environment: &api.Environment{Variables: map[string]string{"SECRET": step.value}}}); err != nil {
			t.Fatal(err)
		}
		if v := publish(); v != step.want {
			t.Errorf("%s: version %s", step.value, v)
		}
	}
	// A key of its own seals what is there once more.
	if err := h.update(&api.UpdateFunctionConfigurationRequest{KMSKeyArn: &key}); err != nil {
		t.Fatal(err)
	}
	check("with a key")
	if c := h.configuration("f"); *c.KMSKeyArn != key {
		t.Error(c.KMSKeyArn)
	}
	if v := publish(); v != "4" {
		t.Error("a key is a setting of the version", v)
	}
	for _, want := range []string{"kms:CreateGrant " + key, "kms:Encrypt " + key, "kms:Decrypt " + key} {
		if !strings.Contains(strings.Join(a.asked, "\n"), want) {
			t.Errorf("not asked for %s", want)
		}
	}
	// What the caller may not.
	a.deny = "kms:Decrypt"
	if e := h.configuration("f").Environment; e.Variables != nil || *e.Error.ErrorCode != "AccessDeniedException" {
		t.Errorf("%+v", e)
	}
	a.deny = "kms:CreateGrant"
	wantFault(t, h.update(&api.UpdateFunctionConfigurationRequest{Environment: &api.Environment{}}), "InvalidParameterValueException", "because KMS access was denied")
	a.deny = ""

	for _, s := range []struct {
		state      keys.State
		code, text string
	}{
		{keys.Disabled, "DisabledException", "the KMS key used is disabled"},
		{keys.PendingDeletion, "KMSInvalidStateException", "invalid for CreateGrant"},
	} {
		if _, err := keys.SetState(dir, key, s.state); err != nil {
			t.Fatal(err)
		}
		ring.Reload()
		if e := h.configuration("f").Environment; e.Variables != nil || *e.Error.ErrorCode != s.code {
			t.Errorf("%s: %+v", s.state, e)
		}
		listed, err := h.h.ListFunctions(t.Context(), call(), &api.ListFunctionsRequest{})
		if err != nil || *listed.Functions[0].Environment.Error.ErrorCode != s.code {
			t.Errorf("%s: %v", s.state, err)
		}
		wantFault(t, h.update(&api.UpdateFunctionConfigurationRequest{Environment: &api.Environment{}}), "InvalidParameterValueException", s.text)
		wantFault(t, h.update(&api.UpdateFunctionConfigurationRequest{KMSKeyArn: wire.Ptr("")}), "InvalidParameterValueException", "unable to decrypt your environment variables")
	}
	if err := keys.Remove(dir, key); err != nil {
		t.Fatal(err)
	}
	ring.Reload()
	if e := h.configuration("f").Environment; *e.Error.ErrorCode != "NotFoundException" {
		t.Errorf("%+v", e)
	}
	// Anything else can be changed all the same, and new variables with lambdad's own key bring it back.
	if err := h.update(&api.UpdateFunctionConfigurationRequest{Description: wire.Ptr("d")}); err != nil {
		t.Error(err)
	}
	if err := h.update(&api.UpdateFunctionConfigurationRequest{KMSKeyArn: wire.Ptr(""), Environment: &api.Environment{Variables: map[string]string{"SECRET": "plain value"}}}); err != nil {
		t.Error(err)
	}
	check("after the key's end")
	if c := h.configuration("f"); c.KMSKeyArn != nil {
		t.Error(*c.KMSKeyArn)
	}
}

func TestKeysOfOthers(t *testing.T) {
	ring, dir, _ := keyring(t)
	h := newHouse(t, func(o *Options) { o.Keys = ring })
	other, err := keys.Create(dir, keys.Owner{Partition: "aws", Account: "222222222222", Region: testRegion})
	if err != nil {
		t.Fatal(err)
	}
	ring.Reload()
	in := createRequest(t, "f")
	in.KMSKeyArn = &other.ARN
	_, err = h.h.CreateFunction(t.Context(), call(), in)
	wantFault(t, err, "InvalidParameterValueException", "because KMS access was denied")
}

// A record of before there was a key is sealed when the settler sees it.
func TestPlainRecordsAreSealed(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	s, err := h.table.Get(t.Context(), record.FunctionID{Account: testAccount, Region: testRegion, Name: "f"}, record.Latest)
	if err != nil {
		t.Fatal(err)
	}
	f := s.Clone()
	f.Environment = map[string]string{"SECRET": "plain value"}
	write, err := record.PutFunction(f, store.Unconditional())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.table.Commit(t.Context(), write); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(h.stored(), []byte("plain value")) {
		t.Fatal("the test is wrong")
	}
	h.run()
	waitFor(t, func() bool { return !bytes.Contains(h.stored(), []byte("plain value")) })
	if c := h.configuration("f"); c.Environment.Variables["SECRET"] != "plain value" || *c.State != "Active" || *c.RevisionId != s.RevisionID {
		t.Errorf("%+v", c)
	}
}
