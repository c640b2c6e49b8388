package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

const (
	// pageTimeout bounds the start of the demo. What a test does in the browser has no bound as a
	// whole, because tests grow; pageWait bounds each step.
	pageTimeout = e2etest.Timeout
	// pageWait bounds the wait for one thing to be shown.
	pageWait = 30 * time.Second
	// pagePoll is how often the page is asked for it.
	pagePoll = 100 * time.Millisecond
)

// startDemo starts the demo, which ends with the test.
func startDemo(ctx context.Context, t *testing.T) *demoProcess {
	t.Helper()
	d := newDemo(t)
	d.start(ctx, t)
	t.Cleanup(func() { d.stop(t) })
	return d
}

// demoProcess is a demo that can be started again on the same addresses and data.
type demoProcess struct {
	dir, addr, simulatorAddr string

	child *harness.Child
	link  string // what it prints to be opened
}

// dataDir returns the data directory that contains the demo's.
func (d *demoProcess) dataDir() string { return filepath.Join(d.dir, "waypost-data") }

func (d *demoProcess) url() string { return "http://" + d.addr }

// simulator is the simulator's settings as who has the link sees them.
func (d *demoProcess) simulator() simulatorAccess {
	_, secret, _ := strings.Cut(d.link, "#key=")
	return simulatorAccess{url: "http://" + d.simulatorAddr, key: secret}
}

// simulatorAccess is how to reach a simulator's settings.
type simulatorAccess struct{ url, key string }

func newDemo(t *testing.T) *demoProcess {
	t.Helper()
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	simulatorAddr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return &demoProcess{dir: t.TempDir(), addr: addr, simulatorAddr: simulatorAddr}
}

func (d *demoProcess) start(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	c, err := harness.StartChild(d.dir, "demo", nil, "demo", "--addr", d.addr, "--simulator-addr", d.simulatorAddr,
		"--data-dir", platform.DemoDir(d.dataDir()), "--traffic", "1")
	if err != nil {
		t.Fatal(err)
	}
	d.child = c
	if err := c.Ready(ctx, "http://"+d.addr+"/readyz"); err != nil {
		t.Fatal(err)
	}
	before := d.link
	e2etest.Await(ctx, t, "its link", func() bool {
		links := regexp.MustCompile(`http://\S+/#key=\S+`).FindAllString(e2etest.ReadLog(t, c.Log), -1)
		if len(links) > 0 {
			d.link = links[len(links)-1]
		}
		return d.link != before
	})
}

func (d *demoProcess) stop(t *testing.T) {
	t.Helper()
	if d.child == nil {
		return
	}
	if err := d.child.Stop(); err != nil {
		t.Errorf("stop: %v; its log ends: %s", err, d.child.Tail())
	}
	d.child = nil
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
	allocator, endAllocator := chromedp.NewExecAllocator(context.WithoutCancel(ctx), options...)
	// Chromium knows more events than chromedp, which calls each of them an error.
	tab, endTab := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(func() {
		kill := time.AfterFunc(pageWait, endAllocator)
		defer kill.Stop()
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

// run runs actions; what they do is named in the failure. They are repeated when the page has replaced an element between the
// time it was found and the time it was used, as a person would use the new one.
func (b *browser) run(t *testing.T, doing string, actions ...chromedp.Action) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageWait)
	defer cancel()
	var err error
	for begun := false; !begun || replaced(err) && ctx.Err() == nil; begun = true {
		err = chromedp.Run(ctx, actions...)
	}
	if err != nil {
		t.Fatalf("%s: %v", doing, err)
	}
}

// replaced reports whether an action failed because its element is no longer part of the page.
func replaced(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "Could not find node") || strings.Contains(err.Error(), "Node is detached"))
}

