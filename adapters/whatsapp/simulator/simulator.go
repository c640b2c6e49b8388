package simulator

import (
	"bytes"
	"context"
	"crypto/hmac"
	crand "crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/app/retry"
)

// Options configure the start of a simulator.
type Options struct {
	// Addr is the address to listen on. If empty, 127.0.0.1 and a free port are used.
	Addr string
	// WebhookURL is where webhooks are sent. If not empty, it overrides Control.WebhookURL.
	WebhookURL string
	// AppSecret signs the webhooks. Required with a WebhookURL.
	AppSecret string
	// VerifyToken is sent to the receiver, as Meta does when a webhook is set up. No webhook is sent until the receiver
	// has responded correctly. If empty, the receiver is not verified.
	VerifyToken string
	// BusinessAccountID is the business account of all numbers. If empty, it is "100200300400500".
	BusinessAccountID string
	// Control contains the settings at the start. If nil, DefaultControl is used.
	Control *Control
	// OperatorKey is the bearer token that /control, /inbound, /log, and /stats require. If empty, they are open.
	OperatorKey string
	// Logger receives warnings and errors. If nil, nothing is logged.
	Logger *slog.Logger
}

// Version is the API version in URL. Calls can use any version.
const Version = "v25.0"

// Simulator is a running Cloud API.
type Simulator struct {
	log     *slog.Logger
	account string
	secret  []byte
	verify  string
	started time.Time

	operatorKey string

	run      uint32 // distinguishes this run's message IDs from those of others
	server   *http.Server
	listener net.Listener
	webhooks *http.Client

	initial   Control // the settings at the start
	settings  atomic.Pointer[settings]
	control   sync.Mutex // serializes changes of settings
	numbers   numbers
	ledger    *ledger
	outbox    *outbox
	calls     callLog
	tally     tally
	anonymous atomic.Uint64 // calls without callback data
	wamids    atomic.Uint64
	traces    atomic.Uint64
	spoken    atomic.Uint64 // texts that users wrote in turn
	media     mediaFiles
	people    people
	reports   accountReports

	unused    sync.Map // connections without a request so far
	closing   chan struct{}
	closeOnce sync.Once
	stop      context.CancelFunc // of all background work except the webhooks in flight
	abort     context.CancelFunc // of the webhooks in flight
	work      sync.WaitGroup
}

// Start starts a simulator. It serves from the return of Start until Close. ctx limits only the start.
func Start(ctx context.Context, o Options) (*Simulator, error) {
	control := DefaultControl()
	if o.Control != nil {
		control = *o.Control
	}
	if o.WebhookURL != "" {
		control.WebhookURL = o.WebhookURL
	}
	if err := control.validate(); err != nil {
		return nil, err
	}
	if control.WebhookURL != "" && o.AppSecret == "" {
		return nil, errors.New("webhooks must be signed: set an app secret, or no webhook URL")
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.BusinessAccountID == "" {
		o.BusinessAccountID = "100200300400500"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", o.Addr, err)
	}

	s := &Simulator{
		log: o.Logger, account: o.BusinessAccountID, secret: []byte(o.AppSecret), verify: o.VerifyToken,
		operatorKey: o.OperatorKey, initial: control, started: time.Now(), listener: listener, ledger: newLedger(),
		tally: tally{answers: make(map[string]int64)}, reports: accountReports{more: make(chan struct{}, 1)}, closing: make(chan struct{}),
		webhooks: &http.Client{Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			MaxIdleConnsPerHost: 1024,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true,
		}},
	}
	var run [4]byte
	crand.Read(run[:]) // never fails
	s.run = binary.BigEndian.Uint32(run[:])
	s.settings.Store(newSettings(control))
	s.outbox = newOutbox(s.settings.Load, s.clock, s.post, s.ledger, s.log, s.account)
	s.outbox.setOpen(s.verify == "")

	posting, abort := context.WithCancel(context.WithoutCancel(ctx))
	background, stop := context.WithCancel(posting)
	s.stop, s.abort = stop, abort
	s.server = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext:       withConnection,
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.unused.Store(c, nil)
			} else {
				s.unused.Delete(c)
			}
		},
	}
	s.work.Go(func() {
		if err := s.server.Serve(stampingListener{listener}); !errors.Is(err, http.ErrServerClosed) {
			s.log.ErrorContext(ctx, "simulator stopped serving", "error", err)
		}
	})
	s.work.Go(func() { s.outbox.run(background, posting) })
	s.work.Go(func() { s.writeInbound(background) })
	s.work.Go(func() { s.sendReports(background) })
	if s.verify != "" {
		s.work.Go(func() { s.verifyReceiver(background) })
	}
	return s, nil
}

