package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

const (
	// seedSpan is the time over which the seeded messages are spread, up to the present.
	seedSpan = 30 * 24 * time.Hour
	// seedWave is the number of messages in progress at once in the seeded log. Their events are interleaved, as in a real log.
	seedWave = 5000
	// seedWaveTime is the time that a wave takes to be accepted, and then to be read.
	seedWaveTime = 10 * time.Second
	// seedWriters is the number of concurrent appends.
	seedWriters = 64
	// seedOpen is the number of messages that wait for a time next month, and seedUndelivered the number of the last ones that WhatsApp
	// has accepted and not delivered.
	seedOpen, seedUndelivered = 500, 300
	// seedRecipients is the number of messages per recipient.
	seedRecipients = 5
	// seedCampaigns are the labels and templates that follow one another in time.
	seedCampaigns = 50
)

// Seed measures queries over many messages.
type Seed struct {
	Messages int           `help:"Number of messages to seed." default:"100000"`
	Senders  int           `help:"Number of senders. The first one sends two fifths of the messages." default:"20"`
	Queries  int           `help:"Number of times that each query is made." default:"200"`
	Verify   bool          `help:"Change one row and let a verification find it."`
	LagRate  int           `help:"Messages per second that are sent at the end to measure the lag of the read models. 0 sends none." default:"0"`
	LagFor   time.Duration `help:"How long to send them." default:"30s"`
}

// seedFile is the file in --dir that describes what was seeded there, so that queries can be measured again.
const seedFile = "seeded.json"

// seededLog describes the content of the event log.
type seededLog struct {
	Messages int       `json:"messages"`
	Senders  int       `json:"senders"`
	Since    time.Time `json:"since"`
	// Sent is the number of messages that were sent to measure the lag of the read models.
	Sent int `json:"sent"`
}

func (s seededLog) write(dir string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, seedFile), text, 0o600)
}

// Validate returns an error if a parameter is out of its range.
func (b Seed) Validate() error {
	switch {
	case b.Messages < 1000 || b.Messages > 100_000_000:
		return errors.New("--messages must be from 1000 to 100000000")
	case b.Senders < 2 || b.Senders > 1000:
		return errors.New("--senders must be from 2 to 1000")
	case b.Queries < 10 || b.Queries > 10_000:
		return errors.New("--queries must be from 10 to 10000")
	case b.LagRate < 0 || b.LagRate > 10_000:
		return errors.New("--lag-rate must be from 0 to 10000")
	}
	return nil
}

// Name returns the name of the scenario.
func (b Seed) Name() string { return "seed" }

// seedReport has the measurements of the scenario.
type seedReport struct {
	Machine  machine `json:"machine"`
	Messages int     `json:"messages"`
	Events   int64   `json:"events"`
	// Appended is the number of events written per second, and Rebuilt the number projected per second.
	Appended   float64       `json:"appended_per_s"`
	Rebuilt    float64       `json:"rebuilt_per_s"`
	RebuiltIn  time.Duration `json:"rebuilt_in_ns"`
	VerifiedIn time.Duration `json:"verified_in_ns"`
	Found      int64         `json:"differences_found"`
	Start      time.Duration `json:"start_ns"`
	Queries    []queryFigure `json:"queries"`
	Behind     *Percentiles  `json:"read_model_behind,omitempty"`
	LagRate    float64       `json:"lag_rate_per_s"`
	verified   bool
}

// queryFigure is how long a query takes over GraphQL.
type queryFigure struct {
	Name  string      `json:"name"`
	Goal  float64     `json:"goal_ms"` // of the 99th percentile
	Took  Percentiles `json:"took"`
	Found int         `json:"found"` // in the last answer
}

