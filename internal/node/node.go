package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/assignment"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/control/lambda"
	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/frontend/functionurl"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/poller/async"
	"github.com/lambdad/lambdad/internal/poller/sqspoller"
	"github.com/lambdad/lambdad/internal/poller/streampoller"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/services/sqs"
	"github.com/lambdad/lambdad/internal/telemetry"
	"github.com/lambdad/lambdad/internal/telemetry/logs"
	"github.com/lambdad/lambdad/internal/telemetry/metering"
	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/internal/worker"
)

// Bounds of the HTTP servers. A whole request may take as long as the largest
// package needs on a slow line; its header may not.
const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 120 * time.Second
	headerBytesMax = 64 << 10
	// flushMax bounds how long the last log lines may take to reach the disk.
	flushMax = 10 * time.Second
)

// node is one assembled lambdad.
type node struct {
	config      Config
	log         *slog.Logger
	storage     *storage
	authority   *iam.Authority
	logs        *logs.Logs
	usage       *metering.Meter
	functions   *record.Functions
	aliases     *record.View[record.Qualified, record.Alias]
	reserved    *record.View[record.Qualified, record.Concurrency]
	policies    *record.View[record.Qualified, record.Policy]
	events      *record.View[record.Qualified, record.EventInvokeConfig]
	loops       *record.View[record.Qualified, record.Recursion]
	async       *async.Queue
	mappings    *record.View[record.Scoped, record.Mapping]
	queuePoller *sqspoller.Poller
	// remoteQueues is nil where the operator has named no endpoint of SQS.
	remoteQueues *sqspoller.Remote
	streams      *streams
	streamPoller *streampoller.Poller
	urlView      *record.View[record.Qualified, record.FunctionURL]
	urls         *functionurl.Handler
	isolation    *isolation
	memoryMiB    int // what all environments together may promise
	worker       *worker.Worker
	assigner     *assignment.Assigner
	frontend     *frontend.Frontend
	control      *lambda.Control
	queues       *sqs.Service
	services     []*wire.Service
	api          *wire.Server // for clients
	inside       *wire.Server // for the code in sandboxes
	metrics      *telemetry.Metrics
	prepare      *preparer
	snapshots    *snapshotter
	provision    *assignment.Provisioner
	phase        phase
}

// Run assembles a node and runs it until ctx ends, then drains it. It returns nil
// after an orderly stop. out gets lambdad's own log.
func Run(ctx context.Context, config Config, out io.Writer) (err error) {
	n := &node{config: config, log: newLogger(config, out), metrics: telemetry.NewMetrics(), prepare: newPreparer()}
	n.phase.set("starting")
	defer func() { err = errors.Join(err, n.close()) }()
	// First of all: whoever connects early waits instead of being refused, and an
	// address that is taken is told before anything is made.
	listener, err := net.Listen("tcp", config.Listen)
	if err != nil {
		return fmt.Errorf("listen (is another lambdad running?): %w", err)
	}
	defer listener.Close() // twice is harmless
	if err := n.assemble(ctx); err != nil {
		return err
	}
	return n.serve(ctx, listener)
}

// assemble constructs the rooms from the bottom up.
func (n *node) assemble(ctx context.Context) (err error) {
	if n.storage, err = openStorage(n.config, n.log); err != nil {
		return err
	}
	if n.authority, err = iam.Open(ctx, iam.Options{Records: n.storage.store, Mode: iam.Mode(n.config.Auth), Log: n.log}); err != nil {
		return err
	}
	if err := n.bootstrap(ctx); err != nil {
		return err
	}
	n.logs = logs.Open(n.storage.store, logs.Options{Log: n.log})
	if n.usage, err = metering.Open(metering.Options{Records: n.storage.store, Log: n.log}); err != nil {
		return err
	}
	n.openViews()
	if err := n.assembleInvokePath(ctx); err != nil {
		return err
	}
	return n.assembleAPI(ctx)
}

// bootstrap makes the administrator on the first start and leaves its key in the
// data folder; a lost file is written again.
func (n *node) bootstrap(ctx context.Context) error {
	key, created, err := n.authority.Bootstrap(ctx)
	if err != nil {
		return err
	}
	if key.AccessKeyID == "" {
		return nil // the administrator deleted this key
	}
	if err := writeCredentials(n.config, key.AccessKeyID, key.SecretAccessKey); err != nil {
		return err
	}
	if created {
		n.log.Info("first start: made account 000000000000 with an administrator key", "file", CredentialsFile(n.config))
	}
	return nil
}

