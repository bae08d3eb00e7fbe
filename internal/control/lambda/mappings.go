package lambda

import (
	"context"
	"errors"
	"maps"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// mappingItemsMax is the longest page. Source: Lambda API, ListEventSourceMappings, MaxItems.
const mappingItemsMax = 100

// heldMapping is a mapping as it was read.
type heldMapping = record.Held[record.Scoped, record.Mapping]

// The texts here are AWS's (recorded: TestLambdaEventSourceMappings, lambda_integration_sqs),
// where nothing else is said.

func (c *Control) createEventSourceMapping(ctx context.Context, call *wire.Call, in *api.CreateEventSourceMappingRequest) (*api.EventSourceMappingConfiguration, error) {
	source, err := c.sourceOf(in)
	if err != nil {
		return nil, err
	}
	m := &record.Mapping{
		Source: source.arn.String(), Enabled: in.Enabled == nil || *in.Enabled, State: record.MappingCreating, Reason: source.kind.reason,
		Tags: maps.Clone(in.Tags), Modified: c.now(),
	}
	if !m.Enabled {
		m.State = record.MappingDisabled
	}
	if err := checkTags(m.Tags); err != nil {
		return nil, err
	}
	source.defaults(m)
	if err := c.configureMapping(m, source, createdMappingSettings(in)); err != nil {
		return nil, err
	}
	if err := source.start(m, in.StartingPosition, in.StartingPositionTimestamp, c.now()); err != nil {
		return nil, err
	}
	key := record.Scoped{Scope: scopeOf(call), Name: string(aws.NewRequestID())}
	guard, err := c.aimMapping(ctx, call, m, source, in.FunctionName)
	if err != nil {
		return nil, err
	}
	put, err := record.Mappings.Put(key, m, store.IfAbsent())
	if err != nil {
		return nil, err
	}
	claim, err := claimMapping(key, m)
	if err != nil {
		return nil, err
	}
	_, err = c.table.Commit(ctx, guard, claim, put)
	if errors.Is(err, store.ErrConflict) {
		return nil, c.duplicateMapping(ctx, key.Scope, m, source)
	}
	if err != nil {
		return nil, fault(err)
	}
	c.settleMappingLater(key, m)
	return shownMapping(key, m), nil
}

func (c *Control) updateEventSourceMapping(ctx context.Context, call *wire.Call, in *api.UpdateEventSourceMappingRequest) (*api.EventSourceMappingConfiguration, error) {
	for range commitAttemptsMax {
		held, err := c.readMapping(ctx, call, in.UUID)
		if err != nil {
			return nil, err
		}
		before, m := held.Value, *held.Value
		if inMotion(before) {
			return nil, api.NewResourceInUseException("Cannot update the event source mapping because it is in use.")
		}
		source, err := knownSource(before.Source)
		if err != nil {
			return nil, err
		}
		if before.Stream != nil {
			stream := *before.Stream
			m.Stream = &stream
		}
		if in.Enabled != nil {
			m.Enabled = *in.Enabled
		}
		m.State, m.Reason, m.Modified = updatedState(before.Enabled, m.Enabled), source.kind.reason, c.now()
		if err := c.configureMapping(&m, source, updatedMappingSettings(in)); err != nil {
			return nil, err
		}
		if in.DestinationConfig != nil && in.FunctionName == nil {
			if err := c.checkStreamDestination(ctx, call, &m, nil); err != nil {
				return nil, err
			}
		}
		writes, err := c.moveMapping(ctx, call, held, &m, source, in.FunctionName)
		if err != nil {
			return nil, err
		}
		put, err := record.Mappings.Put(held.Key, &m, store.IfRevision(held.Revision))
		if err != nil {
			return nil, err
		}
		_, err = c.table.Commit(ctx, append(writes, put)...)
		if err == nil {
			c.settleMappingLater(held.Key, &m)
			return c.shown(ctx, held.Key, &m)
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, fault(err)
		}
		if m.Function != before.Function {
			if err := c.duplicateMapping(ctx, held.Key.Scope, &m, source); !errors.Is(err, errNoDuplicate) {
				return nil, err
			}
		}
	}
	return nil, api.NewResourceConflictException("The operation cannot be performed at this time. An update is in progress for resource: " + value(in.UUID))
}

// moveMapping checks a mapping's target, which may be a new one that it claims.
func (c *Control) moveMapping(ctx context.Context, call *wire.Call, held heldMapping, m *record.Mapping, source source, name *string) ([]store.Write, error) {
	if name == nil {
		return nil, nil
	}
	guard, err := c.aimMapping(ctx, call, m, source, name)
	if err != nil {
		return nil, err
	}
	writes := []store.Write{guard}
	if m.Function != held.Value.Function {
		claim, err := claimMapping(held.Key, m)
		if err != nil {
			return nil, err
		}
		writes = append(writes, claim, dropClaim(held.Key, held.Value))
	}
	return writes, nil
}

func (c *Control) deleteEventSourceMapping(ctx context.Context, call *wire.Call, in *api.DeleteEventSourceMappingRequest) (*api.EventSourceMappingConfiguration, error) {
	for range commitAttemptsMax {
		held, err := c.readMapping(ctx, call, in.UUID)
		if err != nil {
			return nil, err
		}
		m := *held.Value
		if inMotion(&m) {
			return nil, api.NewResourceInUseException("Cannot delete the event source mapping because it is in use.")
		}
		m.State, m.Modified = record.MappingDeleting, c.now()
		put, err := record.Mappings.Put(held.Key, &m, store.IfRevision(held.Revision))
		if err != nil {
			return nil, err
		}
		_, err = c.table.Commit(ctx, put)
		if err == nil {
			c.settleMappingLater(held.Key, &m)
			return c.shown(ctx, held.Key, &m)
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, fault(err)
		}
	}
	return nil, api.NewResourceInUseException("Cannot delete the event source mapping because it is in use.")
}

func (c *Control) getEventSourceMapping(ctx context.Context, call *wire.Call, in *api.GetEventSourceMappingRequest) (*api.EventSourceMappingConfiguration, error) {
	held, err := c.readMapping(ctx, call, in.UUID)
	if err != nil {
		return nil, err
	}
	return c.shown(ctx, held.Key, held.Value)
}

func (c *Control) listEventSourceMappings(ctx context.Context, call *wire.Call, in *api.ListEventSourceMappingsRequest) (*api.ListEventSourceMappingsResponse, error) {
	var function record.Name
	if in.FunctionName != nil {
		var err error
		if function, err = c.named(call, in.FunctionName, nil); err != nil {
			return nil, err
		}
	}
	at, err := readMarker(value(in.Marker), 1)
	if err != nil {
		return nil, err
	}
	var after *record.Scoped
	if at[0] != "" {
		after = &record.Scoped{Scope: scopeOf(call), Name: at[0]}
	}
	limit := mappingItemsMax
	if in.MaxItems != nil {
		limit = min(limit, int(max(1, *in.MaxItems)))
	}
	out := &api.ListEventSourceMappingsResponse{EventSourceMappings: []api.EventSourceMappingConfiguration{}}
	for {
		page, more, err := record.Mappings.List(ctx, c.records, record.OfScope(scopeOf(call)), after, store.ListLimitMax)
		if err != nil {
			return nil, fault(err)
		}
		for i, h := range page {
			after = &page[i].Key
			m := h.Value
			if in.EventSourceArn != nil && m.Source != *in.EventSourceArn {
				continue
			}
			if in.FunctionName != nil && (m.Function.ID != function.ID || function.Qualifier != "" && m.Function.Qualifier != function.Qualifier) {
				continue
			}
			if len(out.EventSourceMappings) == limit {
				return out, nil
			}
			shown, err := c.shown(ctx, h.Key, m)
			if err != nil {
				return nil, err
			}
			out.EventSourceMappings = append(out.EventSourceMappings, *shown)
			out.NextMarker = writeMarker(h.Key.Name) // of the last one shown, if another one follows
		}
		if !more || len(page) == 0 {
			out.NextMarker = nil
			return out, nil
		}
	}
}

// readMapping reads what a request names by its UUID.
func (c *Control) readMapping(ctx context.Context, call *wire.Call, uuid *string) (heldMapping, error) {
	return c.mappingAt(ctx, record.Scoped{Scope: scopeOf(call), Name: value(uuid)})
}

func (c *Control) mappingAt(ctx context.Context, key record.Scoped) (heldMapping, error) {
	held, err := record.Mappings.Get(ctx, c.records, key)
	if errors.Is(err, store.ErrNotFound) {
		return held, notThere()
	}
	return held, fault(err)
}

// claimMapping fails where the source and the function have a mapping already.
func claimMapping(key record.Scoped, m *record.Mapping) (store.Write, error) {
	return record.MappingClaims.Put(record.MappingClaimKey(key.Scope, m.Source, m.Function), &record.MappingClaim{UUID: key.Name}, store.IfAbsent())
}

func dropClaim(key record.Scoped, m *record.Mapping) store.Write {
	return record.MappingClaims.Drop(record.MappingClaimKey(key.Scope, m.Source, m.Function), store.Unconditional())
}

// errNoDuplicate: somebody else wrote meanwhile, but no mapping like this one.
var errNoDuplicate = errors.New("control/lambda: too many changes of an event source mapping at once")

// duplicateMapping says which mapping has the source and the function.
func (c *Control) duplicateMapping(ctx context.Context, scope record.Scope, m *record.Mapping, source source) error {
	claim, err := record.MappingClaims.Get(ctx, c.records, record.MappingClaimKey(scope, m.Source, m.Function))
	if errors.Is(err, store.ErrNotFound) {
		return errNoDuplicate
	}
	if err != nil {
		return fault(err)
	}
	return api.NewResourceConflictException(source.kind.duplicate(m.Source, m.Function.ID.Name, claim.Value.UUID))
}
