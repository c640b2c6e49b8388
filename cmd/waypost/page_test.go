package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const (
	// pageTimeout bounds a test in the browser, the starts of browser and demo in it.
	pageTimeout = 55 * time.Second
	// pageWait bounds the wait for one thing to be shown.
	pageWait = 20 * time.Second
	// pagePoll is how often the page is asked for it.
	pagePoll = 100 * time.Millisecond
)

// startDemo starts the demo, which ends with the test.
func startDemo(ctx context.Context, t *testing.T) (pageURL, simulatorURL string) {
	t.Helper()
	addr, err := freeAddr()
	if err != nil {
		t.Fatal(err)
	}
	simulatorAddr, err := freeAddr()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c, err := startChild(dir, "demo", nil, "demo", "--addr", addr, "--simulator-addr", simulatorAddr,
		"--data-dir", filepath.Join(dir, "data"), "--traffic", "1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.stop(); err != nil {
			t.Errorf("stop: %v; its log ends: %s", err, c.tail())
		}
	})
	if err := c.ready(ctx, "http://"+addr+"/readyz"); err != nil {
		t.Fatal(err)
	}
	return "http://" + addr, "http://" + simulatorAddr
}

// browser is a tab of a headless Chromium.
type browser struct {
	ctx context.Context

	mu         sync.Mutex
	exceptions []string // uncaught ones
	errors     []string // of the console: what scripts and the browser write there
}

// startBrowser starts Chromium, which ends with the test. Where there is none
// the test is skipped, or fails if REQUIRE_STORES is 1.
func startBrowser(ctx context.Context, t *testing.T) *browser {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), // a container's /dev/shm is often too small
		chromedp.WSURLReadTimeout(pageWait), chromedp.WindowSize(1280, 900),
	}
	// Not ctx: that ends before the cleanup, which closes the browser in good order.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), pageTimeout)
	allocator, endAllocator := chromedp.NewExecAllocator(bounded, options...)
	tab, endTab := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		defer cancel()
		if err := chromedp.Cancel(tab); err != nil {
			t.Logf("the browser did not close in good order: %v", err)
		}
		endTab()
		endAllocator()
	})
	b := &browser{ctx: tab}
	chromedp.ListenTarget(tab, b.listen)
	// The first Run starts the browser, which lives as long as the context of that Run.
	if err := chromedp.Run(tab, runtime.Enable(), cdplog.Enable()); err != nil {
		t.Fatalf("start of the browser: %v", err)
	}
	return b
}

func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "neither chromium, chromium-browser nor google-chrome is in PATH; install one to test the page"
	if os.Getenv("REQUIRE_STORES") == "1" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.exceptions = append(b.exceptions, e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeAssert {
			var text strings.Builder
			for _, arg := range e.Args {
				fmt.Fprintf(&text, "%s %s ", arg.Value, arg.Description)
			}
			b.errors = append(b.errors, text.String())
		}
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.LevelError {
			b.errors = append(b.errors, fmt.Sprintf("%s (%s)", e.Entry.Text, e.Entry.URL))
		}
	}
}

// run runs actions; what they do is named in the failure.
func (b *browser) run(t *testing.T, doing string, actions ...chromedp.Action) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageWait)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", doing, err)
	}
}

// await waits until the JavaScript expression holds; if it does not, the
// failure shows the page's text.
func (b *browser) await(t *testing.T, what, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageWait)
	defer cancel()
	err := chromedp.Run(ctx, chromedp.Poll(expression, nil, chromedp.WithPollingInterval(pagePoll), chromedp.WithPollingTimeout(0)))
	if err == nil {
		return
	}
	shown, cancelShown := context.WithTimeout(b.ctx, time.Second)
	defer cancelShown()
	var text string
	if err := chromedp.Run(shown, chromedp.Evaluate(`document.body.innerText`, &text)); err != nil {
		text = err.Error()
	}
	t.Fatalf("the page does not show %s: %v; it shows: %s", what, err, text)
}

// quiet fails for each exception and each error in the console.
func (b *browser) quiet(t *testing.T) {
	t.Helper()
	b.noExceptions(t)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.errors {
		t.Errorf("error in the console: %.120s … %s", text, text[max(0, len(text)-250):])
	}
}

// noExceptions fails for each uncaught exception of the page's scripts.
func (b *browser) noExceptions(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.exceptions {
		t.Errorf("uncaught exception: %.300s", text)
	}
}

// simulatorControl are the simulator's settings.
func simulatorControl(ctx context.Context, t *testing.T, simulatorURL string) map[string]any {
	t.Helper()
	body, err := getOK(ctx, simulatorURL+"/control")
	if err != nil {
		t.Fatal(err)
	}
	var control map[string]any
	if err := json.Unmarshal(body, &control); err != nil {
		t.Fatal(err)
	}
	return control
}

