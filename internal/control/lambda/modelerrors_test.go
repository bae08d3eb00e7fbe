package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
	"github.com/lambdad/lambdad/internal/wire"
)

// What an error of the model is caused by here.
const (
	missing    = "ResourceNotFoundException"
	conflict   = "ResourceConflictException"
	wrongValue = "InvalidParameterValueException"
	broken     = "ServiceException"
	otherRev   = "PreconditionFailedException"
)

// TestModelErrors: each error that the model gives an operation is caused, or it is told why it cannot be, or which
// test elsewhere causes it. A new model's errors fail it until somebody has thought of them.
func TestModelErrors(t *testing.T) {
	model := modelErrors(t)
	known := map[string]bool{}
	for op, codes := range model {
		known[op] = true
		for _, code := range codes {
			known[code], known[op+" "+code] = true, true
		}
	}
	for _, of := range []map[string]string{good, cases, neverCaused, causedElsewhere} {
		for key := range of {
			if !known[key] {
				t.Errorf("%q is nothing of the model's", key)
			}
		}
	}
	full := newErrorHouse(t, true)
	empty := newErrorHouse(t, false)
	for _, op := range sortedKeys(model) {
		for _, code := range model[op] {
			why, test := reasonOf(op, code)
			in, given := inputFor(op, code)
			name := op + "/" + code
			switch {
			case why != "" && given:
				t.Errorf("%s: a case, and a reason why there is none", name)
			case test != "" && given:
				t.Errorf("%s: a case here and one in %s", name, test)
			case why != "":
			case test != "":
				if !testExists(t, test) {
					t.Errorf("%s: there is no test %s", name, test)
				}
			case !given:
				t.Errorf("%s: no case, no test and no reason", name)
			default:
				t.Run(name, func(t *testing.T) {
					h := full
					switch code {
					case missing:
						h = empty
					case conflict: // a write without a condition is done all the same
						h = newErrorHouse(t, true)
					}
					h.cause(t, op, code, in)
				})
			}
		}
	}
}

// errorHouse is a house whose store can be told to fail.
type errorHouse struct {
	*house
	faulty *faultyStore
	fill   *strings.Replacer
}

func newErrorHouse(t *testing.T, seeded bool) *errorHouse {
	t.Helper()
	real := mem.New()
	t.Cleanup(func() { real.Close() })
	base := newHouse(t)
	h := &errorHouse{faulty: &faultyStore{Records: real}, fill: strings.NewReplacer(
		"{uuid}", "11111111-2222-4333-8444-555555555555", "{csc}", "arn:aws:lambda:us-east-1:111111111111:code-signing-config:csc-00000000000000000",
	)}
	h.house = openHouse(t, h.faulty, base.artifacts, withSources)
	if seeded {
		h.seed(t)
	}
	return h
}

// seed makes one of each kind, all of the function f.
func (h *errorHouse) seed(t *testing.T) {
	t.Helper()
	do := func(op string, in string) reflect.Value {
		t.Helper()
		out, err := h.call(op, in)
		if err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		h.settleAll()
		return out
	}
	csc := do("CreateCodeSigningConfig", good["CreateCodeSigningConfig"]).Interface().(*api.CreateCodeSigningConfigResponse)
	do("CreateFunction", good["CreateFunction"])
	do("CreateFunction", strings.Replace(good["CreateFunction"], `"f"`, `"unpublished"`, 1))
	do("PublishVersion", `{"FunctionName":"f"}`)
	do("CreateAlias", `{"FunctionName":"f","Name":"live","FunctionVersion":"1"}`)
	do("CreateFunctionUrlConfig", `{"FunctionName":"f","AuthType":"NONE","Qualifier":"live"}`)
	do("PutFunctionEventInvokeConfig", good["PutFunctionEventInvokeConfig"])
	do("PutProvisionedConcurrencyConfig", good["PutProvisionedConcurrencyConfig"])
	do("PutFunctionConcurrency", good["PutFunctionConcurrency"])
	do("AddPermission", good["AddPermission"])
	do("PublishLayerVersion", good["PublishLayerVersion"])
	do("AddLayerVersionPermission", good["AddLayerVersionPermission"])
	m := do("CreateEventSourceMapping", good["CreateEventSourceMapping"]).Interface().(*api.EventSourceMappingConfiguration)
	h.settleAllMappings()
	h.fill = strings.NewReplacer("{uuid}", *m.UUID, "{csc}", *csc.CodeSigningConfig.CodeSigningConfigArn)
	waitFor(t, func() bool { return h.view.Ready() != nil && *h.configuration("f").State == "Active" })
}