// await waits until the JavaScript expression holds, on another page too if the tab goes there. One that throws doesn't
// hold yet, because it may be about an element that is still missing. If it never holds, the failure shows what it threw
// last, and the page's text.
func (b *browser) await(t *testing.T, what, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageWait)
	defer cancel()
	expression = "(() => { try { return (" + expression + ") } catch (error) { globalThis.thrown = error; return false } })()"
	var err error
	for begun := false; !begun || left(err) && ctx.Err() == nil; begun = true {
		err = chromedp.Run(ctx, chromedp.Poll(expression, nil, chromedp.WithPollingInterval(pagePoll), chromedp.WithPollingTimeout(0)))
	}
	if err == nil {
		return
	}
	shown, cancelShown := context.WithTimeout(b.ctx, time.Second)
	defer cancelShown()
	var text string
	// A form with an invalid field says so outside of the document.
	const all = `[globalThis.thrown ?? "", ...[...document.querySelectorAll("input:invalid, select:invalid, textarea:invalid")].map(
		field => "invalid: " + field.name + "=" + JSON.stringify(field.value) + ": " + field.validationMessage), document.body.innerText].join("\n")`
	if err := chromedp.Run(shown, chromedp.Evaluate(all, &text)); err != nil {
		text = err.Error()
	}
	t.Fatalf("the page does not show %s: %v; it shows: %s", what, err, text)
}

// left reports whether the tab went to another page during an action.
func left(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "navigated") || strings.Contains(err.Error(), "Cannot find context"))
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

// click clicks what the selector finds, once it is there and enabled.
func (b *browser) click(t *testing.T, selector string) {
	t.Helper()
	// A person scrolls what is behind the bar at the top into view.
	center := chromedp.Evaluate(fmt.Sprintf(`document.querySelector(%q)?.scrollIntoView({ block: "center" })`, selector), nil)
	b.run(t, "click "+selector, chromedp.WaitEnabled(selector, chromedp.ByQuery), center, point(selector), chromedp.Click(selector, chromedp.ByQuery))
}

// point moves the pointer to what the selector finds, as a person does before a click. From then on, a live list keeps its
// rows in place.
func point(selector string) chromedp.Action {
	move := chromedp.QueryAfter(selector, func(ctx context.Context, _ runtime.ExecutionContextID, nodes ...*cdp.Node) error {
		quads, err := dom.GetContentQuads().WithNodeID(nodes[0].NodeID).Do(ctx)
		if err != nil {
			return err
		}
		if len(quads) == 0 {
			return fmt.Errorf("%s has no area", selector)
		}
		corners := quads[0]
		return input.DispatchMouseEvent(input.MouseMoved, (corners[0]+corners[4])/2, (corners[1]+corners[5])/2).Do(ctx)
	}, chromedp.ByQuery, chromedp.NodeVisible)
	// What came before is drawn with it.
	drawn := chromedp.Poll(fmt.Sprintf(`!document.querySelector(%q)?.closest("[data-pointed=false]")`, selector), nil)
	return chromedp.Tasks{move, drawn}
}

// fill types into an empty field.
func (b *browser) fill(t *testing.T, selector, text string) {
	t.Helper()
	b.run(t, "fill "+selector, chromedp.WaitVisible(selector, chromedp.ByQuery), chromedp.SendKeys(selector, text, chromedp.ByQuery))
}

// set gives a field another value and says so to the page, as a person's choice does.
func (b *browser) set(t *testing.T, selector, value string) {
	t.Helper()
	b.run(t, "set "+selector, chromedp.WaitVisible(selector, chromedp.ByQuery), chromedp.Evaluate(fmt.Sprintf(`(() => {
		const field = document.querySelector(%q);
		field.value = %q;
		for (const type of ["input", "change"]) field.dispatchEvent(new Event(type, { bubbles: true }));
	})()`, selector, value), nil))
}

// holdBack makes the page wait before it sends requests of an operation, such as "query Messages". held is an expression for
// the number of waiting requests. release sends them, or fails them as if the server were unavailable.
func (b *browser) holdBack(t *testing.T, operation string) (held string, release func(fails bool)) {
	t.Helper()
	b.run(t, "hold back "+operation, chromedp.Evaluate(fmt.Sprintf(`void (({ fetch }, { promise, resolve }) => {
		window.heldBack = 0;
		window.release = fails => { window.fetch = fetch; resolve(fails); };
		window.fetch = async (...request) => {
			if (/%s\b/.test(request[1]?.body) && (window.heldBack++, await promise)) throw new TypeError("held back");
			return fetch(...request);
		};
	})(window, Promise.withResolvers())`, operation), nil))
	return `window.heldBack`, func(fails bool) {
		t.Helper()
		b.run(t, "release "+operation, chromedp.Evaluate(fmt.Sprintf(`window.release(%t)`, fails), nil))
	}
}

// awaitFocus waits until what the selector finds has the focus, and no dialog is open.
func (b *browser) awaitFocus(t *testing.T, selector string) {
	t.Helper()
	b.await(t, "the focus on "+selector, fmt.Sprintf(`document.querySelector("dialog") === null && document.activeElement.matches(%q)`, selector))
}