func (s *Simulator) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{version}/{phone_number_id}/messages", s.serveMessages)
	mux.HandleFunc("GET /{version}/{id}", s.serveNode)
	mux.HandleFunc("GET /{version}/{id}/subscribed_apps", s.serveSubscription)
	mux.HandleFunc("GET /{version}/{id}/message_templates", s.serveTemplates)
	mux.HandleFunc("GET /"+mediaPath+"/{id}", s.serveFile)
	mux.HandleFunc("POST /inbound", s.operated(s.serveInbound))
	mux.HandleFunc("GET /control", s.operated(s.serveControl))
	mux.HandleFunc("PUT /control", s.operated(s.changeControl))
	mux.HandleFunc("GET /log", s.operated(s.serveLog))
	mux.HandleFunc("GET /stats", s.operated(s.serveStats))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.writeError(w, r, s.settings.Load(), &apiError{
			status: http.StatusBadRequest, code: 2500, message: "Unknown path components: " + r.URL.Path,
		})
	})
	return mux
}

// operated returns a handler that calls h only for requests with the operator's key, if there is one.
func (s *Simulator) operated(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		want := "Bearer " + s.operatorKey
		if s.operatorKey != "" && subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(want)) != 1 {
			http.Error(w, "the simulator's settings and log require its operator key", http.StatusUnauthorized)
			return
		}
		h(w, r)
	}
}

// Addr returns the address that the simulator listens on, as host:port.
func (s *Simulator) Addr() string { return s.listener.Addr().String() }

// URL returns the base URL of the API, with a version and without a final slash.
func (s *Simulator) URL() string { return "http://" + s.Addr() + "/" + Version }

// Control returns the current settings.
func (s *Simulator) Control() Control { return s.settings.Load().Control }

// SetControl replaces the settings, for calls that arrive from then on.
func (s *Simulator) SetControl(c Control) error {
	s.control.Lock()
	defer s.control.Unlock()
	return s.setControl(c)
}

func (s *Simulator) setControl(c Control) error {
	if err := c.validate(); err != nil {
		return err
	}
	if c.WebhookURL != "" && len(s.secret) == 0 {
		return errors.New(`setting "webhook_url" requires an app secret, which can be set only at the start`)
	}
	after := newSettings(c)
	before := s.settings.Swap(after)
	s.outbox.wakeUp()
	changes := append(accountChanges(before, after), templateChanges(before.templates, after.templates)...)
	if len(changes) > 0 && c.WebhookURL != "" {
		return s.reports.add(s.account, changes)
	}
	return nil
}

// UpdateControl changes the settings named in data, a JSON object, as PUT /control does. null restores the value that a
// setting had at the start.
func (s *Simulator) UpdateControl(data []byte) (Control, error) {
	s.control.Lock()
	defer s.control.Unlock()
	c, err := s.Control().Update(data, s.initial)
	if err != nil {
		return Control{}, err
	}
	return c, s.setControl(c)
}

// Close stops serving: calls in progress end, and webhooks in flight get their response, until ctx ends. Updates that
// are still pending are lost, because the simulator stores nothing.
func (s *Simulator) Close(ctx context.Context) error {
	s.closeOnce.Do(func() { close(s.closing) })
	// Clients open connections in reserve, and Shutdown would wait 5 s for a request on each.
	s.unused.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("simulator: calls were still in progress: %w", err), s.server.Close())
	}
	s.stop()
	detach := context.AfterFunc(ctx, s.abort)
	s.work.Wait()
	detach()
	s.abort()
	s.webhooks.CloseIdleConnections()
	return err
}