// Measure runs the scenario with data and logs in dir.
func (b Seed) Measure(ctx context.Context, dir string) (_ Report, err error) {
	f := seedReport{Messages: b.Messages, verified: b.Verify}
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, err
	}
	log := seededLog{Messages: b.Messages, Senders: b.Senders, Since: time.Now().Add(-seedSpan)}
	text, err := os.ReadFile(filepath.Join(dir, seedFile))
	filled := err == nil
	if filled {
		err = json.Unmarshal(text, &log)
		b.Messages, b.Senders, f.Messages = log.Messages, log.Senders, log.Messages
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	r, err := harness.Start(ctx, dir, nil, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	l := &Load{Client: r.Client, Senders: b.Senders, Batch: lifecycleBatch, Rate: float64(b.LagRate), Skip: b.Messages + log.Sent}
	if !filled {
		if err := l.Register(ctx, max(80, b.LagRate/b.Senders)); err != nil {
			return nil, err
		}
	}
	if err := r.Serve.Stop(); err != nil {
		return nil, err
	}
	if !filled {
		if err := b.fill(ctx, r.DataDir(), log.Since, &f); err != nil {
			return nil, err
		}
		if err := log.write(dir); err != nil {
			return nil, err
		}
	}
	syscall.Sync() // an installation was not filled a moment ago: the disk has all of it
	start := time.Now()
	if err := r.StartServe(ctx); err != nil {
		return nil, err
	}
	f.Start = time.Since(start)
	if f.Queries, err = b.ask(ctx, r.Client, log.Since); err != nil {
		return nil, err
	}
	if b.LagRate == 0 {
		return f, nil
	}
	n := int(float64(b.LagRate) * b.LagFor.Seconds())
	log.Sent += n
	if err := log.write(dir); err != nil {
		return nil, err
	}
	return f, b.lag(ctx, l, n, &f)
}

// fill writes the event log and builds its read models while Waypost is stopped.
func (b Seed) fill(ctx context.Context, dataDir string, since time.Time, f *seedReport) (err error) {
	log, err := platform.LogSettings{LogLevel: "warn", LogFormat: "text"}.Logger(io.Discard)
	if err != nil {
		return err
	}
	st, err := platform.OpenStores(ctx, &platform.Settings{DataDir: dataDir}, time.Now, log)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	stored := make(chan struct{})
	go func() {
		defer close(stored)
		_ = st.Vault.Run(running) // it ends only with running; what it could not store is found in the log
	}()
	defer func() {
		stop()
		<-stored
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), platform.CloseTimeout)
		defer cancel()
		err = errors.Join(err, st.Close(closing))
	}()
	s := &seeder{log: st.Log, n: b.Messages, senders: b.Senders, since: since}
	start := time.Now()
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	f.Events = s.events.Load()
	f.Appended = float64(f.Events) / time.Since(start).Seconds()
	o := postgres.RebuildOptions{URL: st.PostgresURL, Log: st.Log, LogID: st.LogID.String(), Logger: log, Vault: st.Vault}
	// A rebuild goes as far as the live models are, or to the end where there are none.
	if _, err := st.Pool.Exec(ctx, `UPDATE projection SET log_id = ''`); err != nil {
		return err
	}
	start = time.Now()
	if _, err := postgres.Rebuild(ctx, o); err != nil {
		return err
	}
	f.RebuiltIn = time.Since(start)
	f.Rebuilt = float64(f.Events) / f.RebuiltIn.Seconds()
	if !b.Verify {
		return nil
	}
	if _, err := st.Pool.Exec(ctx, `UPDATE message SET attempts = attempts + 1 WHERE id = $1`, s.id(b.Messages/3)); err != nil {
		return err
	}
	start = time.Now()
	v, err := postgres.Verify(ctx, o, func(postgres.Difference) error { return nil })
	if err != nil {
		return err
	}
	f.VerifiedIn, f.Found = time.Since(start), v.Differences
	_, err = st.Pool.Exec(ctx, `UPDATE message SET attempts = attempts - 1 WHERE id = $1`, s.id(b.Messages/3))
	return err
}

// lag sends n messages and measures the lag of the read models.
func (b Seed) lag(ctx context.Context, l *Load, n int, f *seedReport) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	group, watching := errgroup.WithContext(watching)
	var seen Lag
	group.Go(func() (err error) {
		seen, err = l.WatchLag(watching)
		return err
	})
	start := time.Now()
	err := l.Queue(ctx, n, func() bool { return false })
	f.LagRate = float64(l.Queued.Load()) / time.Since(start).Seconds()
	stop()
	if err := errors.Join(err, group.Wait()); err != nil {
		return err
	}
	reported := seen.reported.percentiles()
	f.Behind = &reported
	return nil
}

// seeder writes the event log of an installation that has sent messages for a month. The fate of the n-th message depends only on n.
type seeder struct {
	log     event.Log
	n       int
	senders int
	since   time.Time
	events  atomic.Int64
}

// run writes each message in two appends, one up to the response and one for what follows, interleaved with those of many others.
func (s *seeder) run(ctx context.Context) error {
	for first := 0; first < s.n; first += seedWave {
		wave := make([]seeded, min(seedWave, s.n-first))
		for half := range 2 {
			group, ctx := errgroup.WithContext(ctx)
			group.SetLimit(seedWriters)
			for i := range wave {
				group.Go(func() error { return s.append(ctx, first+i, &wave[i], half) })
			}
			if err := group.Wait(); err != nil {
				return err
			}
		}
	}
	return nil
}

// seeded is a message between its two appends.
type seeded struct {
	message  message.Message
	revision event.Revision
	key      event.KeyID
}