// visit goes to a view of the page that is open.
func (b *browser) visit(t *testing.T, hash string) {
	t.Helper()
	b.run(t, "go to "+hash, chromedp.Evaluate(fmt.Sprintf("void (location.hash = %q)", hash), nil))
}

// awaitText waits until what the selector finds has the text somewhere in it.
func (b *browser) awaitText(t *testing.T, selector, text string) {
	t.Helper()
	b.await(t, fmt.Sprintf("%q in %s", text, selector), fmt.Sprintf(`document.querySelector(%q)?.innerText.includes(%q)`, selector, text))
}

// simulatorControl are the simulator's settings.
func simulatorControl(ctx context.Context, t *testing.T, s simulatorAccess) map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, pageWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/control", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	body, err := apiclient.RoundTrip(http.DefaultClient, req)
	if err != nil {
		t.Fatal(err)
	}
	var control map[string]any
	if err := json.Unmarshal(body, &control); err != nil {
		t.Fatal(err)
	}
	return control
}

// setSimulator changes the simulator's settings.
func setSimulator(ctx context.Context, t *testing.T, s simulatorAccess, settings string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, pageWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.url+"/control", strings.NewReader(settings))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	if _, err := apiclient.RoundTrip(http.DefaultClient, req); err != nil {
		t.Fatal(err)
	}
}

