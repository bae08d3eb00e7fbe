package node

import (
	"context"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
)

// view is what every view of records can do, whatever it holds.
type view interface {
	record.Follower
	Run(ctx context.Context) error
	Ready() <-chan struct{}
}

// openViews makes the views of what the control plane writes. None is followed before Run.
func (n *node) openViews() {
	n.functions = record.NewFunctions(n.storage.store, n.log)
	n.aliases = record.Aliases.View(n.storage.store, n.log)
	n.reserved = record.Concurrencies.View(n.storage.store, n.log)
	n.loops = record.Recursions.View(n.storage.store, n.log)
	n.policies = record.Policies.View(n.storage.store, n.log)
	n.events = record.EventInvokeConfigs.View(n.storage.store, n.log)
	n.urlView = record.FunctionURLs.View(n.storage.store, n.log)
	n.mappings = record.Mappings.View(n.storage.store, n.log)
}

// views are those of openViews, by what they hold.
func (n *node) views() map[string]view {
	return map[string]view{
		"functions":             n.functions,
		"aliases":               n.aliases,
		"reserved concurrency":  n.reserved,
		"recursive loops":       n.loops,
		"policies":              n.policies,
		"asynchronous invokes":  n.events,
		"function URLs":         n.urlView,
		"event source mappings": n.mappings,
	}
}

// seen are the store's records, whose writers wait for the views.
func (n *node) seen() store.Records {
	var followers []record.Follower
	for _, v := range n.views() {
		followers = append(followers, v)
	}
	return record.Seen(n.storage.store, followers...)
}
