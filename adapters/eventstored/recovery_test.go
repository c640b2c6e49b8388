package eventstored_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/eventstored/store"
)

// childDir names the variable with the directory whose store a child process of the test serves until it is killed.
const childDir = "EVENTSTORED_TEST_CHILD_DIR"

// runChild turns this process into the server if it was started as a child.
func runChild() {
	if path := os.Getenv(childSocket); path != "" {
		runDialer(path)
	}
	dir := os.Getenv(childDir)
	if dir == "" {
		return
	}
	s, err := eventstored.Open(context.Background(), eventstored.Options{Dir: dir, Addr: "127.0.0.1:0", Insecure: true})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(s.TCPURL())
	<-s.Err()
	os.Exit(1)
}

// startChild serves dir in another process.
func startChild(t testing.TB, dir string) (cmd *exec.Cmd, url string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(self)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "esdb://") {
		t.Fatalf("child printed %q, %v", line, err)
	}
	return cmd, strings.TrimSpace(line)
}

// kill -9 under load, repeatedly, at any moment: every acknowledged event is in the store afterward, once, at the
// acknowledged place. An unacknowledged append is there as a whole or not at all. For a longer run:
//
//	EVENTSTORED_KILLS=200 go test ./adapters/eventstored -run TestKilledUnderLoad -v -timeout 60m
func TestKilledUnderLoad(t *testing.T) {
	dir := t.TempDir()
	const writers = 8
	rounds := 4
	if more, err := strconv.Atoi(os.Getenv("EVENTSTORED_KILLS")); err == nil {
		rounds = more
	}
	type acknowledged struct {
		events   []esdb.EventData
		revision uint64
		position uint64
	}
	acks := map[string][]acknowledged{}
	var mu sync.Mutex
	for round := range rounds {
		child, url := startChild(t, dir)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		var wg sync.WaitGroup
		enough := make(chan struct{})
		reached := sync.OnceFunc(func() { close(enough) })
		killAt := 1 + rand.IntN(200) // appends of the fastest writer
		for w := range writers {
			// Each writer has its own client: calls that share one can hang forever, past their context, when its
			// server dies.
			client := connect(t, url)
			wg.Go(func() {
				stream := fmt.Sprintf("r%d-w%d", round, w)
				for i := 0; ; i++ {
					events := newEvents(1 + i%3)
					res, err := client.AppendToStream(ctx, stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, events...)
					if err != nil {
						return
					}
					mu.Lock()
					acks[stream] = append(acks[stream], acknowledged{events, res.NextExpectedVersion, res.CommitPosition})
					mu.Unlock()
					if i+1 == killAt {
						reached()
					}
				}
			})
		}
		select {
		case <-enough:
		case <-ctx.Done():
			t.Errorf("round %d: no writer reached %d appends", round, killAt)
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // killed, so it returns an error
		wg.Wait()        // every client stops after ten attempts to find its server, about a second
		cancel()
	}

	_, c := start(t, func(o *eventstored.Options) { o.Dir = dir })
	all := readAll(t, c, esdb.ReadAllOptions{From: esdb.Start{}}, everything)
	next := map[string]uint64{}
	for i, e := range all {
		if i > 0 && e.Event.Position.Commit <= all[i-1].Event.Position.Commit {
			t.Fatal("positions do not grow")
		}
		if e.Event.EventNumber != next[e.Event.StreamID] {
			t.Fatalf("%s: revision %d, want %d", e.Event.StreamID, e.Event.EventNumber, next[e.Event.StreamID])
		}
		next[e.Event.StreamID]++
	}
	total := 0
	for stream, appends := range acks {
		events, err := readStream(t, c, stream, esdb.ReadStreamOptions{})
		if err != nil {
			t.Fatalf("%s: %v", stream, err)
		}
		i := 0
		for _, a := range appends {
			for _, want := range a.events {
				if i == len(events) || events[i].Event.EventID != want.EventID {
					t.Fatalf("%s: acknowledged event %d is lost", stream, i)
				}
				i++
			}
			if last := events[i-1].Event; last.EventNumber != a.revision || last.Position.Commit != a.position {
				t.Fatalf("%s: acknowledged at %d/%d, stored at %d/%d", stream, a.revision, a.position, last.EventNumber, last.Position.Commit)
			}
			total++
		}
		// At most the one append whose response was lost can follow.
		if rest := len(events) - i; rest != 0 && rest != 1+len(appends)%3 {
			t.Errorf("%s: %d unacknowledged events are stored", stream, rest)
		}
	}
	t.Logf("%d appends acknowledged over %d kills", total, rounds)
}

// A crash can leave a torn end of the log: half a block, or garbage. The store then opens with everything that was
// synced before it. If an acknowledged append is torn, the store does not open.
func TestTornEndOfLog(t *testing.T) {
	for name, tear := range map[string]func(f *os.File, size int64) error{
		"cut off": func(f *os.File, size int64) error { return f.Truncate(size - 7) },
		"zeros at the end": func(f *os.File, size int64) error {
			_, err := f.WriteAt(make([]byte, 4096), size)
			return err
		},
		"half a record": func(f *os.File, size int64) error {
			_, err := f.WriteAt([]byte{0xde, 0xad, 0xbe, 0xef, 0x40, 0x00, 0x05, 1, 0, 0, 0}, size)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			child, url := startChild(t, dir)
			client := connect(t, url)
			for range 20 {
				mustAppend(t, client, "s", esdb.Any{}, newEvents(2)...)
			}
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = child.Wait() // killed, so it returns an error
			newestLog(t, dir, tear)

			want := 40
			accept := name == "cut off" // the last append was removed completely
			if accept {
				want = 38
				_, err := eventstored.Open(testContext(t), eventstored.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
				var shorter *store.ShorterError
				if !errors.As(err, &shorter) {
					t.Fatalf("opens with an acknowledged append cut off: %v", err)
				}
			}
			s, c := start(t, func(o *eventstored.Options) { o.Dir, o.AcceptShorterLog = dir, accept })
			if (s.Shorter() != nil) != accept {
				t.Errorf("it reports that %v is missing", s.Shorter())
			}
			events, err := readStream(t, c, "s", esdb.ReadStreamOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if len(events) != want {
				t.Errorf("%d events, want %d", len(events), want)
			}
			mustAppend(t, c, "s", esdb.Revision(uint64(want-1)), newEvent("After"))
		})
	}
}

// newestLog applies tear to the end of the written part of the newest write-ahead log.
func newestLog(t *testing.T, dir string, tear func(f *os.File, size int64) error) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no log in %s: %v", dir, err)
	}
	f, err := os.OpenFile(logs[len(logs)-1], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	size := len(strings.TrimRight(string(content), "\x00"))
	if err := errors.Join(tear(f, int64(size)), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestOpenTellsWhatIsWrong(t *testing.T) {
	open := func(change func(*eventstored.Options)) error {
		opts := eventstored.Options{Dir: filepath.Join(t.TempDir(), "data"), Addr: "127.0.0.1:0", Insecure: true, Logger: slog.New(slog.DiscardHandler)}
		change(&opts)
		s, err := eventstored.Open(context.Background(), opts)
		if err == nil {
			return errors.Join(s.Close(testContext(t)), errors.New("opened"))
		}
		return err
	}
	running := startServer(t)
	inUse := t.TempDir()
	startServer(t, func(o *eventstored.Options) { o.Dir = inUse })
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	for name, tt := range map[string]struct {
		change func(*eventstored.Options)
		want   error
		text   string
	}{
		"port taken": {
			func(o *eventstored.Options) { o.Addr = running.Addr() }, syscall.EADDRINUSE,
			"address " + running.Addr() + " is in use by another program",
		},
		"directory in use": {
			func(o *eventstored.Options) { o.Dir = inUse }, store.ErrLocked,
			inUse + ": data directory is in use by another process",
		},
		"a file in the way": {
			func(o *eventstored.Options) { o.Dir = filepath.Join(file, "data") }, syscall.ENOTDIR,
			"part of its path is a file",
		},
		"disk full": {
			func(o *eventstored.Options) { o.MinFreeBytes = 1 << 60 }, store.ErrDiskFull,
			"disk is full",
		},
		"no directory": {func(o *eventstored.Options) { o.Dir, o.Addr = "", "" }, nil, "no data directory configured"},
		"no address":   {func(o *eventstored.Options) { o.Addr = "nonsense" }, nil, `cannot listen on "nonsense"`},
	} {
		t.Run(name, func(t *testing.T) {
			err := open(tt.change)
			if tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %s", err, tt.text)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

func TestFolderThatIsNotWritable(t *testing.T) {
	if os.Geteuid() == 0 {
		// Root can write everywhere except where the system forbids it.
		_, err := eventstored.Open(context.Background(), eventstored.Options{Dir: "/proc/waypost", Addr: "127.0.0.1:0", Insecure: true})
		if err == nil || !strings.Contains(err.Error(), "/proc/waypost") {
			t.Fatalf("got %v", err)
		}
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	_, err := eventstored.Open(context.Background(), eventstored.Options{Dir: dir, Addr: "127.0.0.1:0", Insecure: true})
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "is not writable") {
		t.Fatalf("got %v", err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	child, _ := startChild(t, dir)
	t.Cleanup(func() {
		if err := child.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = child.Wait() // killed, so it returns an error
	})
	_, err := eventstored.Open(context.Background(), eventstored.Options{Dir: dir, Addr: "127.0.0.1:0", Insecure: true})
	if !errors.Is(err, store.ErrLocked) {
		t.Fatalf("got %v, want %v", err, store.ErrLocked)
	}
}

// Damage in the middle of the data is found at the start, or at the first read of the damaged part, and the error names
// the file.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	inDir := func(o *eventstored.Options) { o.Dir = dir }
	s, c := start(t, inDir)
	for range 50 {
		mustAppend(t, c, "s", esdb.Any{}, newEvents(20)...)
	}
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	s, c = start(t, inDir) // opening flushes the log into a table
	mustAppend(t, c, "s", esdb.Any{}, newEvent("Happened"))
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	for _, table := range tables {
		content, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		for i := range content[:len(content)*9/10] {
			content[i] ^= 0xff
		}
		if err := os.WriteFile(table, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err = eventstored.Open(context.Background(), eventstored.Options{Dir: dir, Addr: "127.0.0.1:0", Insecure: true, Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = <-s.Err()
		if closeErr := s.Close(testContext(t)); closeErr != nil {
			t.Error(closeErr)
		}
	}
	if !errors.Is(err, store.ErrCorrupted) || !strings.Contains(err.Error(), ".sst") {
		t.Fatalf("got %v, want the damaged file's name", err)
	}
}
