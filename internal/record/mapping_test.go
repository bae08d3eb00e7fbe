package record

import (
	"testing"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
)

func TestMapping(t *testing.T) {
	s := mem.New()
	defer s.Close()
	key := Scoped{Scope{"000000000000", "us-east-1"}, "b5ac14e2-1111-4a4b-8a6b-000000000000"}
	want := Mapping{Source: "arn:aws:sqs:us-east-1:000000000000:q", Function: Name{ID: FunctionID{"000000000000", "us-east-1", "f"}, Qualifier: "live"}, Enabled: true, State: MappingCreating, BatchSize: 10}
	put, err := Mappings.Put(key, &want, store.IfAbsent())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	held, err := Mappings.Get(t.Context(), s, key)
	if err != nil || held.Value.Function != want.Function || held.Value.Source != want.Source || held.Value.Stream != nil {
		t.Errorf("%+v, %v", held.Value, err)
	}
	if back, ok := ParseMappingARN(MappingARN(key)); !ok || back != key {
		t.Errorf("%s gives %v, %v", MappingARN(key), back, ok)
	}
	for _, bad := range []string{"", "arn:aws:lambda:us-east-1:000000000000:function:f", "arn:aws:lambda:us-east-1:0:event-source-mapping:x", MappingARN(Scoped{key.Scope, ""})} {
		if _, ok := ParseMappingARN(bad); ok {
			t.Errorf("%q is taken for a mapping", bad)
		}
	}
	if a, b := MappingClaimKey(key.Scope, want.Source, want.Function), MappingClaimKey(key.Scope, want.Source, Name{ID: want.Function.ID}); a == b {
		t.Error("a function and its alias share a claim")
	}
}

func TestMappingSettles(t *testing.T) {
	for _, tc := range []struct {
		m     Mapping
		want  MappingState
		polls bool
	}{
		{Mapping{Enabled: true, State: MappingCreating}, MappingEnabled, true},
		{Mapping{State: MappingCreating}, MappingDisabled, false},
		{Mapping{Enabled: true, State: MappingUpdating}, MappingEnabled, true},
		{Mapping{State: MappingDisabling}, MappingDisabled, false},
		{Mapping{Enabled: true, State: MappingDeleting}, "", false},
	} {
		if got := tc.m.Settled(); got != tc.want || tc.m.Polls() != tc.polls {
			t.Errorf("%+v settles to %q and polls %v", tc.m, got, tc.m.Polls())
		}
	}
}
