package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	apiiam "github.com/lambdad/lambdad/internal/api/iam"
	apilambda "github.com/lambdad/lambdad/internal/api/lambda"
	apilogs "github.com/lambdad/lambdad/internal/api/logs"
	apists "github.com/lambdad/lambdad/internal/api/sts"
	"github.com/lambdad/lambdad/internal/artifact/signature"
	"github.com/lambdad/lambdad/internal/aws"
	controliam "github.com/lambdad/lambdad/internal/control/iam"
	"github.com/lambdad/lambdad/internal/control/lambda"
	controllogs "github.com/lambdad/lambdad/internal/control/logs"
	controlsts "github.com/lambdad/lambdad/internal/control/sts"
	"github.com/lambdad/lambdad/internal/frontend/functionurl"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// assembleAPI fills the slots of the generated services and puts a server before them.
func (n *node) assembleAPI(ctx context.Context) (err error) {
	publishers, err := signature.ReadProfiles(n.config.SigningProfile)
	if err != nil {
		return fmt.Errorf("--signing-profile: %w", err)
	}
	options := lambda.Options{
		Store:        n.seen(),
		Functions:    n.functions,
		Policies:     n.policies,
		Keys:         n.storage.keys,
		Artifacts:    n.storage.artifacts,
		Runtimes:     n.storage.catalog,
		Images:       n.storage.images,
		Isolation:    n.isolation,
		Destinations: destinations{n},
		Signatures:   publishers,
		Sources:      eventSources{n},
		Domain:       n.config.Domain,
		Limits:       lambda.Limits{ConcurrentExecutions: n.config.Concurrency, MemoryMiB: n.memoryMiB},
		SettleAfter:  n.config.PendingWindow,
		Log:          n.log,
	}
	logOptions := controllogs.Options{Logs: n.logs, Subscribers: logSubscribers{n}}
	if n.config.Auth != AuthNone {
		logOptions.Authorizer = n.authority
		options.Roles = executionRoles{n.authority}
		options.Authorizer = n.authority
	}
	if n.control, err = lambda.New(ctx, options); err != nil {
		return err
	}
	functions := n.control.Handlers()
	functions.Invoke = n.frontend.Invoke
	functions.InvokeAsync = n.frontend.InvokeAsync
	functions.InvokeWithResponseStream = n.frontend.InvokeWithResponseStream

	// The code in sandboxes gets the services and downloads, not the node's own state.
	inside := internalRoutes{lambda.CodePath: n.control.CodeHandler(), record.FunctionURLPath: n.urls}
	outside := internalRoutes{
		lambda.CodePath:     n.control.CodeHandler(),
		"/_lambdad/health":  healthHandler(n.health),
		"/_lambdad/metrics": n.metrics.Handler(),
		UsagePath:           usageHandler{node: n, now: time.Now},

		record.FunctionURLPath: n.urls,
	}

	if err := n.assembleQueues(ctx); err != nil {
		return err
	}
	n.services = []*wire.Service{
		apilambda.NewService(functions),
		apiiam.NewService(controliam.Handlers(n.authority)),
		apists.NewService(controlsts.Handlers(n.authority)),
		apilogs.NewService(controllogs.Handlers(logOptions)),
		n.queues.API(),
	}
	if n.api, err = n.newServer(outside); err != nil {
		return err
	}
	n.inside, err = n.newServer(inside)
	return err
}

func (n *node) newServer(internal http.Handler) (*wire.Server, error) {
	return wire.NewServer(wire.Config{
		Services:      n.services,
		Authenticator: n.authority,
		Region:        aws.Region(n.config.Region),
		Domains:       []string{n.config.Domain},
		Internal:      internal,
		Log:           n.log,
	})
}

func (n *node) health() Health {
	stats := n.assigner.Stats()
	return Health{
		Status: n.phase.get(), Region: n.config.Region, Auth: string(n.config.Auth),
		Running: stats.Running, Idle: stats.Idle, UsedMiB: stats.UsedMiB, MemMiB: stats.TotalMiB,
	}
}

// serveSandbox serves the API to the code in one sandbox, until the sandbox closes its
// listener.
func (n *node) serveSandbox(l net.Listener) {
	p := newPace()
	server := newHTTPServer(p.handler(edge{n.urls, n.inside}), n.log)
	// The listener ends with its sandbox, which is how this always ends.
	_ = server.Serve(n.inside.Listener(newPacedListener(l, p)))
	_ = server.Close()
}

// edge sends requests to the hosts of function URLs their own way.
type edge struct {
	urls *functionurl.Handler
	api  http.Handler
}

func (e edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e.urls.Hosted(r) {
		e.urls.ServeHTTP(w, r)
		return
	}
	e.api.ServeHTTP(w, r)
}

func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler,
		// "OPTIONS *" is answered as everything else is.
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            headerTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               headerBytesMax,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
