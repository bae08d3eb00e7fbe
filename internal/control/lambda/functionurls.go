package lambda

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// The texts here are AWS's (recorded: TestLambdaUrl).

// urlKey reads which function or alias a URL belongs to.
func (c *Control) urlKey(call *wire.Call, name, qualifier *string) (record.Name, record.Qualified, error) {
	n, err := c.named(call, name, qualifier)
	return n, n.PolicyKey(), err
}

func (c *Control) createFunctionUrlConfig(ctx context.Context, call *wire.Call, in *api.CreateFunctionUrlConfigRequest) (*api.CreateFunctionUrlConfigResponse, error) {
	n, key, err := c.urlKey(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if err := c.urlTarget(ctx, n); err != nil {
		return nil, err
	}
	now := c.now()
	u := &record.FunctionURL{ID: newURLID(), AuthType: value(in.AuthType), InvokeMode: value(in.InvokeMode), Cors: corsOf(in.Cors), Created: now, Modified: now}
	put, err := record.FunctionURLs.Put(key, u, store.IfAbsent())
	if err != nil {
		return nil, err
	}
	there := store.Write{Kind: store.WriteCheck, Key: record.FunctionKey(n.ID, record.Latest), If: store.IfExists()}
	_, err = c.table.Commit(ctx, there, put)
	if errors.Is(err, store.ErrConflict) {
		return nil, api.NewResourceConflictException("Failed to create function url config for [functionArn = " + n.ARN() + "]. Error message:  FunctionUrlConfig exists for this Lambda function")
	}
	if err != nil {
		return nil, fault(err)
	}
	s := c.shownURL(call, key, u)
	return &api.CreateFunctionUrlConfigResponse{FunctionUrl: s.FunctionUrl, FunctionArn: s.FunctionArn, AuthType: s.AuthType, Cors: s.Cors, CreationTime: s.CreationTime, InvokeMode: s.InvokeMode}, nil
}

// urlTarget refuses a URL of nothing.
func (c *Control) urlTarget(ctx context.Context, n record.Name) error {
	f, err := c.table.Get(ctx, n.ID, record.Latest)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return noFunction()
	case err != nil:
		return fault(err)
	case f.Tenancy != "":
		return notForTenants("Function URLs are")
	}
	if n.Qualifier == "" {
		return nil
	}
	if _, err := record.Aliases.Get(ctx, c.records, record.Qualified{ID: n.ID, Qualifier: n.Qualifier}); errors.Is(err, store.ErrNotFound) {
		return noFunction()
	} else if err != nil {
		return fault(err)
	}
	return nil
}

func noFunction() error { return api.NewResourceNotFoundException("Function does not exist") }

func (c *Control) readURL(ctx context.Context, key record.Qualified) (record.Held[record.Qualified, record.FunctionURL], error) {
	held, err := record.FunctionURLs.Get(ctx, c.records, key)
	if errors.Is(err, store.ErrNotFound) {
		return held, notThere()
	}
	return held, fault(err)
}

