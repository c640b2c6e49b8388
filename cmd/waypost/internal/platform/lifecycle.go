package platform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/ports/httpapi"
)

// CloseTimeout bounds closing a part that has nothing left to do.
const CloseTimeout = 5 * time.Second

// A part runs until its context ends. If it returns an error before that, the process ends.
type part struct {
	name string // empty if errors name the part already
	run  func(context.Context) error
}

// lifecycle has the parts of a process. The roles register them; start runs all of them. They outlive the interrupt that ends the
// process: stop ends those that serve requests first, and then the others.
type lifecycle struct {
	// serving and running are the contexts of the parts that serve requests and of all others.
	serving, running         context.Context //nolint:containedctx // parts are registered before they run
	stopServing, stopRunning context.CancelFunc
	servers, others          []part
	serveWait, runWait       sync.WaitGroup
	failed                   chan error // one failure is enough to end the process
}

func newLifecycle(ctx context.Context) *lifecycle {
	l := &lifecycle{failed: make(chan error, 1)}
	background := context.WithoutCancel(ctx)
	l.serving, l.stopServing = context.WithCancel(background)
	l.running, l.stopRunning = context.WithCancel(background)
	return l
}

// run registers a part.
func (l *lifecycle) run(name string, run func(context.Context) error) {
	l.others = append(l.others, part{name, run})
}

// repeat registers a part that calls do at an interval. do handles its own errors.
func (l *lifecycle) repeat(name string, interval time.Duration, do func(context.Context) error) {
	l.run(name, func(ctx context.Context) error { return every(ctx, interval, do) })
}

// repeatAfter registers a part that calls do when it receives from signal, at most once per interval. do handles its own errors.
func (l *lifecycle) repeatAfter(name string, signal <-chan struct{}, interval time.Duration, do func(context.Context) error) {
	l.run(name, func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-signal:
			}
			_ = do(ctx)
			if err := retry.Sleep(ctx, interval); err != nil {
				return err
			}
		}
	})
}

// signal makes the receiver of c look, now or after what it does. It doesn't block.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// serve registers a server on an open port.
func (l *lifecycle) serve(s *httpapi.Server, on net.Listener) {
	l.servers = append(l.servers, part{run: func(ctx context.Context) error { return s.Serve(ctx, on) }})
}

// start runs the registered parts. The ports are served last.
func (l *lifecycle) start() {
	for _, p := range l.others {
		l.runWait.Go(func() { l.guard(l.running, p) })
	}
	for _, p := range l.servers {
		l.serveWait.Go(func() { l.guard(l.serving, p) })
	}
}

func (l *lifecycle) guard(ctx context.Context, p part) {
	err := p.run(ctx)
	if err == nil || ctx.Err() != nil {
		return
	}
	if p.name != "" {
		err = fmt.Errorf("%s: %w", p.name, err)
	}
	select {
	case l.failed <- err:
	default:
	}
}

// stop ends the parts that serve requests, then all others, and waits for them.
func (l *lifecycle) stop() {
	l.stopServing()
	l.serveWait.Wait()
	l.stopRunning()
	l.runWait.Wait()
}

// every calls do at an interval until ctx ends. do handles its own errors.
func every(ctx context.Context, interval time.Duration, do func(context.Context) error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			_ = do(ctx)
		}
	}
}

// Wait returns after ctx ended or a part failed, and everything has stopped.
func (p *Platform) Wait(ctx context.Context) error {
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-p.parts.failed:
	case failure = <-p.stores.failures(watching):
	}
	if failure != nil {
		p.log.ErrorContext(ctx, "a part failed; the process ends", "error", failure)
	}
	return errors.Join(failure, p.Close())
}

// Close stops everything in order. Dispatch drains while webhooks are still received. Then HTTP ends, then the projections and all
// other parts, then the stores.
func (p *Platform) Close() error {
	var errs []error
	p.draining.Store(true)
	if p.dispatcher != nil && p.settings.has(roleDispatch) {
		p.log.Info("draining: no new calls are made, waiting for those in flight", slog.String("atMost", p.settings.DrainTimeout.String()))
		ctx, cancel := context.WithTimeout(context.Background(), p.settings.DrainTimeout)
		p.dispatcher.Drain(ctx)
		cancel()
	}
	if p.api != nil { // before HTTP, because subscriptions last as long as their readers want
		ctx, cancel := context.WithTimeout(context.Background(), CloseTimeout)
		errs = append(errs, p.api.Close(ctx))
		cancel()
	}
	p.dir.withdraw() // before other processes can take the ports
	p.parts.stop()
	p.stopTraces()
	ctx, cancel := context.WithTimeout(context.Background(), 2*CloseTimeout)
	defer cancel()
	errs = append(errs, p.stores.Close(ctx))
	p.dir.leave()
	p.log.Info("waypost has ended")
	return errors.Join(errs...)
}