func (s *seeder) append(ctx context.Context, n int, m *seeded, half int) error {
	at := s.at(n)
	expected, subject := event.NoStream(), event.Subject{People: []string{seedNumber(n)}}
	var steps []func(message.Message) []message.Event
	if half == 0 {
		steps = s.opening(n, at)
	} else {
		steps, expected, subject = s.outcome(n, at), event.ExactRevision(m.revision), event.Subject{Key: m.key}
		at = at.Add(seedWaveTime)
	}
	var events []event.Proposed
	id := s.id(n)
	for _, step := range steps {
		for _, e := range step(m.message) {
			events = append(events, event.Proposed{ID: platform.NewID(), Event: e, Subject: subject, Meta: event.Meta{
				RecordedAt: at, Sender: s.sender(n), CorrelationID: id.String(), CausationID: "seed", By: domain.Platform("bench"),
			}})
			m.message = m.message.Apply(message.Record{Event: e, At: at})
		}
	}
	if len(events) == 0 {
		return nil
	}
	done, err := s.log.Append(ctx, event.MessageStream(id), expected, events...)
	m.revision, m.key = done.Revision, done.Key
	s.events.Add(int64(len(events)))
	return err
}

// seedPolicy is the platform's own.
func seedPolicy() message.Policy {
	return message.Policy{CallTimeout: 30 * time.Second, SettleAfter: 30 * time.Second, ThrottleLimit: 20}
}

// opening queues the message and makes its call, if it is due.
func (s *seeder) opening(n int, at time.Time) []func(message.Message) []message.Event {
	request := message.Request{
		Sender: s.sender(n), To: seedNumber(n), Content: seedContent(n, s.campaign(n)), Priority: seedPriority(n),
		OnAmbiguous: message.AmbiguityResend, IdempotencyKey: MessageKey(n), Labels: s.labels(n), Fingerprint: "seed",
	}
	if s.waits(n) {
		request.SendAt = time.Now().Add(seedSpan)
	}
	queue := func(message.Message) []message.Event {
		events, err := message.Queue(request, at)
		if err != nil {
			panic(err) // the seed's own content
		}
		return events
	}
	if s.waits(n) || seedFate(n) == message.StatusCancelled {
		return []func(message.Message) []message.Event{queue}
	}
	return []func(message.Message) []message.Event{
		queue,
		func(m message.Message) []message.Event { return message.Advance(m, seedPolicy(), false, at) },
		func(m message.Message) []message.Event {
			return message.FinishCall(m, 1, s.answer(n), seedPolicy(), at.Add(50*time.Millisecond))
		},
	}
}

func (s *seeder) answer(n int) message.CallResult {
	code := 131026
	switch seedFate(n) {
	case message.StatusFailed:
		return message.Refused{Failure: message.Failure{
			Code: &code, Category: message.CategoryRecipient, Class: message.ClassPermanent, Message: "Message undeliverable", HTTPStatus: 400,
		}}
	case message.StatusDeadLettered:
		code = 131000
		return message.Refused{Failure: message.Failure{
			Code: &code, Category: message.CategoryServer, Class: message.ClassTransient, Message: "Something went wrong", HTTPStatus: 500,
		}}
	default:
		return message.Accepted{WhatsAppID: seedWamid(n)}
	}
}

// outcome returns what happens to the message after the response.
func (s *seeder) outcome(n int, at time.Time) []func(message.Message) []message.Event {
	report := func(kind message.StatusKind) func(message.Message) []message.Event {
		return func(m message.Message) []message.Event {
			events, _ := message.RecordStatusUpdate(m, message.StatusUpdate{Kind: kind, Call: 1, WhatsAppID: seedWamid(n), At: at.Add(time.Second).Truncate(time.Second)})
			return events
		}
	}
	switch fate := seedFate(n); {
	case s.waits(n), fate == message.StatusFailed, fate == message.StatusDeadLettered, n >= s.n-seedOpen-seedUndelivered:
		return nil
	case fate == message.StatusCancelled:
		return []func(message.Message) []message.Event{func(m message.Message) []message.Event {
			events, _ := message.Cancel(m, "the campaign was stopped")
			return events
		}}
	case fate == message.StatusSent:
		return []func(message.Message) []message.Event{report(message.ReportSent)}
	case fate == message.StatusDelivered:
		return []func(message.Message) []message.Event{report(message.ReportSent), report(message.ReportDelivered)}
	}
	return []func(message.Message) []message.Event{report(message.ReportSent), report(message.ReportDelivered), report(message.ReportRead)}
}

// at is when the message was queued: each wave in seedWaveTime, and the waves spread
// over the span. What comes behind the answer is recorded with the wave's end.
func (s *seeder) at(n int) time.Time {
	waves := (s.n + seedWave - 1) / seedWave
	wave := s.since.Add(time.Duration(float64(n/seedWave) / float64(waves) * float64(seedSpan)))
	return wave.Add(time.Duration(n%seedWave) * seedWaveTime / seedWave)
}