func TestPageShowsAndDrivesTheDemo(t *testing.T) { //nolint:tparallel // its subtests share a page
	t.Parallel()
	ctx := t.Context()
	b := startBrowser(ctx, t)
	d := startDemo(ctx, t)
	simulator := d.simulator()

	b.run(t, "open the page", chromedp.Navigate(d.url()+"/"))
	b.awaitText(t, "#sign-in", "open the link that it printed in the terminal")
	b.run(t, "open the link", chromedp.Navigate(d.link))
	b.await(t, "that the secret is no longer in the address", `location.hash === "#/"`)
	b.await(t, "the demo's sender", `document.querySelector("#queues tbody th")?.innerText.includes("Demo")`)
	b.await(t, "a ledger that balances and counts", `document.getElementById("balanced")?.textContent === "balanced" &&
		[...document.querySelectorAll("#ledger div")].some(d => d.querySelector("dt")?.textContent === "Accepted" && Number(d.querySelector("dd").textContent) > 0)`)
	b.visit(t, "#/messages")
	// A row that is there before it is read shows that rows change while they are watched.
	b.await(t, "a message that is not read yet", `(() => {
		const row = [...document.querySelectorAll("#messages tbody tr")].find(tr => tr.querySelector(".chip").textContent !== "read");
		if (row) window.watched = row;
		return Boolean(row);
	})()`)
	b.await(t, "the same row as read", `window.watched.isConnected && window.watched.querySelector(".chip").textContent === "read"`)
	// New rows would move the one that is about to be clicked.
	b.run(t, "point at a row", point("#messages tbody tr"), chromedp.Evaluate(`void (window.first = document.querySelector("#messages tbody tr"))`, nil))
	b.awaitText(t, "#live-messages", "shown when the pointer leaves the list")
	b.await(t, "the same first row", `document.querySelector("#messages tbody tr") === window.first`)
	b.run(t, "point elsewhere", input.DispatchMouseEvent(input.MouseMoved, 1, 1))
	b.await(t, "a new first row", `document.querySelector("#messages tbody tr") !== window.first`)

	pauseTheFeed(t, b)

	var id string
	t.Run("queue", func(t *testing.T) {
		b.visit(t, "#/queue")
		b.fill(t, "#queue input[name=to]", "+1 415 555 0101")
		b.fill(t, "#queue textarea", "Your table is ready.")
		b.click(t, "#queue summary")
		b.fill(t, "#queue input[name=labels]", "campaign=spring, table=7")
		b.fill(t, "#queue input[name=idempotencyKey]", "table-7")
		b.click(t, "#queue button[type=submit]")
		b.await(t, "that the message is accepted", `document.querySelector("#queue-note a") !== null`)
		b.click(t, "#queue button[type=submit]")
		b.awaitText(t, "#queue-note", "Already queued")
		b.run(t, "read its id", chromedp.Evaluate(`document.querySelector("#queue-note a").title`, &id))
		b.visit(t, "#/messages")
		b.await(t, "the queued message as read", fmt.Sprintf(
			`document.querySelector('#messages a[title=%q]')?.closest("tr").querySelector(".chip").textContent === "read"`, id))
		b.click(t, fmt.Sprintf(`#messages a[title=%q]`, id))
		b.await(t, "its page", fmt.Sprintf(`location.hash === "#/messages/%s"`, id))
		b.await(t, "its details, read too", fmt.Sprintf(`(t => [%q, "Your table is ready.", "table-7", "campaign = spring"].every(part => t.includes(part)))
			(document.getElementById("message")?.textContent ?? "")`, id))
		b.await(t, "its history from the first to the last event", `(t => t[0]?.startsWith("Queued") && t.at(-1).startsWith("Read"))
			([...document.querySelectorAll(".timeline strong")].map(s => s.textContent))`)
		b.await(t, "its life as a picture, in words too", `(label => ["In the queue", "Call 1: accepted", "Until delivered", "Until read"].every(part => label.includes(part)))
			(document.querySelector("#timeline svg[role=img]").getAttribute("aria-label")) && document.querySelectorAll("#timeline svg .phase").length === 4`)
		b.awaitText(t, "#attempts", "accepted")
	})

	t.Run("search", func(t *testing.T) {
		var whatsappID string
		b.run(t, "read WhatsApp's id", chromedp.Evaluate(
			`[...document.querySelectorAll("#facts dt")].find(dt => dt.textContent === "WhatsApp ID").nextSibling.querySelector(".mono").textContent`, &whatsappID))
		for _, typed := range []string{id, "table-7", "+14155550101", whatsappID, "table=7", "read campaign=spring"} {
			b.visit(t, "#/")
			b.await(t, "the overview", `document.querySelector(".tiles") !== null`)
			b.run(t, "press /", input.DispatchKeyEvent(input.KeyDown).WithKey("/").WithText("/"), input.DispatchKeyEvent(input.KeyUp).WithKey("/"))
			b.await(t, "that the search has the focus", `document.activeElement.id === "search"`)
			b.run(t, "search for "+typed, chromedp.KeyEvent(typed+kb.Enter))
			b.await(t, "the message, found by "+typed, fmt.Sprintf(
				`document.querySelector('#found-messages a[title=%[1]q]') !== null || document.querySelector("#message h2")?.textContent.includes(%[1]q)`, id))
		}
		b.awaitText(t, "#found", "1 message")

		b.run(t, "open the commands", input.DispatchKeyEvent(input.KeyDown).WithKey("k").WithModifiers(input.ModifierCtrl))
		b.await(t, "the commands", `document.activeElement.matches(".palette input")`)
		b.run(t, "go to the last one", chromedp.KeyEvent(kb.ArrowUp))
		b.await(t, "that it is in view", `document.querySelector("#palette li:last-child[aria-selected=true]").getBoundingClientRect().bottom <=
			document.getElementById("palette").getBoundingClientRect().bottom + 1`)
		b.run(t, "choose the search", chromedp.KeyEvent("search mess"+kb.Enter))
		b.awaitFocus(t, "#search")

		// The short form that lists show.
		b.visit(t, "#/")
		b.await(t, "the overview", `document.querySelector(".tiles") !== null`)
		b.run(t, "search for the end of the ID", chromedp.SendKeys("#search", "…"+id[len(id)-8:]+kb.Enter, chromedp.ByQuery))
		b.await(t, "the message", fmt.Sprintf(`location.hash === "#/messages/%s"`, id))
	})

	t.Run("a paused campaign", func(t *testing.T) {
		b.visit(t, "#/campaigns/campaign/summer")
		b.press(t, "Pause…")
		b.write(t, "Reason", "wrong prices")
		b.press(t, "Pause")
		b.awaitText(t, "#campaign .callout", "wrong prices")
		b.await(t, "who paused it, and when", `document.querySelector("#campaign .callout time") !== null && document.querySelector("#campaign .callout").innerText.includes(" by key ")`)
		b.visit(t, "#/campaigns")
		b.await(t, "that it is listed", `(item => item?.innerText.includes("wrong prices") && item.querySelector("a").hash === "#/campaigns/campaign/summer")(document.querySelector("#paused-campaigns li"))`)
		b.visit(t, "#/queue")
		b.fill(t, "#queue input[name=to]", "+1 415 555 0102")
		b.fill(t, "#queue textarea", "Everything costs 1 cent.")
		b.click(t, "#queue summary")
		b.fill(t, "#queue input[name=labels]", "campaign=summer")
		b.click(t, "#queue button[type=submit]")
		b.await(t, "that the message is accepted", `document.querySelector("#queue-note a") !== null`)
		var waiting string
		b.run(t, "read its id", chromedp.Evaluate(`document.querySelector("#queue-note a").title`, &waiting))
		b.visit(t, "#/messages/"+waiting)
		b.awaitText(t, "#message .callout", "wrong prices")
		b.await(t, "that it waits", `document.querySelector("#message .page-head .chip").textContent === "queued"`)
		readableViews(t, b, map[string]string{"paused message": "#/messages/" + waiting, "paused campaign": "#/campaigns/campaign/summer", "paused campaigns": "#/campaigns"})
		b.visit(t, "#/campaigns/campaign/summer")
		b.press(t, "Resume")
		b.awaitText(t, ".notes", "Campaign resumed.")
		b.await(t, "that it is not paused", `document.querySelector("#campaign .callout") === null && document.getElementById("pause-campaign") !== null`)
		b.visit(t, "#/messages/"+waiting)
		b.await(t, "the message as read", `document.querySelector("#message .page-head .chip")?.textContent === "read" && document.querySelector("#message .callout") === null`)
	})

	t.Run("plots", func(t *testing.T) {
		b.visit(t, "#/?window=5m")
		for card, line := range map[string]string{"throughput": "delivered", "latency": "p95"} {
			b.await(t, "a figure for "+line, fmt.Sprintf(`[...document.querySelectorAll("#%s .legend-item")].some(item =>
				item.textContent.includes(%q) && parseFloat(item.querySelector("output").textContent) > 0)`, card, line))
			b.await(t, "the line "+line, fmt.Sprintf(`(card => {
				const canvas = card.querySelector("canvas"), color = getComputedStyle(card.querySelector(".swatch .s-%s")).stroke.match(/\d+/g).map(Number);
				const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
				for (let i = 0; i < data.length; i += 4) if (color.every((part, j) => Math.abs(part - data[i + j]) < 8) && data[i + 3] > 200) return true;
				return false;
			})(document.getElementById(%q))`, line, card))
			// The readout also follows the keys.
			b.run(t, "read a step", chromedp.Focus("#"+card+" .drawing", chromedp.ByQuery), chromedp.KeyEvent(kb.ArrowLeft))
			b.await(t, "which step is read", fmt.Sprintf(`/^\d\d:\d\d:\d\d – \d\d:\d\d:\d\d$/.test(document.querySelector("#%s .plot-time").textContent)`, card))
		}
		b.click(t, "#throughput .tools button")
		b.await(t, "the figures as a table", `document.querySelectorAll("#throughput tbody tr").length === 60`)
		b.set(t, "#sender-filter", "demo")
		b.await(t, "the sender in the address", `location.hash.includes("sender=demo") && location.hash.includes("window=5m")`)
		b.set(t, "#compare", "previous")
		b.await(t, "the comparison with the previous period", `location.hash.includes("compare=previous") && (row => row?.cells[0].textContent === "Sent" &&
			parseInt(row.cells[1].textContent) > 0 && row.cells[3].textContent.startsWith("+"))(document.querySelectorAll("#comparison tbody tr")[1]) &&
			[...document.querySelectorAll("#throughput .legend-item")].some(item => item.textContent.startsWith("sent before"))`)
		b.await(t, "figures of the sender alone", `document.querySelectorAll("#throughput tbody tr").length === 60 && parseFloat(document.querySelector("#tile-rate strong").textContent) > 0`)
		compareRanges(t, b)
	})

	t.Run("links without a meaning", func(t *testing.T) { selectNothing(t, b) })

	t.Run("break and fix", func(t *testing.T) {
		if before := simulatorControl(ctx, t, simulator); before["drop_response_rate"] != 0.0 {
			t.Fatalf("the demo starts with drop_response_rate %v; want 0", before["drop_response_rate"])
		}
		b.visit(t, "#/break")
		b.run(t, "drop answers", chromedp.WaitEnabled("#drop", chromedp.ByQuery), chromedp.SendKeys("#drop", kb.End, chromedp.ByQuery))
		b.await(t, "that one thing is broken", `document.getElementById("broken").textContent === "1 thing broken"`)
		if rate := simulatorControl(ctx, t, simulator)["drop_response_rate"]; rate != 1.0 {
			t.Errorf("with the slider at its end drop_response_rate is %v; want 1", rate)
		}
		b.click(t, "#mend")
		b.await(t, "that nothing is broken", `document.getElementById("broken").textContent === "nothing broken"`)
		fixed := simulatorControl(ctx, t, simulator)
		if fixed["drop_response_rate"] != 0.0 || !reflect.DeepEqual(fixed["hang_numbers"], []any{}) && fixed["hang_numbers"] != nil {
			t.Errorf("after the fix, the simulator's settings are %v; want nothing dropped or hung", fixed)
		}
	})

	t.Run("theme", func(t *testing.T) {
		const back = `getComputedStyle(document.body).backgroundColor`
		var light, dark string
		b.set(t, "#theme", "light")
		b.run(t, "see it light", chromedp.Evaluate(back, &light))
		b.set(t, "#theme", "dark")
		b.run(t, "see it dark", chromedp.Evaluate(back, &dark), chromedp.Reload())
		b.await(t, "that it stays dark", fmt.Sprintf("%s === %q && %q !== %q", back, dark, light, dark))
	})

	t.Run("conversation", func(t *testing.T) { converse(ctx, t, b, simulator) })
	t.Run("templates", func(t *testing.T) {
		b.visit(t, "#/templates")
		b.awaitText(t, "#templates tbody", "login_code") // one that the demo has from the start
		useTemplates(ctx, t, b, simulator)
	})

	t.Run("readable", func(t *testing.T) {
		readableViews(t, b, map[string]string{
			"overview": "#/", "overview-compared": "#/?compare=previous", "compare": "#/compare",
			"compare-days": "#/compare?from=2025-01-03T00:00Z&to=2025-01-05T00:00Z&from2=2025-01-01T00:00Z&to2=2025-01-03T00:00Z", "messages": "#/messages", "messages-listed": "#/messages?page=1", "message": "#/messages/" + id, "dead-letters": "#/dead-letters",
			"alerts": "#/alerts", "senders": "#/senders", "ledger": "#/ledger", "queue": "#/queue", "break": "#/break",
			"sender": "#/senders/demo", "keys": "#/keys", "webhooks": "#/webhooks", "erasure": "#/erasure", "copy": "#/queue?copy=" + id,
			"campaigns": "#/campaigns", "campaign": "#/campaigns/campaign/spring", "conversations": "#/conversations", "conversation": theConversation, "templates": "#/templates", "template": theTemplate,
		})
	})

	b.quiet(t)

	t.Run("runbook", func(t *testing.T) {
		b.run(t, "open the runbook", chromedp.Navigate(d.url()+"/runbook.html#1-expired-token"))
		b.await(t, "the section that the address names", `document.querySelector("h2:target")?.textContent === "1. Expired token"`)
		b.fits(t, "the runbook", 320)
		b.run(t, "load axe", chromedp.Evaluate(accessibilityChecker(t)+"; true", nil))
		b.capture(t, "runbook", "dark", 390)
		b.capture(t, "runbook", "dark", 1280)
		b.accessible(t, "the runbook")
		b.quiet(t)
	})

	t.Run("playground", func(t *testing.T) {
		b.run(t, "open GraphiQL", chromedp.Navigate(d.url()+"/playground"))
		b.await(t, "GraphiQL", `document.querySelector(".graphiql-execute-button") !== null`)
		b.run(t, "run the query", chromedp.Click(".graphiql-execute-button", chromedp.ByQuery))
		b.await(t, "the demo's sender in the answer", `(t => t.includes('"senders"') && t.includes('"demo"'))(document.querySelector(".graphiql-response")?.textContent ?? "")`)
		b.quiet(t)
	})
}

