package record

import (
	"errors"
	"testing"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
)

type thing struct {
	Size int `json:"size"`
}

func TestKind(t *testing.T) {
	records := mem.New()
	t.Cleanup(func() { records.Close() })
	things := QualifiedKind[thing]("thing", 1)
	fn := FunctionID{"000000000000", "eu-west-1", "f"}
	other := FunctionID{"000000000000", "eu-west-1", "g"}

	put := func(q Qualified, size int, cond store.Condition) error {
		w, err := things.Put(q, &thing{size}, cond)
		if err != nil {
			t.Fatal(err)
		}
		_, err = records.Commit(t.Context(), w)
		return err
	}
	for i, q := range []Qualified{{fn, Latest}, {fn, "blue"}, {fn, "green"}, {other, "blue"}} {
		if err := put(q, i, store.IfAbsent()); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(Qualified{fn, "blue"}, 9, store.IfAbsent()); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a second resource under one key: %v", err)
	}
	got, err := things.Get(t.Context(), records, Qualified{fn, "blue"})
	if err != nil || got.Value.Size != 1 || got.Key != (Qualified{fn, "blue"}) {
		t.Errorf("Get: %+v, %v", got, err)
	}
	if _, err := things.Get(t.Context(), records, Qualified{fn, "a/b"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a key that can name nothing: %v", err)
	}
	if _, err := things.Put(Qualified{fn, "a/b"}, &thing{}, store.IfAbsent()); !errors.Is(err, ErrBadKey) {
		t.Errorf("put under a key that can name nothing: %v", err)
	}

	var seen []string
	var after *Qualified
	for {
		page, more, err := things.List(t.Context(), records, OfFunction(fn), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range page {
			seen = append(seen, h.Key.Qualifier)
		}
		if !more {
			break
		}
		after = &page[len(page)-1].Key
	}
	if len(seen) != 3 || seen[0] != Latest || seen[1] != "blue" || seen[2] != "green" {
		t.Errorf("listed %v", seen)
	}

	view := things.View(records, nil)
	go view.Run(t.Context())
	<-view.Ready()
	if v, ok := view.Get(Qualified{other, "blue"}); !ok || v.Size != 3 {
		t.Errorf("the view holds %v, %v", v, ok)
	}
	if _, err := records.Commit(t.Context(), things.Drop(Qualified{other, "blue"}, store.IfExists())); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := view.Refresh(t.Context(), Qualified{other, "blue"}); ok || err != nil {
		t.Errorf("a dropped resource: %v, %v", ok, err)
	}
}

func TestKindRefusesOtherForms(t *testing.T) {
	k := ScopedKind[thing]("thing", 1)
	for _, stored := range []string{``, `{}`, `{"f":2,"v":{}}`, `{"f":1}`, `{"f":1,"v":7}`} {
		if _, err := k.decode([]byte(stored)); !errors.Is(err, ErrForm) {
			t.Errorf("%s: %v", stored, err)
		}
	}
	for _, key := range []string{"", "lambda/thing/", "lambda/thing/a", "lambda/thing/a/b", "lambda/other/a/b/c"} {
		if _, err := k.keyOf(key); !errors.Is(err, ErrBadKey) {
			t.Errorf("%q: %v", key, err)
		}
	}
	key := Scoped{Scope{"000000000000", "eu-west-1"}, "layer/0001"}
	if back, err := k.keyOf(k.Key(key)); err != nil || back != key {
		t.Errorf("%q reads back as %v, %v", k.Key(key), back, err)
	}
}
