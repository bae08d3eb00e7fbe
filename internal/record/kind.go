package record

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/store"
)

// Kind is one kind of resource at rest: where its records lie and in which form. T is
// stored as JSON by its own tags, so a field once stored keeps its name; a reader tolerates
// fields that it does not know, and a form that it cannot understand gets a higher number.
// The data planes read a kind through its View, writers through Get and List.
type Kind[K comparable, T any] struct {
	name  string // e.g. "alias", for errors
	form  int
	path  func(K) string // "" for a key that can name nothing
	parse func(string) (K, bool)
}

// Held is a resource with its key and the revision that a conditional write demands.
type Held[K comparable, T any] struct {
	Key      K
	Value    *T
	Revision store.Revision
}

// Qualified is a function with a version or an alias: Latest for the function itself.
type Qualified struct {
	ID        FunctionID
	Qualifier string
}

// Scoped is a resource of an account in a region by its own name or id, which may have
// several parts with a "/" in between.
type Scoped struct {
	Scope
	Name string
}

// QualifiedKind is a kind with at most one resource of each version or alias of a function:
//
//	lambda/NAME/ACCOUNT/REGION/FUNCTION/QUALIFIER
func QualifiedKind[T any](name string, form int) Kind[Qualified, T] {
	return Kind[Qualified, T]{name, form,
		func(q Qualified) string {
			if !ValidQualifier(q.Qualifier) || !validNamePart(q.ID.Name) {
				return ""
			}
			return idPath(q.ID) + "/" + q.Qualifier
		},
		func(path string) (Qualified, bool) {
			parts := strings.Split(path, "/")
			if len(parts) != 4 {
				return Qualified{}, false
			}
			return Qualified{FunctionID{aws.AccountID(parts[0]), aws.Region(parts[1]), parts[2]}, parts[3]}, true
		},
	}
}

// ScopedKind is a kind whose resources belong to an account in a region:
//
//	lambda/NAME/ACCOUNT/REGION/ID
func ScopedKind[T any](name string, form int) Kind[Scoped, T] {
	return Kind[Scoped, T]{name, form,
		func(s Scoped) string {
			if s.Name == "" {
				return ""
			}
			return string(s.Account) + "/" + string(s.Region) + "/" + s.Name
		},
		func(path string) (Scoped, bool) {
			parts := strings.SplitN(path, "/", 3)
			if len(parts) != 3 {
				return Scoped{}, false
			}
			return Scoped{Scope{aws.AccountID(parts[0]), aws.Region(parts[1])}, parts[2]}, true
		},
	}
}

// OfFunction is what List takes for all resources of a function.
func OfFunction(id FunctionID) string { return idPath(id) + "/" }

// OfScope is what List takes for all resources of an account in a region.
func OfScope(s Scope) string { return string(s.Account) + "/" + string(s.Region) + "/" }

type envelope[T any] struct {
	Form  int `json:"f"`
	Value *T  `json:"v"`
}

func (k Kind[K, T]) prefix() string { return "lambda/" + k.name + "/" }

// Key is the whole key in the store, "" for a key that can name nothing.
func (k Kind[K, T]) Key(key K) string {
	path := k.path(key)
	if path == "" {
		return ""
	}
	return k.prefix() + path
}

// Get returns a resource, or store.ErrNotFound.
func (k Kind[K, T]) Get(ctx context.Context, records store.Records, key K) (Held[K, T], error) {
	at := k.Key(key)
	if at == "" {
		return Held[K, T]{}, fmt.Errorf("%s %v: %w", k.name, key, store.ErrNotFound)
	}
	r, err := records.Get(ctx, at)
	if err != nil {
		return Held[K, T]{}, fmt.Errorf("get %s: %w", at, err)
	}
	return k.held(r)
}

// List pages through the resources under a path (OfFunction, OfScope, "" for all, or a
// longer path), in the order of their keys, from after a key; nil is the beginning.
func (k Kind[K, T]) List(ctx context.Context, records store.Records, under string, after *K, limit int) ([]Held[K, T], bool, error) {
	from := ""
	if after != nil {
		if from = k.Key(*after); from == "" {
			return nil, false, fmt.Errorf("list %s after %v: %w", k.name, *after, ErrBadKey)
		}
	}
	page, more, err := records.List(ctx, k.prefix()+under, from, limit)
	if err != nil {
		return nil, false, fmt.Errorf("list %s: %w", k.name, err)
	}
	out := make([]Held[K, T], 0, len(page))
	for _, r := range page {
		h, err := k.held(r)
		if err != nil {
			return nil, false, err
		}
		out = append(out, h)
	}
	return out, more, nil
}

// Each calls f with every resource under a path.
func (k Kind[K, T]) Each(ctx context.Context, records store.Records, under string, f func(Held[K, T])) error {
	var after *K
	for {
		page, more, err := k.List(ctx, records, under, after, store.ListLimitMax)
		if err != nil {
			return err
		}
		for _, h := range page {
			f(h)
		}
		if !more || len(page) == 0 {
			return nil
		}
		after = &page[len(page)-1].Key
	}
}

// Put is the write that stores a resource under a condition.
func (k Kind[K, T]) Put(key K, value *T, cond store.Condition) (store.Write, error) {
	at := k.Key(key)
	if at == "" {
		return store.Write{}, fmt.Errorf("put %s %v: %w", k.name, key, ErrBadKey)
	}
	b, err := json.Marshal(envelope[T]{k.form, value})
	if err != nil {
		return store.Write{}, fmt.Errorf("encode %s: %w", at, err)
	}
	return store.Write{Kind: store.WritePut, Key: at, Value: b, If: cond}, nil
}

// Drop is the write that removes a resource under a condition.
func (k Kind[K, T]) Drop(key K, cond store.Condition) store.Write {
	return store.Write{Kind: store.WriteDelete, Key: k.Key(key), If: cond}
}

// View makes an empty view of the kind. Its Run fills it and keeps it.
func (k Kind[K, T]) View(records store.Records, log *slog.Logger) *View[K, T] {
	return newView(k.name, k.prefix(), records, log, k.Key, k.keyOf, k.decode)
}

func (k Kind[K, T]) held(r store.Record) (Held[K, T], error) {
	key, err := k.keyOf(r.Key)
	if err != nil {
		return Held[K, T]{}, err
	}
	v, err := k.decode(r.Value)
	if err != nil {
		return Held[K, T]{}, fmt.Errorf("record %s: %w", r.Key, err)
	}
	return Held[K, T]{key, v, r.Revision}, nil
}

func (k Kind[K, T]) keyOf(at string) (K, error) {
	path, ok := strings.CutPrefix(at, k.prefix())
	if ok {
		if key, ok := k.parse(path); ok {
			return key, nil
		}
	}
	var none K
	return none, fmt.Errorf("%q: %w", at, ErrBadKey)
}

func (k Kind[K, T]) decode(b []byte) (*T, error) {
	var e envelope[T]
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	if e.Form < 1 || e.Form > k.form || e.Value == nil {
		return nil, fmt.Errorf("%w: form %d, this program reads up to %d", ErrForm, e.Form, k.form)
	}
	return e.Value, nil
}