// clock returns the monotonic time since the start.
func (s *Simulator) clock() time.Duration { return time.Since(s.started) }

// sleep waits and reports whether the simulator is still running.
func (s *Simulator) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closing:
		return false
	}
}

// post sends a signed webhook.
func (s *Simulator) post(ctx context.Context, to string, body []byte) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "facebookexternalua")
	request.Header.Set("X-Hub-Signature-256", sign(s.secret, body))
	answer, err := s.webhooks.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	return answer.StatusCode, err
}

// sign returns the value of X-Hub-Signature-256 for a body.
func sign(secret, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// verifyReceiver asks the receiver to prove that it knows the verify token, until it does.
func (s *Simulator) verifyReceiver(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		err := s.challenge(ctx)
		if err == nil {
			s.outbox.setOpen(true)
			return
		}
		if failures == 0 {
			s.log.WarnContext(ctx, "webhook not verified, will be retried", "error", err)
		}
		failures++
		_ = retry.Sleep(ctx, max(redelivery(failures), 200*time.Millisecond))
	}
}

func (s *Simulator) challenge(ctx context.Context) error {
	target, err := url.Parse(s.Control().WebhookURL)
	if err != nil {
		return err
	}
	challenge := strconv.FormatUint(uint64(s.run), 10)
	query := target.Query()
	query.Set("hub.mode", "subscribe")
	query.Set("hub.challenge", challenge)
	query.Set("hub.verify_token", s.verify)
	target.RawQuery = query.Encode()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	answer, err := s.webhooks.Do(request)
	if err != nil {
		return errors.Unwrap(err) // without the URL, which contains the token
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || string(body) != challenge {
		return fmt.Errorf("the receiver responded with status %d, not the challenge: check its verify token", answer.StatusCode)
	}
	return nil
}

var jsonContent = []string{"application/json; charset=UTF-8"}

// respond sends the response to a successful API call.
func (s *Simulator) respond(w http.ResponseWriter, r *http.Request, body []byte) {
	s.writeTraced(w, r, http.StatusOK, body, s.trace())
}

func (s *Simulator) writeTraced(w http.ResponseWriter, r *http.Request, status int, body []byte, trace string) {
	h := w.Header()
	h["Content-Type"] = jsonContent
	h["Facebook-Api-Version"] = []string{r.PathValue("version")}
	h["X-Fb-Trace-Id"] = []string{trace}
	w.WriteHeader(status)
	w.Write(body) // ignore errors: the caller may have left
}

func (s *Simulator) writeError(w http.ResponseWriter, r *http.Request, set *settings, e *apiError) {
	if e.throttles() {
		if set.RetryAfter > 0 {
			seconds := math.Ceil(time.Duration(set.RetryAfter).Seconds())
			w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
		}
		switch e.code {
		case 4:
			w.Header().Set("X-App-Usage", `{"call_count":100,"total_cputime":12,"total_time":14}`)
		case 80007:
			w.Header().Set("X-Business-Use-Case-Usage", `{"`+s.account+`":[{"type":"whatsapp","call_count":100,"total_cputime":22,"total_time":31,"estimated_time_to_regain_access":1}]}`)
		}
	}
	trace := s.trace()
	s.writeTraced(w, r, e.statusFor(set), e.body(trace), trace)
}

// statusFor returns the HTTP status of the error's response.
func (e *apiError) statusFor(set *settings) int {
	if e.throttles() {
		return set.ThrottleStatus
	}
	return e.status
}

// trace returns a new trace ID.
func (s *Simulator) trace() string {
	id := strconv.FormatUint(uint64(s.run)<<24+s.traces.Add(1), 32)
	return "A" + strings.ToUpper(id)
}

// cut closes the connection of a call without a response.
func (s *Simulator) cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // already closed
	}
	conn.Close()
}

func (s *Simulator) serveStats(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Stats()) }

func (s *Simulator) serveControl(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Control()) }

// maxControl bounds the settings of one request: 6,000 templates have 2 MiB.
const maxControl = 16 << 20

func (s *Simulator) changeControl(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControl))
	if err == nil {
		var c Control
		if c, err = s.UpdateControl(data); err == nil {
			writeJSON(w, c)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(v) // the client has gone
}
