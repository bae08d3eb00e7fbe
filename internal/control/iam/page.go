package iam

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/store"
)

// Pages as every List operation of IAM has them.
const (
	pageDefault = 100 // MaxItems when none is given
	pageMax     = 1000
	// markerHead begins a marker of ours: what a caller makes up is no marker.
	markerHead = "after:"
)

// pageRequest is where a page begins and how long it may be.
type pageRequest struct {
	after string
	limit int
}

// pageOf reads Marker and MaxItems. A marker of ours holds the last name of the
// page before it.
func pageOf(marker *string, maxItems *int32) (pageRequest, error) {
	p := pageRequest{limit: pageDefault}
	if maxItems != nil {
		p.limit = min(max(int(*maxItems), 1), pageMax)
	}
	if marker != nil && *marker != "" {
		b, err := base64.RawURLEncoding.DecodeString(*marker)
		after, ours := strings.CutPrefix(string(b), markerHead)
		if err != nil || !ours || after == "" {
			return p, invalid("Invalid Marker.")
		}
		p.after = after
	}
	return p, nil
}

// page is the part of a list that an answer holds.
type page[T any] struct {
	items     []T
	truncated *bool
	marker    *string
}

// cut makes a page of items that begin behind the marker; there is one more
// than the limit where more follow.
func cut[T any](items []T, limit int, name func(T) string) page[T] {
	more := len(items) > limit
	p := page[T]{items: items, truncated: &more}
	if more {
		p.items = items[:limit]
		m := base64.RawURLEncoding.EncodeToString([]byte(markerHead + name(items[limit-1])))
		p.marker = &m
	}
	return p
}

// pageSorted pages through a list in memory that is sorted by name.
func pageSorted[T any](items []T, marker *string, maxItems *int32, name func(T) string) (page[T], error) {
	req, err := pageOf(marker, maxItems)
	if err != nil {
		return page[T]{}, err
	}
	start := 0
	for start < len(items) && req.after != "" && name(items[start]) <= req.after {
		start++
	}
	return cut(items[start:], req.limit, name), nil
}

// pageRecords pages through the records of a kind in an account.
func pageRecords[T any](ctx context.Context, c *Control, kind iam.Kind, account aws.AccountID, marker *string, maxItems *int32,
	entity func(*T) *iam.Entity, keep func(*T) bool) (page[*T], error) {
	req, err := pageOf(marker, maxItems)
	if err != nil {
		return page[*T]{}, err
	}
	name := func(v *T) string { return strings.ToLower(entity(v).Name) }
	var kept []*T
	for after := req.after; len(kept) <= req.limit; {
		batch, more, err := iam.List[T](ctx, c.table, kind, account, after, store.ListLimitMax)
		if err != nil {
			return page[*T]{}, err
		}
		for _, v := range batch {
			after = name(v)
			if keep == nil || keep(v) {
				kept = append(kept, v)
			}
		}
		if !more || len(batch) == 0 {
			break
		}
	}
	return cut(kept, req.limit, name), nil
}

// all reads every record of a kind in an account.
func all[T any](ctx context.Context, c *Control, kind iam.Kind, account aws.AccountID, name func(*T) string) ([]*T, error) {
	var out []*T
	for after := ""; ; {
		batch, more, err := iam.List[T](ctx, c.table, kind, account, after, store.ListLimitMax)
		if err != nil {
			return nil, err
		}
		out = append(out, batch...)
		if !more || len(batch) == 0 {
			return out, nil
		}
		after = name(batch[len(batch)-1])
	}
}

// under reports whether a path lies under a prefix.
func under(path string, prefix *string) bool { return strings.HasPrefix(path, textOr(prefix, "/")) }