func (n *node) assembleInvokePath(ctx context.Context) error {
	policy, err := record.NewIsolationPolicy(n.config.Isolation, n.config.IsolationFloor)
	if err != nil {
		return err
	}
	n.isolation = &isolation{policy: policy, functions: n.functions, drivers: newDrivers(n.config, n.log)}
	if err := n.isolation.drivers.begin(ctx, policy.Used()); err != nil {
		return err
	}
	if n.memoryMiB, err = memoryBudgetMiB(n.config.MemoryMiB); err != nil {
		return err
	}
	reach, why, err := network(n.config.Egress)
	if err != nil {
		return err
	}
	if why != "" {
		n.log.Info("functions reach lambdad only, not the internet", "why", why)
	}
	meter := &usageMeter{metrics: newInvokeMetrics(n.metrics, func() assignment.Stats { return n.assigner.Stats() }), usage: n.usage}
	n.worker, err = worker.New(worker.Options{
		Drivers:         n.isolation.drivers.driver,
		Code:            n.storage.artifacts,
		Images:          n.storage.images,
		Runtimes:        n.storage.runtimeSource(aws.Region(n.config.Region), n.log),
		Credentials:     functionCredentials{n.authority},
		Keys:            n.storage.keys,
		Logs:            n.logs,
		Endpoint:        n.serveSandbox,
		Meter:           meter,
		Templates:       worker.TemplatesMode(n.config.Templates),
		TemplatesMemory: templatesBytes(n.memoryMiB),
		SnapshotLost:    func(fn *record.Function, why error) { n.snapshots.lost(fn, why) },
		StartedMax:      n.config.startedMax(),
		Network:         reach,
		Extender:        extender(n.config, n.log),
		CredentialsTTL:  n.config.CredentialsTTL,
		Log:             n.log,
	})
	if err != nil {
		return err
	}
	n.assigner, err = assignment.New(assignment.Options{Host: assignment.OnWorker(n.worker), MemoryMiB: n.memoryMiB, Config: assignment.Config{ScalingRate: n.config.ScalingRate}, Isolation: n.isolation.of, Log: n.log})
	if err != nil {
		return err
	}
	n.functions.Subscribe(n.assigner.FunctionChanged)
	n.functions.Subscribe(n.prepare.functionChanged)
	n.snapshots = newSnapshotter(n.functions, record.NewTable(n.storage.store), n.log, n.makeSnapshot, n.remakeSnapshot)
	n.functions.Subscribe(n.snapshots.functionChanged)
	n.provision = assignment.NewProvisioner(n.assigner, n.functions, record.NewTable(n.storage.store), meter)
	n.async, err = async.New(async.Options{
		Queues: n.storage.store, Functions: n.functions, Configs: n.events, Reserved: n.reserved, Sender: destinations{n},
		Invoke: func(ctx context.Context, r *frontend.Request) (frontend.Answer, error) {
			return n.frontend.Run(ctx, r)
		},
		TimeScale: n.config.EventTimeScale, Idle: newCores().idle, Log: n.log,
	})
	if err != nil {
		return err
	}
	n.frontend, err = frontend.New(frontend.Options{Functions: n.functions, Aliases: n.aliases, Invoker: n.assigner, Events: n.async, Recursions: n.loops, Keys: n.storage.keys, Log: n.log, Meter: meter, CrossAccount: n.config.Auth != AuthNone, Concurrency: n.config.Concurrency})
	if err != nil {
		return err
	}
	n.reserved.Subscribe(n.reservedChanged)
	if at := (destinations{n}).endpoints()["sqs"]; at != nil {
		n.remoteQueues = sqspoller.NewRemote(at)
	}
	n.queuePoller, err = sqspoller.New(sqspoller.Options{
		Mappings: n.mappings, Functions: n.functions, Queues: eventSources{n}, Invoke: n.frontend.Run, Log: n.log,
	})
	if err != nil {
		return err
	}
	if n.streamPoller, err = n.newStreamPoller(); err != nil {
		return err
	}
	n.urls, err = functionurl.New(functionurl.Options{
		URLs: n.urlView, Policies: n.policies, Aliases: n.aliases, Authority: n.authority, Invoke: n.frontend.Run, Domain: n.config.Domain, Log: n.log,
	})
	return err
}

