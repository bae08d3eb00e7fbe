package lambda

import (
	"context"
	"encoding/base64"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// listItemsMax is the longest page. Source: Lambda API, ListFunctions ("returns a
// maximum of 50 items in each response, even if you set the number higher").
const listItemsMax = 50

func (c *Control) listFunctions(ctx context.Context, call *wire.Call, in *api.ListFunctionsRequest) (*api.ListFunctionsResponse, error) {
	if r := value(in.MasterRegion); r != "" && r != "ALL" && r != string(call.Region) {
		// Functions replicated from another region: nothing replicates here, so there are none.
		return &api.ListFunctionsResponse{Functions: []api.FunctionConfiguration{}}, nil
	}
	limit := pageSize(in.MaxItems)
	if value(in.FunctionVersion) == "ALL" {
		return c.listEveryVersion(ctx, call, value(in.Marker), limit)
	}
	after, err := readMarker(value(in.Marker), 1)
	if err != nil {
		return nil, err
	}
	page, more, err := c.table.ListLatest(ctx, scopeOf(call), after[0], limit)
	if err != nil {
		return nil, fault(err)
	}
	out := &api.ListFunctionsResponse{Functions: []api.FunctionConfiguration{}}
	for _, s := range page {
		out.Functions = append(out.Functions, *c.listed(ctx, call, s.Function, ""))
	}
	if more && len(page) > 0 {
		out.NextMarker = writeMarker(page[len(page)-1].ID.Name)
	}
	return out, nil
}

// listEveryVersion lists each function's $LATEST and then its versions. The
// marker holds the last function seen and the last of its versions.
func (c *Control) listEveryVersion(ctx context.Context, call *wire.Call, marker string, limit int) (*api.ListFunctionsResponse, error) {
	at, err := readMarker(marker, 2)
	if err != nil {
		return nil, err
	}
	out := &api.ListFunctionsResponse{Functions: []api.FunctionConfiguration{}}
	name, version := at[0], at[1]
	for {
		if name != "" {
			id := record.FunctionID{Account: call.Account, Region: call.Region, Name: name}
			after := version
			if after == record.Latest {
				after = ""
			}
			versions, more, err := c.table.ListVersions(ctx, id, after, limit-len(out.Functions)+1)
			if err != nil {
				return nil, fault(err)
			}
			for _, v := range versions {
				if len(out.Functions) == limit {
					more = true
					break
				}
				out.Functions = append(out.Functions, *c.listed(ctx, call, v.Function, v.Version))
				version = v.Version
			}
			if more {
				out.NextMarker = writeMarker(name, version)
				return out, nil
			}
		}
		page, _, err := c.table.ListLatest(ctx, scopeOf(call), name, 1)
		if err != nil {
			return nil, fault(err)
		}
		if len(page) == 0 {
			return out, nil
		}
		if len(out.Functions) == limit {
			out.NextMarker = writeMarker(name, version)
			return out, nil
		}
		name, version = page[0].ID.Name, record.Latest
		out.Functions = append(out.Functions, *c.listed(ctx, call, page[0].Function, record.Latest))
	}
}

func (c *Control) listVersionsByFunction(ctx context.Context, call *wire.Call, in *api.ListVersionsByFunctionRequest) (*api.ListVersionsByFunctionResponse, error) {
	n, err := c.namedLatest(call, in.FunctionName)
	if err != nil {
		return nil, err
	}
	latest, err := c.read(ctx, n)
	if err != nil {
		return nil, err
	}
	at, err := readMarker(value(in.Marker), 1)
	if err != nil {
		return nil, err
	}
	limit, after := pageSize(in.MaxItems), at[0]
	out := &api.ListVersionsByFunctionResponse{Versions: []api.FunctionConfiguration{}}
	if after == "" {
		out.Versions = append(out.Versions, *c.listed(ctx, call, latest.Function, record.Latest))
		after = record.Latest
	}
	from := after
	if from == record.Latest {
		from = ""
	} else if !record.IsVersionNumber(from) {
		return nil, badMarker()
	}
	versions, more, err := c.table.ListVersions(ctx, n.ID, from, limit-len(out.Versions)+1)
	if err != nil {
		return nil, fault(err)
	}
	for _, v := range versions {
		if len(out.Versions) == limit {
			more = true
			break
		}
		out.Versions = append(out.Versions, *c.listed(ctx, call, v.Function, v.Version))
		after = v.Version
	}
	if more {
		out.NextMarker = writeMarker(after)
	}
	return out, nil
}

func pageSize(maxItems *int32) int {
	if maxItems == nil || *maxItems > listItemsMax {
		return listItemsMax
	}
	return int(max(1, *maxItems))
}

// A marker names what was seen last, so that what is made or removed between two
// pages neither repeats nor hides anything else.
func writeMarker(parts ...string) *string {
	return wire.Ptr(base64.RawURLEncoding.EncodeToString([]byte(strings.Join(parts, "\n"))))
}

func readMarker(s string, parts int) ([]string, error) {
	if s == "" {
		return make([]string, parts), nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, badMarker()
	}
	at := strings.Split(string(b), "\n")
	if len(at) != parts {
		return nil, badMarker()
	}
	for _, p := range at {
		if !record.ValidQualifier(p) {
			return nil, badMarker()
		}
	}
	if parts == 2 && !record.ValidVersion(at[1]) {
		return nil, badMarker()
	}
	return at, nil
}

func badMarker() error {
	return invalid("Invalid marker: it must be the NextMarker of an earlier answer.")
}