func (s *seeder) sender(n int) string {
	if n%5 < 2 {
		return SenderID(0)
	}
	return SenderID(1 + n%(s.senders-1))
}

// id is that of the n-th message.
func (s *seeder) id(n int) uuid.UUID { return message.ID(s.sender(n), MessageKey(n)) }

func (s *seeder) waits(n int) bool { return n >= s.n-seedOpen }

func (s *seeder) campaign(n int) int { return n * seedCampaigns / s.n }

// labels: half of the messages belong to the campaign of their days, some to a region.
func (s *seeder) labels(n int) []message.Label {
	var labels []message.Label
	if n%2 == 0 {
		labels = append(labels, message.Label{Name: "campaign", Value: strconv.Itoa(s.campaign(n))})
	}
	if n%20 < 3 {
		labels = append(labels, message.Label{Name: "region", Value: strconv.Itoa(n % 20)})
	}
	return labels
}

// seedFate is where the message ends: of a thousand 15 fail, 10 are dead letters, 3 are
// cancelled, 2 stay sent, 100 are delivered and not read.
func seedFate(n int) message.Status {
	switch k := n * 7919 % 1000; {
	case k < 15:
		return message.StatusFailed
	case k < 25:
		return message.StatusDeadLettered
	case k < 28:
		return message.StatusCancelled
	case k < 30:
		return message.StatusSent
	case k < 130:
		return message.StatusDelivered
	}
	return message.StatusRead
}

func seedPriority(n int) message.Priority {
	switch k := n * 31 % 100; {
	case k < 5:
		return message.PriorityOTP
	case k < 60:
		return message.PriorityTransactional
	}
	return message.PriorityBulk
}

// seedContent: four in ten are templates, one in a thousand is a place.
func seedContent(n, campaign int) message.Content {
	switch k := n * 17 % 1000; {
	case k < 1:
		return message.Location{Latitude: 52.5, Longitude: 13.4, Name: "Office"}
	case k < 400:
		return message.Template{Name: fmt.Sprintf("offer_%d", campaign), Language: message.Language{Code: "en"}}
	}
	return message.Text{Body: "Your order is on its way."}
}

func seedNumber(n int) string { return fmt.Sprintf("+9198%08d", n/seedRecipients) }

func seedWamid(n int) string { return fmt.Sprintf("wamid.seed-%d", n) }

// ask makes each query many times.
func (b Seed) ask(ctx context.Context, c *harness.Client, since time.Time) ([]queryFigure, error) {
	var figures []queryFigure
	for _, q := range b.seedQueries(since) {
		took, found := newLatencies(), 0
		for i := range b.Queries {
			start := time.Now()
			var err error
			if found, err = q.ask(ctx, c, i); err != nil {
				return nil, fmt.Errorf("query %s: %w", q.name, err)
			}
			if i > 0 || b.Queries == 1 { // the first one has caches to fill
				took.record(time.Since(start))
			}
		}
		figures = append(figures, queryFigure{Name: q.name, Goal: q.goal, Took: took.percentiles(), Found: found})
	}
	return figures, nil
}

// Findings returns what Waypost did wrong.
func (f seedReport) Findings() []string {
	if f.verified && f.Events > 0 && f.Found != 1 {
		return []string{fmt.Sprintf("one row was changed, the verification found %d", f.Found)}
	}
	return nil
}

func (f seedReport) print(w *table) {
	w.linef("machine", "%d CPUs, load average %.1f before, %.0f fsync/s", f.Machine.CPUs, f.Machine.Load, f.Machine.FsyncPerS)
	if f.Events == 0 {
		w.linef("log", "%d messages, seeded before", f.Messages)
	} else {
		w.linef("log", "%d messages, %d events, written at %.0f events/s", f.Messages, f.Events, f.Appended)
		w.linef("rebuild", "%.0f events/s, in %s", f.Rebuilt, f.RebuiltIn.Round(time.Millisecond))
	}
	if f.verified && f.Events > 0 {
		w.linef("verify", "found %d changed row, in %s", f.Found, f.VerifiedIn.Round(time.Millisecond))
	}
	w.linef("start", "ready after %s", f.Start.Round(time.Millisecond))
	for _, q := range f.Queries {
		mark := ""
		if q.Took.P99 > q.Goal {
			mark = "  ABOVE"
		}
		w.linef(q.Name, "p50 %.1f, p99 %.1f, max %.1f ms (goal %.0f)%s; %d found", q.Took.P50, q.Took.P99, q.Took.Max, q.Goal, mark, q.Found)
	}
	if f.Behind != nil {
		w.linef("read models behind", "%v at %.0f messages/s", *f.Behind, f.LagRate)
	}
}
