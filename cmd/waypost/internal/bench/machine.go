package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
)

// probeTime is how long each limit of the machine is measured.
const probeTime = time.Second

// machine has the limits of the machine, which put the measurements into proportion.
type machine struct {
	CPUs int `json:"cpus"`
	// Load is the load average of the minute before the start, caused by other work. It is 0 if the system does not report it.
	Load      float64 `json:"load_average"`
	FsyncPerS float64 `json:"fsync_per_s"`
	HTTPPerS  float64 `json:"http_calls_per_s"`
}

// measureMachine measures the disk of dir and the loopback interface. Nothing else must run at the same time.
func measureMachine(ctx context.Context, dir string) (machine, error) {
	m := machine{CPUs: runtime.GOMAXPROCS(0)}
	text, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		_, err = fmt.Sscan(string(text), &m.Load)
	}
	if err != nil {
		m.Load = 0
	}
	if m.FsyncPerS, err = measureFsync(ctx, dir); err != nil {
		return m, fmt.Errorf("measure the machine: %w", err)
	}
	if m.HTTPPerS, err = measureHTTP(ctx); err != nil {
		return m, fmt.Errorf("measure the machine: %w", err)
	}
	return m, nil
}

// measureFsync appends blocks of 4 KiB, each made durable before the next.
func measureFsync(ctx context.Context, dir string) (float64, error) {
	path := filepath.Join(dir, "fsync.probe")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer os.Remove(path)
	defer f.Close()
	block := make([]byte, 4<<10)
	n, start := 0, time.Now()
	for ; time.Since(start) < probeTime && ctx.Err() == nil; n++ {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(start).Seconds(), ctx.Err()
}

// measureHTTP makes calls of a message's size over 32 kept connections.
func measureHTTP(ctx context.Context) (float64, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})}
	served := make(chan struct{})
	go func() {
		_ = server.Serve(l) // it ends with Close
		close(served)
	}()
	defer func() {
		_ = server.Close()
		<-served
	}()
	const workers = 32
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	body := bytes.Repeat([]byte("x"), 300)
	var calls, failed atomic.Int64
	var all sync.WaitGroup
	start := time.Now()
	for range workers {
		all.Go(func() {
			for time.Since(start) < probeTime && ctx.Err() == nil {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.Addr().String(), bytes.NewReader(body))
				if err == nil {
					_, err = apiclient.RoundTrip(client, req)
				}
				if err != nil {
					failed.Add(1)
					return
				}
				calls.Add(1)
			}
		})
	}
	all.Wait()
	if n := failed.Load(); n > 0 && ctx.Err() == nil {
		return 0, fmt.Errorf("%d bare calls over the loopback failed", n)
	}
	return float64(calls.Load()) / time.Since(start).Seconds(), ctx.Err()
}