func TestPageShowsAndDrivesTheDemo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), pageTimeout)
	defer cancel()
	b := startBrowser(ctx, t)
	pageURL, simulatorURL := startDemo(ctx, t)

	b.run(t, "open the page", chromedp.Navigate(pageURL+"/"))
	b.await(t, "the demo's sender", `document.querySelector('#senders article[aria-label="Sender Demo"]')?.innerText.includes("demo")`)
	b.await(t, "a ledger that balances and counts", `document.getElementById("balanced").textContent === "balanced" &&
		[...document.querySelectorAll("#ledger div")].some(d => d.querySelector("dt").textContent === "accepted" && Number(d.querySelector("dd").textContent) > 0)`)
	// A row that is there before it is read shows that rows change while they are watched.
	b.await(t, "a message that is not read yet", `(() => {
		const row = [...document.querySelectorAll("#messages tr")].find(tr => tr.querySelector(".chip").textContent !== "read");
		if (row) window.watched = row;
		return Boolean(row);
	})()`)
	b.await(t, "the same row as read", `window.watched.isConnected && window.watched.querySelector(".chip").textContent === "read"`)

	t.Run("queue", func(t *testing.T) {
		var id string
		b.run(t, "queue a message",
			chromedp.SendKeys("#queue input[name=to]", "+14155550101", chromedp.ByQuery),
			chromedp.SendKeys("#queue textarea", "Your table is ready.", chromedp.ByQuery),
			chromedp.Click("#queue button", chromedp.ByQuery))
		b.await(t, "that the message is accepted", `document.querySelector("#queue-note a") !== null`)
		b.run(t, "read its id", chromedp.Evaluate(`document.querySelector("#queue-note a").hash.slice(1)`, &id))
		b.await(t, "the queued message as read", fmt.Sprintf(
			`document.querySelector('#messages button[title=%q]')?.closest("tr").querySelector(".chip").textContent === "read"`, id))
		b.await(t, "its details, read too", fmt.Sprintf(
			`(t => t.includes(%q) && t.includes("Your table is ready.") && t.includes("Read"))(document.getElementById("found").textContent)`, id))
	})

	t.Run("break and mend", func(t *testing.T) {
		if before := simulatorControl(ctx, t, simulatorURL); before["drop_response_rate"] != 0.0 {
			t.Fatalf("the demo starts with drop_response_rate %v; want 0", before["drop_response_rate"])
		}
		b.run(t, "drop answers", chromedp.SendKeys("#drop", kb.End, chromedp.ByQuery))
		b.await(t, "that one thing is broken", `document.getElementById("broken").textContent === "1 thing broken"`)
		if rate := simulatorControl(ctx, t, simulatorURL)["drop_response_rate"]; rate != 1.0 {
			t.Errorf("with the slider at its end drop_response_rate is %v; want 1", rate)
		}
		b.run(t, "mend it", chromedp.Click("#mend", chromedp.ByQuery))
		b.await(t, "that nothing is broken", `document.getElementById("broken").textContent === "nothing broken"`)
		mended := simulatorControl(ctx, t, simulatorURL)
		if mended["drop_response_rate"] != 0.0 || !reflect.DeepEqual(mended["hang_numbers"], []any{}) && mended["hang_numbers"] != nil {
			t.Errorf("mended, the simulator's settings are %v; want nothing dropped or hung", mended)
		}
	})

	b.quiet(t)

	t.Run("playground", func(t *testing.T) {
		b.run(t, "open GraphiQL", chromedp.Navigate(pageURL+"/playground"))
		b.await(t, "GraphiQL", `document.querySelector(".graphiql-execute-button") !== null`)
		b.run(t, "run the query", chromedp.Click(".graphiql-execute-button", chromedp.ByQuery))
		b.await(t, "the demo's sender in the answer", `(t => t.includes('"senders"') && t.includes('"demo"'))(document.querySelector(".graphiql-response")?.textContent ?? "")`)
		b.quiet(t)
	})
}

// A page of another name that is rebound to 127.0.0.1 must not get the key.
func TestDemoAnswersUnderLoopbackHostsOnly(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	pageURL, _ := startDemo(ctx, t)
	for host, want := range map[string]int{
		"127.0.0.1": http.StatusOK, "127.0.0.1:8080": http.StatusOK, "[::1]": http.StatusOK, "[::1]:8080": http.StatusOK,
		"localhost": http.StatusOK, "localhost:8080": http.StatusOK, "LOCALHOST:8080": http.StatusOK,
		"rebound.example": http.StatusForbidden, "rebound.example:8080": http.StatusForbidden, "192.0.2.7:8080": http.StatusForbidden,
		"localhost.rebound.example": http.StatusForbidden, "127.0.0.1.rebound.example": http.StatusForbidden, "0.0.0.0:8080": http.StatusForbidden,
	} {
		for _, route := range []struct{ method, path, body string }{
			{http.MethodGet, "/demo.json", ""}, {http.MethodGet, "/demo/control", ""}, {http.MethodPut, "/demo/control", "{}"},
		} {
			req, err := http.NewRequestWithContext(ctx, route.method, pageURL+route.path, strings.NewReader(route.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			got := res.StatusCode
			if got == http.StatusNoContent {
				got = http.StatusOK
			}
			if got != want {
				t.Errorf("%s %s under the host %s is answered %d; want %d", route.method, route.path, host, got, want)
			}
		}
	}
}