// serve tells that the node is ready, answers, and drains when ctx ends.
func (n *node) serve(ctx context.Context, listener net.Listener) error {
	// Background work outlives ctx: it ends after the drain.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	failed := make(chan error, 16) // one for each start: none waits to tell
	start := func(what string, run func(context.Context) error) {
		running.Go(func() {
			if err := run(background); err != nil && background.Err() == nil {
				failed <- fmt.Errorf("%s: %w", what, err)
			}
		})
	}
	views := n.views()
	for what, v := range views {
		start("records of "+what, v.Run)
	}
	for _, v := range views {
		select {
		case <-v.Ready():
		case err := <-failed:
			stop()
			return err
		case <-ctx.Done():
			stop()
			return nil
		}
	}
	start("control plane", n.control.Run)
	n.logs.Deliver(logSubscribers{n}.deliver)
	running.Go(func() {
		n.storage.keys.Run(background, func(err error) {
			n.log.Error("the folder of keys cannot be read; what was known of it goes on", "error", err)
		})
	})
	start("preparing of runtimes", func(ctx context.Context) error { return n.prepare.run(ctx, n.prepareRuntime) })
	start("snapshots of versions", n.snapshots.run)
	start("provisioned concurrency", n.provision.Run)
	start("records of provisioned concurrency", n.watchProvisioned)
	// What waits is taken up until the drain begins.
	start("asynchronous invokes", func(life context.Context) error {
		if err := n.async.Run(ctx, life); !errors.Is(err, ctx.Err()) {
			return err
		}
		return nil
	})
	start("polling of queues", func(life context.Context) error {
		if err := n.queuePoller.Run(ctx, life); !errors.Is(err, ctx.Err()) {
			return err
		}
		return nil
	})
	start("polling of streams", func(life context.Context) error {
		if err := n.streamPoller.Run(ctx, life); !errors.Is(err, ctx.Err()) {
			return err
		}
		return nil
	})
	server := newHTTPServer(edge{n.urls, n.api}, n.log)
	start("HTTP server", func(context.Context) error {
		if err := server.Serve(n.api.Listener(listener)); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	n.phase.set("ready")
	n.log.Info("ready", "endpoint", "http://"+listener.Addr().String(), "region", n.config.Region, "auth", n.config.Auth, "data", n.config.Data)
	if n.config.Auth == AuthNone {
		n.log.Warn("no authentication: any key works; only this machine can connect")
	}

	var runErr error
	select {
	case <-ctx.Done():
	case runErr = <-failed:
	}
	n.drain(server)
	stop()
	running.Wait()
	return runErr
}

// drain takes no new invokes, lets running ones finish, then closes the connections.
func (n *node) drain(server *http.Server) {
	n.phase.set("draining")
	n.log.Info("draining: no new invokes, waiting for running ones", "running", n.assigner.Stats().Running, "atMost", n.config.DrainTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), n.config.DrainTimeout)
	defer cancel()
	if err := n.assigner.Drain(ctx); err != nil {
		n.log.Warn("stopped before all invokes had ended", "error", err)
	}
	n.queues.Drain()
	const answersMax = 5 * time.Second // for answers on their way to clients
	closing, cancelClosing := context.WithTimeout(context.Background(), answersMax)
	defer cancelClosing()
	if err := server.Shutdown(closing); err != nil {
		server.Close()
	}
}

// close gives up what assemble made, in the opposite order, whatever of it there is.
func (n *node) close() error {
	var errs []error
	errs = append(errs, n.closeQueues())
	if n.assigner != nil {
		errs = append(errs, n.assigner.Close())
	}
	if n.worker != nil {
		errs = append(errs, n.worker.Close())
	}
	if n.isolation != nil {
		errs = append(errs, n.isolation.drivers.Close())
	}
	if n.usage != nil {
		ctx, cancel := context.WithTimeout(context.Background(), flushMax)
		defer cancel()
		errs = append(errs, n.usage.Close(ctx))
	}
	if n.logs != nil {
		ctx, cancel := context.WithTimeout(context.Background(), flushMax)
		defer cancel()
		errs = append(errs, n.logs.Close(ctx))
	}
	if n.authority != nil {
		errs = append(errs, n.authority.Close())
	}
	if n.storage != nil {
		errs = append(errs, n.storage.Close())
	}
	return errors.Join(errs...)
}