// pauseTheFeed pauses and resumes the live messages while they are loading, after which they have one subscription, not two.
func pauseTheFeed(t *testing.T, b *browser) {
	t.Helper()
	b.run(t, "count subscriptions", chromedp.Evaluate(`void (({ prototype }, { send }, feeds) => {
		window.feeds = feeds;
		prototype.send = function (text) {
			const { id, type, payload } = JSON.parse(text);
			if (type === "subscribe" && payload.query.includes("subscription MessageUpdates")) feeds.add(id);
			if (type === "complete") feeds.delete(id);
			return send.call(this, text);
		};
		window.countNoMore = () => { prototype.send = send; };
	})(WebSocket, WebSocket.prototype, new Set())`, nil))
	b.visit(t, "#/")
	b.await(t, "the overview", `document.querySelector(".tiles") !== null`)
	held, release := b.holdBack(t, "query Messages")
	b.visit(t, "#/messages")
	b.await(t, "that the messages are loading", held+` === 1`)
	b.press(t, "Pause")
	b.press(t, "Resume")
	b.await(t, "that they are loading again", held+` === 2`)
	release(false)
	b.await(t, "one subscription", `window.feeds.size === 1 && document.querySelector("#messages tbody tr") !== null`)
	b.press(t, "Pause")
	b.await(t, "none while it is paused", `window.feeds.size === 0 && document.getElementById("live-messages").innerText.includes("Paused.")`)
	b.run(t, "stop counting", chromedp.Evaluate(`window.countNoMore()`, nil))
}