func (c *Control) getFunctionUrlConfig(ctx context.Context, call *wire.Call, in *api.GetFunctionUrlConfigRequest) (*api.GetFunctionUrlConfigResponse, error) {
	_, key, err := c.urlKey(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	held, err := c.readURL(ctx, key)
	if err != nil {
		return nil, err
	}
	s := c.shownURL(call, key, held.Value)
	showMode(s)
	return &api.GetFunctionUrlConfigResponse{
		FunctionUrl: s.FunctionUrl, FunctionArn: s.FunctionArn, AuthType: s.AuthType, Cors: s.Cors, CreationTime: s.CreationTime, LastModifiedTime: s.LastModifiedTime, InvokeMode: s.InvokeMode,
	}, nil
}

func (c *Control) updateFunctionUrlConfig(ctx context.Context, call *wire.Call, in *api.UpdateFunctionUrlConfigRequest) (*api.UpdateFunctionUrlConfigResponse, error) {
	n, key, err := c.urlKey(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if err := c.urlTarget(ctx, n); err != nil {
		return nil, err
	}
	for range commitAttemptsMax {
		held, err := c.readURL(ctx, key)
		if err != nil {
			return nil, err
		}
		u := *held.Value
		setString(&u.AuthType, in.AuthType)
		setString(&u.InvokeMode, in.InvokeMode)
		if in.Cors != nil {
			u.Cors = corsOf(in.Cors)
		}
		u.Modified = c.now()
		put, err := record.FunctionURLs.Put(key, &u, store.IfRevision(held.Revision))
		if err != nil {
			return nil, err
		}
		_, err = c.table.Commit(ctx, put)
		if err == nil {
			s := c.shownURL(call, key, &u)
			return &api.UpdateFunctionUrlConfigResponse{
				FunctionUrl: s.FunctionUrl, FunctionArn: s.FunctionArn, AuthType: s.AuthType, Cors: s.Cors, CreationTime: s.CreationTime, LastModifiedTime: s.LastModifiedTime, InvokeMode: s.InvokeMode,
			}, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, fault(err)
		}
	}
	return nil, updateInProgress(n.ID)
}

func (c *Control) deleteFunctionUrlConfig(ctx context.Context, call *wire.Call, in *api.DeleteFunctionUrlConfigRequest) error {
	_, key, err := c.urlKey(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return err
	}
	_, err = c.table.Commit(ctx, record.FunctionURLs.Drop(key, store.IfExists()))
	if errors.Is(err, store.ErrConflict) {
		return notThere()
	}
	return fault(err)
}

func (c *Control) listFunctionUrlConfigs(ctx context.Context, call *wire.Call, in *api.ListFunctionUrlConfigsRequest) (*api.ListFunctionUrlConfigsResponse, error) {
	n, err := c.namedLatest(call, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if err := c.urlTarget(ctx, n); err != nil {
		return nil, err
	}
	at, err := readMarker(value(in.Marker), 1)
	if err != nil {
		return nil, err
	}
	var after *record.Qualified
	if at[0] != "" {
		after = &record.Qualified{ID: n.ID, Qualifier: at[0]}
	}
	page, more, err := record.FunctionURLs.List(ctx, c.records, record.OfFunction(n.ID), after, pageSize(in.MaxItems))
	if err != nil {
		return nil, fault(err)
	}
	out := &api.ListFunctionUrlConfigsResponse{FunctionUrlConfigs: []api.FunctionUrlConfig{}}
	for _, h := range page {
		s := c.shownURL(call, h.Key, h.Value)
		showMode(s)
		out.FunctionUrlConfigs = append(out.FunctionUrlConfigs, *s)
	}
	if more && len(page) > 0 {
		out.NextMarker = writeMarker(page[len(page)-1].Key.Qualifier)
	}
	return out, nil
}

// newURLID is as unguessable as AWS's: 32 letters and digits.
func newURLID() string {
	var b [20]byte
	rand.Read(b[:]) // never fails: crypto/rand aborts the process instead
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

func corsOf(in *api.Cors) *record.Cors {
	if in == nil {
		return nil
	}
	return &record.Cors{
		AllowCredentials: value(in.AllowCredentials), AllowHeaders: in.AllowHeaders, AllowMethods: in.AllowMethods,
		AllowOrigins: in.AllowOrigins, ExposeHeaders: in.ExposeHeaders, MaxAgeS: in.MaxAge,
	}
}

func (c *Control) shownURL(call *wire.Call, key record.Qualified, u *record.FunctionURL) *api.FunctionUrlConfig {
	arn := key.ID.ARN()
	if key.Qualifier != record.Latest {
		arn = key.ID.QualifiedARN(key.Qualifier)
	}
	out := &api.FunctionUrlConfig{
		FunctionUrl: wire.Ptr(c.urlOf(call, key, u.ID)), FunctionArn: &arn, AuthType: wire.Ptr(u.AuthType), InvokeMode: unlessEmpty(u.InvokeMode),
		CreationTime: wire.Ptr(urlTime(u.Created)), LastModifiedTime: wire.Ptr(urlTime(u.Modified)),
	}
	if u.Cors != nil {
		out.Cors = &api.Cors{
			AllowHeaders: u.Cors.AllowHeaders, AllowMethods: u.Cors.AllowMethods, AllowOrigins: u.Cors.AllowOrigins, ExposeHeaders: u.Cors.ExposeHeaders, MaxAge: u.Cors.MaxAgeS,
		}
		if u.Cors.AllowCredentials {
			out.Cors.AllowCredentials = wire.Ptr(true)
		}
	}
	return out
}

// showMode tells the mode that holds where none was asked for: answers to Get do, and those to
// Create and Update do not (recorded: test_url_config_lifecycle).
func showMode(u *api.FunctionUrlConfig) {
	if u.InvokeMode == nil {
		u.InvokeMode = wire.Ptr(api.InvokeModeBuffered)
	}
}

// urlTime is how the times of URLs are written: a string, as LastModified is.
func urlTime(t time.Time) string { return t.UTC().Format(lastModifiedForm) }

// urlOf is the address as the caller can use it: a host of our domain where the caller came by
// one, and a path below an address that has no names.
func (c *Control) urlOf(call *wire.Call, key record.Qualified, id string) string {
	endpoint, err := url.Parse(call.Endpoint)
	if err != nil || endpoint.Host == "" {
		return "http://" + record.FunctionURLHost(id, string(key.ID.Region), c.domain) + "/"
	}
	host := endpoint.Hostname()
	if _, err := netip.ParseAddr(host); err == nil || !strings.HasSuffix(host, c.domain) || c.domain == "" {
		return strings.TrimSuffix(call.Endpoint, "/") + record.FunctionURLPath + id + "/"
	}
	if port := endpoint.Port(); port != "" {
		return endpoint.Scheme + "://" + record.FunctionURLHost(id, string(key.ID.Region), c.domain) + ":" + port + "/"
	}
	return endpoint.Scheme + "://" + record.FunctionURLHost(id, string(key.ID.Region), c.domain) + "/"
}