// call runs an operation with its input as JSON.
func (h *errorHouse) call(op, in string) (reflect.Value, error) {
	f := reflect.ValueOf(h.h).FieldByName(op)
	v := reflect.New(f.Type().In(2).Elem())
	if err := json.Unmarshal([]byte(h.fill.Replace(in)), v.Interface()); err != nil {
		return v, err
	}
	c := call()
	c.Operation = op
	out := f.Call([]reflect.Value{reflect.ValueOf(context.Background()), reflect.ValueOf(c), v})
	err, _ := out[len(out)-1].Interface().(error)
	return out[0], err
}

func (h *errorHouse) cause(t *testing.T, op, code, in string) {
	t.Helper()
	switch {
	case code == broken:
		h.faulty.mode.Store(storeBroken)
	case code == conflict && in == good[op]:
		h.faulty.mode.Store(storeContended)
	}
	defer h.faulty.mode.Store(storeWorks)
	_, err := h.call(op, in)
	if code == broken {
		// The edge makes a ServiceException of what is no fault: wire's tests.
		if !errors.Is(err, errStore) {
			t.Errorf("%v, want the store's error", err)
		}
		return
	}
	var f wire.Fault
	if !errors.As(err, &f) || f.FaultCode() != code {
		t.Errorf("%v, want %s", err, code)
	}
}

const (
	storeWorks int32 = iota
	storeBroken
	storeContended // every write loses to another
)

var errStore = errors.New("the disk is on fire")

type faultyStore struct {
	store.Records
	mode atomic.Int32
}

func (s *faultyStore) Get(ctx context.Context, key string) (store.Record, error) {
	if s.mode.Load() == storeBroken {
		return store.Record{}, errStore
	}
	return s.Records.Get(ctx, key)
}

func (s *faultyStore) List(ctx context.Context, prefix, after string, limit int) ([]store.Record, bool, error) {
	if s.mode.Load() == storeBroken {
		return nil, false, errStore
	}
	return s.Records.List(ctx, prefix, after, limit)
}

func (s *faultyStore) Commit(ctx context.Context, writes ...store.Write) (store.Revision, error) {
	switch s.mode.Load() {
	case storeBroken:
		return 0, errStore
	case storeContended:
		if slices.ContainsFunc(writes, func(w store.Write) bool { return w.If != store.Unconditional() }) {
			return 0, store.ErrConflict
		}
	}
	return s.Records.Commit(ctx, writes...)
}

// modelErrors reads the errors of each operation that control answers.
func modelErrors(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile("../../../models/lambda.json")
	if err != nil {
		t.Fatal(err)
	}
	var model struct {
		Operations map[string]struct {
			Errors []struct{ Shape string }
		}
	}
	if err := json.Unmarshal(b, &model); err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for op, o := range model.Operations {
		for _, e := range o.Errors {
			out[op] = append(out[op], e.Shape)
		}
	}
	return out
}

// reasonOf tells why an operation never answers an error here, or which test causes it. What is said of the
// operation with the error counts first, then a case, then what is said of the operation or the error.
func reasonOf(op, code string) (why, test string) {
	key := op + " " + code
	if why, test := neverCaused[key], causedElsewhere[key]; why != "" || test != "" {
		return why, test
	}
	if _, ok := cases[key]; ok {
		return "", ""
	}
	if why := neverCaused[op]; why != "" {
		return why, ""
	}
	return neverCaused[code], ""
}

// inputFor is what causes an error: a case of its own, or what is good for an operation where its resource is missing,
// the store is broken, or another writer always wins.
func inputFor(op, code string) (string, bool) {
	if in, ok := cases[op+" "+code]; ok {
		return in, true
	}
	if why, test := reasonOf(op, code); why != "" || test != "" {
		return "", false
	}
	switch code {
	case missing, broken, conflict:
		in, ok := good[op]
		return in, ok
	}
	return "", false
}

// testExists looks for a test by "folder.Name".
func testExists(t *testing.T, name string) bool {
	t.Helper()
	folder, fn, _ := strings.Cut(name, ".")
	entries, err := os.ReadDir("../../../" + folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "_test.go") {
			b, err := os.ReadFile("../../../" + folder + "/" + e.Name())
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), "func "+fn+"(") {
				return true
			}
		}
	}
	return false
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