// Commands with no settings but the data directory find the demo in it and report on it.
func commandsFindTheDemo(t *testing.T, dataDir string) {
	t.Helper()
	if out := e2etest.MustRun(t, "query", "--data-dir", dataDir, "{ senders { id } }"); !strings.Contains(out, `"demo"`) {
		t.Errorf("query of the demo: %s", out)
	}
	send := []string{"send", "--data-dir", dataDir, "--sender", "demo", "--to", "+14155550101", "--text", "Hello", "--key", "hello-1"}
	if out := e2etest.MustRun(t, send...); !strings.Contains(out, "queued") {
		t.Errorf("send to the demo: %s", out)
	}
	if out := e2etest.MustRun(t, send...); !strings.Contains(out, "queued before") {
		t.Errorf("the same send again: %s", out)
	}
	if out := e2etest.MustRun(t, "doctor", "--data-dir", dataDir); !strings.Contains(out, "runs as process") || !strings.Contains(out, "sender demo") {
		t.Errorf("doctor of the demo: %s", out)
	}
}

// A page of another name that is rebound to 127.0.0.1 must not get the key, nor must
// another user of the machine, whatever the host he names: only who has the link.
func TestDemoIsOpenedByItsLinkAlone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	d := startDemo(ctx, t)
	link := d.simulator().key
	admin, err := os.ReadFile(platform.AdminKeyPath(platform.DemoDir(d.dataDir())))
	if err != nil {
		t.Fatal(err)
	}
	adminKey := strings.TrimSpace(string(admin))
	if strings.Contains(e2etest.ReadLog(t, d.child.Log), adminKey) {
		t.Error("the demo prints its ADMIN key")
	}
	ask := func(method, url, host, secret, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		if secret != "" {
			req.Header.Set("Authorization", "Bearer "+secret)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		response, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(response)
	}
	for host, local := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:8080": true, "[::1]": true, "[::1]:8080": true,
		"localhost": true, "localhost:8080": true, "LOCALHOST:8080": true,
		"rebound.example": false, "rebound.example:8080": false, "192.0.2.7:8080": false,
		"localhost.rebound.example": false, "127.0.0.1.rebound.example": false, "0.0.0.0:8080": false,
	} {
		for _, route := range []struct{ method, path, body string }{
			{http.MethodGet, "/demo.json", ""}, {http.MethodGet, "/demo/control", ""}, {http.MethodPut, "/demo/control", "{}"},
		} {
			for _, secret := range []string{"", "wrong", link, adminKey} {
				code, response := ask(route.method, d.url()+route.path, host, secret, route.body)
				want := secret == link && local
				opened := code < 300 && (route.path != "/demo.json" || strings.Contains(response, adminKey))
				if opened != want || !local && code != http.StatusForbidden {
					t.Errorf("%s %s under the host %s with %.5q is answered %d %.100s; want it open: %t", route.method, route.path, host, secret, code, response, want)
				}
				if !want && strings.Contains(response, adminKey) {
					t.Errorf("%s under the host %s with %.5q gives the ADMIN key", route.path, host, secret)
				}
			}
		}
	}
	commandsFindTheDemo(t, d.dataDir())
	for _, path := range []string{"/control", "/log", "/stats"} {
		for _, secret := range []string{"", "wrong"} {
			if code, response := ask(http.MethodGet, "http://"+d.simulatorAddr+path, "localhost", secret, ""); code != http.StatusUnauthorized {
				t.Errorf("the simulator's %s is answered %d %.100s; want 401", path, code, response)
			}
		}
	}
}
