package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/oidc/oidctest"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/operation"
)

// All that the page can do to dead letters, alerts, rules and senders, in one demo;
// and then it is restarted under the page.
func TestPageDrivesThePlatform(t *testing.T) { //nolint:tparallel // its subtests share a page
	t.Parallel()
	ctx := t.Context()
	b := startBrowser(ctx, t)
	d := newDemo(t)
	d.start(ctx, t)
	t.Cleanup(func() { d.stop(t) })
	b.run(t, "open the page", chromedp.Navigate(d.link))
	t.Run("dead letters", func(t *testing.T) { decideOnDeadLetters(ctx, t, b, d.simulator()) })
	t.Run("alerts and senders", func(t *testing.T) { takeNoteAndChangeSenders(t, b) })
	t.Run("access", func(t *testing.T) { manageAccess(t, b) })
	t.Run("operations of others", func(t *testing.T) { watchAnOperationOfOthers(ctx, t, b, platform.DemoDir(d.dataDir())) })
	t.Run("long texts", func(t *testing.T) { fitLongTexts(ctx, t, b, d) })
	b.quiet(t)
	t.Run("restart", func(t *testing.T) { outliveTheServer(ctx, t, b, d) })
}

func decideOnDeadLetters(ctx context.Context, t *testing.T, b *browser, simulator simulatorAccess) {
	b.visit(t, "#/queue")
	// One recipient's alone: a lane that meets nothing but faults would stop to spare the attempts.
	setSimulator(ctx, t, simulator, `{"fail_recipients": {"14155550199": 131000}}`)
	b.fill(t, "#queue input[name=to]", "+14155550199")
	for i := range 3 {
		b.set(t, "#queue textarea", fmt.Sprintf("Your table %d is ready.", i))
		b.click(t, "#queue button[type=submit]")
		b.await(t, "that it is accepted", fmt.Sprintf(`document.querySelectorAll("#queue-note a").length === %d`, i+1))
	}

	// In the meantime, a scheduled message is cancelled.
	b.set(t, "#queue input[name=to]", "+14155550109")
	b.set(t, "#queue textarea", "See you tomorrow.")
	b.click(t, "#queue summary")
	b.set(t, "#queue input[name=sendAt]", time.Now().Add(24*time.Hour).UTC().Format("2006-01-02T15:04:05"))
	b.click(t, "#queue button[type=submit]")
	b.await(t, "that it is accepted", `document.querySelectorAll("#queue-note a").length === 4`)
	b.click(t, "#queue-note a")
	b.awaitText(t, "#facts", "Send at")
	b.click(t, "#cancel")
	b.fill(t, "dialog input[name=reason]", "the appointment moved")
	b.click(t, "dialog button[type=submit]")
	b.await(t, "the message as cancelled", `document.querySelector("#message .chip").textContent === "cancelled" && document.querySelector("#cancel") === null`)
	b.awaitText(t, "#timeline", "the appointment moved")
	// Another one is called off with all that a search finds.
	b.visit(t, "#/queue?to=%2B14155550109")
	b.fill(t, "#queue textarea", "See you tomorrow.")
	// A busy browser reports the new address late, when the form is already being filled in.
	b.run(t, "report the address", chromedp.Evaluate(`void dispatchEvent(new HashChangeEvent("hashchange"))`, nil))
	b.click(t, "#queue summary")
	b.set(t, "#queue input[name=sendAt]", time.Now().Add(24*time.Hour).UTC().Format("2006-01-02T15:04:05"))
	b.fill(t, "#queue input[name=labels]", "visit=42")
	b.click(t, "#queue button[type=submit]")
	b.await(t, "that it is accepted", `document.querySelector("#queue-note a") !== null`)
	b.visit(t, "#/messages?label=visit%3D42")
	b.await(t, "the message, which is listed a little after it is accepted", `document.querySelector("#messages .chip") !== null`)
	b.click(t, "#cancel-many")
	b.awaitText(t, "#dry-run", "1 waiting message will be cancelled")
	b.fill(t, "dialog input[name=reason]", "the office is closed")
	b.click(t, "dialog button[type=submit]")
	b.await(t, "the message as cancelled", `document.querySelector("#messages .chip")?.textContent === "cancelled"`)

	b.visit(t, "#/dead-letters")
	b.await(t, "three dead letters", `document.querySelectorAll(".dead tbody tr").length === 3`)
	setSimulator(ctx, t, simulator, `{"fail_recipients": null}`)
	b.awaitText(t, ".dead tbody tr", "report it to Meta") // advice
	b.awaitText(t, "#dead-letters .counts", "server")
	b.visit(t, "#/?window=5m")
	b.await(t, "the errors by type", `(t => t.includes("transient") && t.includes("server") && t.includes("131000") && t.includes("%"))(document.querySelector("#errors table")?.innerText ?? "")`)

	b.visit(t, "#/dead-letters?label=campaign") // a filter without a meaning selects nothing, not everything
	b.awaitText(t, "#dead-letters", "“campaign” is not a label. Enter name=value.")
	b.await(t, "nothing to decide on", `document.querySelector("#discard") === null && document.querySelector(".dead") === null`)
	b.visit(t, "#/dead-letters?category=network")
	b.awaitText(t, "#dead-letters", "No dead letters with network.")
	b.visit(t, "#/dead-letters?category=server&sender=demo&code=131000")
	// Two at once, before the first one is drawn.
	b.run(t, "select two", chromedp.WaitVisible(".dead tbody tr", chromedp.ByQuery), chromedp.Evaluate(`[...document.querySelectorAll(".dead tbody .tick input")].slice(1).forEach(box => box.click())`, nil))
	b.awaitText(t, ".selection", "2 selected")
	b.press(t, "Select none")
	b.click(t, ".dead tbody tr .tick input")
	b.awaitText(t, ".selection", "1 selected")
	var id, other string
	b.run(t, "read which", chromedp.Evaluate(`document.querySelector(".dead tbody tr a").title`, &id), chromedp.Evaluate(`document.querySelector(".dead tbody tr:last-child a").title`, &other))
	b.click(t, "#requeue")
	b.awaitText(t, "#dry-run", "1 message will be sent again")
	// The server finishes an operation on few messages before it returns it. The page sees it as one on many.
	b.run(t, "let it run", chromedp.Evaluate(`void (({ fetch }) => {
		window.fetch = async (...request) => {
			const response = await fetch(...request);
			return /mutation Requeue\b/.test(request[1]?.body) ? new Response((await response.text()).replace('"DONE"', '"RUNNING"'), response) : response;
		};
	})(window)`, nil))
	held, release := b.holdBack(t, "query OperationProgress")
	b.click(t, "dialog button[type=submit]")
	b.await(t, "the operation, and nothing selected", held+` === 1 && document.querySelector(".selection").innerText.includes("None selected.")`)
	b.click(t, fmt.Sprintf(`.dead [aria-label="Select %s"]`, other))
	b.awaitText(t, ".selection", "1 selected")
	release(false)
	b.await(t, "the end of the operation, and what was selected since", `document.querySelector(".operation[aria-label=Requeueing]").innerText.includes("Done: 1 of 1") &&
		document.querySelector(".selection").innerText.includes("1 selected")`)
	b.visit(t, "#/messages/"+id)
	b.await(t, "the requeued message as read", `document.querySelector("#message .chip")?.textContent === "read"`)
	b.awaitText(t, "#timeline", "Requeued")

	b.visit(t, "#/dead-letters?category=server")
	b.click(t, "#select-all")
	b.awaitText(t, ".selection", "All 2 that match the filter are selected")
	b.click(t, "#discard")
	b.awaitText(t, "#dry-run", "2 messages will be permanently discarded")
	b.fill(t, "dialog input[name=reason]", "no longer useful")
	b.click(t, "dialog button[type=submit]")
	b.awaitText(t, "#dead-letters", "No dead letters with server.")
	b.visit(t, "#/messages?status=DISCARDED&page=1")
	b.await(t, "the discarded messages", `document.querySelectorAll("#messages tbody tr").length === 2`)
}

// fitLongTexts shows texts without a space, as long as each can be, in windows of several widths.
func fitLongTexts(ctx context.Context, t *testing.T, b *browser, d *demoProcess) {
	t.Helper()
	key, err := os.ReadFile(platform.AdminKeyPath(platform.DemoDir(d.dataDir())))
	if err != nil {
		t.Fatal(err)
	}
	client := harness.NewClient(d.url()+"/graphql", strings.TrimSpace(string(key)))
	id, key128, long := strings.Repeat("W", 64), strings.Repeat("k", 128), strings.Repeat("W", 128)
	var queued struct {
		QueueMessage struct{ Message struct{ ID string } }
	}
	for _, call := range []struct {
		mutation string
		input    map[string]any
		data     any
	}{
		{`mutation($in: RegisterSenderInput!) { registerSender(input: $in) { id } }`, map[string]any{"id": id, "name": long, "phoneNumberId": strings.Repeat("1", 20)}, &struct{}{}},
		{`mutation($in: QueueMessageInput!) { queueMessage(input: $in) { message { id } } }`, map[string]any{
			"senderId": id, "to": "+14155550122", "idempotencyKey": key128, "content": map[string]any{"text": map[string]any{"body": long}},
			"labels": []map[string]string{{"name": strings.Repeat("n", 60), "value": long}},
		}, &queued},
		{`mutation($in: CreateApiKeyInput!) { createApiKey(input: $in) { secret } }`, map[string]any{"name": long, "scopes": []string{"READ"}, "senderIds": []string{id}}, &struct{}{}},
		{`mutation($in: SilenceAlertsInput!) { silenceAlerts(input: $in) { id } }`, map[string]any{"reason": long, "senderId": id, "until": time.Now().Add(time.Hour)}, &struct{}{}},
	} {
		if err := client.Do(ctx, call.mutation, map[string]any{"in": call.input}, call.data); err != nil {
			t.Fatalf("%s: %v", call.mutation, err)
		}
	}
	b.visit(t, "#/messages?key="+key128)
	b.await(t, "the message", `document.querySelectorAll("#messages tbody tr").length === 1`)
	for name, view := range map[string]struct{ hash, shows string }{
		"the overview": {"#/", long}, "messages": {"#/messages?page=1", id}, "a message": {"#/messages/" + queued.QueueMessage.Message.ID, key128},
		"alerts": {"#/alerts", long}, "senders": {"#/senders", long}, "the log": {"#/ledger?stream=sender-" + id, "Sender"}, "keys": {"#/keys", long}, "the panel": {"#/break", long},
		"a filter without a meaning": {"#/messages?label=" + long, long}, "no view": {"#/" + long, long}, "a filter that nothing has": {"#/dead-letters?label=a%3D" + long, "a=" + long},
	} {
		b.visit(t, view.hash)
		b.awaitText(t, "main", view.shows)
		for _, width := range []int64{320, 390, 768, 1024} {
			b.fits(t, name, width)
		}
	}
}

// watchAnOperationOfOthers has another process run an operation, as the event log shows it.
func watchAnOperationOfOthers(ctx context.Context, t *testing.T, b *browser, dataDir string) {
	t.Helper()
	codec, err := platform.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	socket := url.URL{Scheme: "esdb+unix", Path: filepath.Join(dataDir, "eventstore", "socket", "grpc")}
	log, err := eventstore.Open(ctx, eventstore.Options{URL: socket.String(), Codec: codec})
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.New()
	record := func(stream string, e domain.Event) {
		t.Helper()
		meta := event.Cause{By: domain.Actor{Kind: domain.ActorUser, ID: "ada@example.com"}}.Meta(time.Now())
		if _, err := log.Append(ctx, stream, event.Any(), event.Propose(uuid.New, meta, e)...); err != nil {
			t.Fatal(err)
		}
	}
	record(event.OperationStream(id), operation.Started{Kind: operation.KindDiscard, Selected: 3, Reason: "no longer useful"})
	record(event.OperationsStream, operation.Opened{Operation: id})
	const card = `.operation[aria-label="Discarding"]:last-of-type`
	b.awaitText(t, card, "Started by user ada@example.com")
	b.awaitText(t, card, "0 of 3")
	held, release := b.holdBack(t, "query RunningOperations")
	b.click(t, "#forget")
	b.press(t, "Use the demo's key")
	b.await(t, "no operation of the key before", held+` > 0 && document.getElementById("who") !== null && document.querySelector(".operation") === null`)
	release(false)
	b.awaitText(t, card, "0 of 3")
	record(event.OperationStream(id), operation.Progressed{Through: 3, Done: 2, RefusedCount: 1})
	record(event.OperationStream(id), operation.Finished{})
	record(event.OperationsStream, operation.Closed{Operation: id})
	b.awaitText(t, card, "Done: 2 of 3, 1 rejected")
	b.click(t, card+" button")
	b.await(t, "it closed", `!document.querySelector(".operations").innerText.includes("ada@example.com")`)
	if err := log.Close(ctx); err != nil {
		t.Error(err)
	}
}

// heldAlert selects the alert of the held sender. On a slow machine, there are others too.
const heldAlert = `#open-alerts .alert[aria-label*="held:"]`

// silenceAlerts silences all alerts, and ends that again.
func silenceAlerts(t *testing.T, b *browser) {
	t.Helper()
	const badge = `document.querySelector("nav a[href='#/alerts'] .badge")`
	b.await(t, "the number of alerts in the menu", badge+` !== null`)
	b.press(t, "Silence alerts…")
	b.write(t, "Reason", "a planned test")
	b.press(t, "Silence")
	b.awaitText(t, ".notes", "Alerts silenced.")
	b.awaitText(t, "#silences", "All alerts")
	b.await(t, "that each alert shows its silence, and none is counted", `[...document.querySelectorAll("#open-alerts .alert")].every(alert =>
		alert.innerText.includes("Silenced until") && alert.innerText.includes("a planned test")) && `+badge+` === null`)
	readableViews(t, b, map[string]string{"silenced": "#/alerts"})
	b.press(t, "End silence")
	b.awaitText(t, "#silences", "No alerts are silenced.")
	b.await(t, "that alerts are counted again", `document.querySelector("#open-alerts .silenced") === null && `+badge+` !== null`)
	b.click(t, heldAlert+" .silence")
	b.await(t, "that its kind and sender are chosen", `document.querySelector("dialog select[name=kind]").value === "SENDER_HELD" && document.querySelector("dialog select[name=senderId]").value === "demo"`)
	b.press(t, "Cancel")
	b.await(t, "that the dialog is closed", `document.querySelector("dialog") === null`)
}

func takeNoteAndChangeSenders(t *testing.T, b *browser) {
	b.visit(t, "#/break")

	// Its token expires: the platform holds the sender, and an alert comes without being asked for.
	b.click(t, "#expire input")
	b.visit(t, "#/alerts")
	b.awaitText(t, heldAlert, "Sender held")
	b.await(t, "what led to it", fmt.Sprintf(`document.querySelector(%q)?.innerText.length > 0`, heldAlert+" .explanation li"))
	b.await(t, "a link to the section of the runbook", fmt.Sprintf(`document.querySelector(%q) !== null`, heldAlert+" a[href='runbook.html#1-expired-token']"))
	silenceAlerts(t, b)
	b.click(t, heldAlert+" .acknowledge")
	b.fill(t, "dialog input[name=note]", "a new token is on its way")
	b.click(t, "dialog button[type=submit]")
	b.awaitText(t, heldAlert, "a new token is on its way")

	b.click(t, "#rule-error-rate .edit")
	b.set(t, "dialog input[name=threshold]", "7.5")
	b.set(t, "dialog input[name=for]", "2 min")
	b.click(t, "dialog button[type=submit]")
	b.awaitText(t, "#rule-error-rate", "7.5%")
	b.awaitText(t, "#rule-error-rate", "2 min")
	b.click(t, "#rule-disk-space .switch")
	b.await(t, "that the rule is off", `document.querySelector("#rule-disk-space").className === "off"`)
	b.click(t, "#add-rule")
	b.set(t, "dialog select[name=kind]", "DELIVERY_LATENCY")
	b.fill(t, "dialog input[name=threshold]", "9")
	b.set(t, "dialog select[name=statistic]", "P95")
	b.set(t, "dialog select[name=senderId]", "demo")
	b.click(t, "dialog button[type=submit]")
	b.awaitText(t, "#rules", "p95 for demo")

	b.visit(t, "#/senders")
	b.awaitText(t, "#sender-demo", "held")
	b.await(t, "advice and the next probe", `(t => t.includes("Code 190") && t.includes("Next check with WhatsApp"))(document.querySelector("#sender-demo .callout")?.innerText ?? "")`)
	b.click(t, "#sender-demo .token")
	b.fill(t, "dialog input[name=accessToken]", "EAAnew")
	b.await(t, "that the token is not readable", `document.querySelector("dialog input[name=accessToken]").type === "password"`)
	b.click(t, "dialog button[type=submit]")
	b.awaitText(t, ".notes", "has a new token")
	b.click(t, "#sender-demo .probe")
	b.awaitText(t, ".notes", "Checking with WhatsApp now")
	b.visit(t, "#/break")
	b.click(t, "#mend")
	b.await(t, "that nothing is broken", `document.getElementById("broken").textContent === "nothing broken"`)
	b.visit(t, "#/senders/demo")
	// It can be released by then, because Waypost also checks on its own.
	b.run(t, "probe again", chromedp.WaitVisible("#sender-demo", chromedp.ByQuery), chromedp.Evaluate(`document.querySelector("#sender-demo .probe")?.click()`, nil))
	b.await(t, "that it sends again", `document.querySelector("#sender-demo h2 .chip")?.textContent === "active"`)
	b.visit(t, "#/alerts")
	b.awaitText(t, "#resolved", "a new token is on its way")

	b.visit(t, "#/senders")
	b.click(t, "#sender-demo .pause")
	b.run(t, "press Escape", chromedp.WaitVisible("dialog", chromedp.ByQuery), chromedp.KeyEvent(kb.Escape))
	b.await(t, "that the dialog is closed, and where one was", `document.querySelector("dialog") === null && document.activeElement.matches("#sender-demo .pause")`)
	b.click(t, "#sender-demo .pause")
	for _, lane := range []string{"OTP", "TRANSACTIONAL"} {
		b.click(t, fmt.Sprintf("dialog input[name=lane-%s]", lane))
	}
	b.fill(t, "dialog input[name=reason]", "no campaigns today")
	b.click(t, "dialog button[type=submit]")
	b.awaitText(t, "#sender-demo .callout", "bulk")
	b.awaitText(t, "#sender-demo .callout", "no campaigns today")
	b.await(t, "who paused it, and when", `document.querySelector("#sender-demo .callout time") !== null && document.querySelector("#sender-demo .callout").innerText.includes(" by key ")`)
	b.click(t, "#sender-demo .pause")
	b.fill(t, "dialog input[name=reason]", "a stop of everything")
	b.press(t, "Pause")
	b.await(t, "that it is paused and claims no time to drain", `document.querySelector("#sender-demo h2 .chip").textContent === "paused" &&
		["paused", "–"].includes([...document.querySelectorAll("#sender-demo .figures div")].find(d => d.querySelector("dt").textContent === "Empty in").querySelector("dd").textContent)`)
	readableViews(t, b, map[string]string{"paused": "#/senders"})
	b.click(t, `#sender-demo [aria-label="Resume the OTP lane"]`)
	b.awaitText(t, ".notes", "OTP lane of Demo resumed")
	b.await(t, "that the others are still paused", `document.querySelectorAll("#sender-demo .resume-lane").length === 2 && document.querySelector("#sender-demo h2 .chip").textContent === "transactional, bulk paused"`)
	b.press(t, "Resume all lanes")
	b.await(t, "that no lane is paused", `document.querySelector("#sender-demo .callout") === null && document.querySelector("#sender-demo .resume") === null`)
	b.click(t, "#sender-demo .pause")
	b.fill(t, "dialog input[name=reason]", "a look at the books")
	b.click(t, "dialog button[type=submit]")
	b.awaitText(t, "#sender-demo .callout", "a look at the books")
	b.await(t, "that it is paused", `document.querySelector("#sender-demo h2 .chip").textContent === "paused"`)
	b.click(t, "#sender-demo .resume")
	b.click(t, "#sender-demo .rate")
	b.set(t, "dialog input[name=messagesPerSecond]", "40")
	b.click(t, "dialog button[type=submit]")
	b.awaitText(t, "#sender-demo .figures", "40/s")
	b.click(t, "#sender-demo .edit")
	b.set(t, "dialog input[name=name]", "Reception\u202e1")
	b.set(t, "dialog input[name=displayPhoneNumber]", "")
	b.click(t, "dialog button[type=submit]")
	b.awaitText(t, "#sender-demo h2", "Reception\u27e8U+202E\u27e91") // it doesn't turn the text after it around
	b.await(t, "that a cleared field is cleared", `![...document.querySelectorAll("#sender-demo dt")].some(dt => dt.textContent === "Number")`)

	b.click(t, "#register")
	b.fill(t, "dialog input[name=id]", "shop")
	b.fill(t, "dialog input[name=name]", "Shop")
	b.fill(t, "dialog input[name=phoneNumberId]", "106540352242922")
	b.click(t, "dialog button[type=submit]")
	b.await(t, "that the number has a sender already", `document.querySelector("dialog .error")?.innerText.length > 0`)
	b.set(t, "dialog input[name=phoneNumberId]", "106540352242923")
	b.click(t, "dialog button[type=submit]")
	b.awaitText(t, "#sender-shop", "active")

	b.visit(t, "#/ledger?type=SenderPaused,SenderHeld&stream=sender-demo")
	b.await(t, "the hold and all pauses in the log", `(types => types.filter(t => t === "SenderPaused").length === 3 && types.includes("SenderHeld"))
		([...document.querySelectorAll(".log tbody strong")].map(s => s.textContent))`)
	b.set(t, "#as-of", "2020-01-01T00:00:00")
	b.await(t, "books without a message, as of an earlier time", `document.querySelector("#ledger dd")?.textContent === "0" && location.hash.includes("at=2020")`)
}

func TestPageSaysWhatAKeyDoesNotAllow(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), pageTimeout)
	defer cancel()
	b := startBrowser(ctx, t)
	shop, stranger := framing(t), framing(t)
	provider := oidctest.Start(t, map[string]map[string]any{"ada": {"scope": "openid read operate", "senders": []string{"shop"}}})
	r := e2etest.Start(ctx, t, []string{
		"WAYPOST_OIDC_ISSUER=" + provider.URL, "WAYPOST_OIDC_CLIENT_ID=" + oidctest.ClientID, "WAYPOST_OIDC_CLIENT_SECRET=" + oidctest.ClientSecret,
		"WAYPOST_OIDC_SENDERS_CLAIM=senders", "WAYPOST_EMBED_ORIGINS=" + shop.URL,
	}, map[string]any{"error_rate": 1, "error_codes": []int{131000}})
	provider.Register(t, "http://"+r.Addr+"/auth/callback")
	for id, number := range map[string]string{"shop": "100000000001", "other": "100000000002"} {
		if err := r.Client.RegisterSender(ctx, id, number, 80); err != nil {
			t.Fatal(err)
		}
	}
	queued, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message("shop", "fails", 1)})
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ CreateAPIKey struct{ Secret string } }
	if err := r.Client.Do(ctx, `mutation { createApiKey(input: {name: "looks", scopes: [READ], senderIds: ["shop"]}) { secret } }`, nil, &made); err != nil {
		t.Fatal(err)
	}

	b.run(t, "open the page", chromedp.Navigate("http://"+r.Addr+"/"))
	b.fill(t, "#key", "ключ")
	b.click(t, "#sign-in-form button[type=submit]")
	b.awaitText(t, "#sign-in-error", "character that no key has")
	b.fill(t, "#key", made.CreateAPIKey.Secret)
	b.click(t, "#sign-in-form button[type=submit]")
	b.awaitText(t, "#who", "looks: READ; senders shop")
	b.await(t, "figures of its sender, and of no other", `document.querySelector("#sender-filter").value === "shop" &&
		document.querySelectorAll("#sender-filter option").length === 1 && /^\d/.test(document.querySelector("#tile-rate strong").textContent)`)
	b.await(t, "no ledger, no form and no panel in the menu", `(t => t.includes("Senders") && !t.includes("Ledger") && !t.includes("Queue") && !t.includes("Break"))
		(document.getElementById("menu").innerText)`)
	b.visit(t, "#/ledger")
	b.awaitText(t, "#main", "This requires a key with the scope AUDIT.")
	b.visit(t, "#/queue")
	b.awaitText(t, "#main", "This requires a key with the scope SEND.")
	b.visit(t, "#/senders")
	b.awaitText(t, "#main", "Changing senders requires a key with the scope OPERATE.")
	b.visit(t, "#/alerts")
	b.awaitText(t, "#rules", "Changing rules requires a key with the scope OPERATE.")
	b.visit(t, "#/dead-letters")
	b.awaitText(t, ".selection", "Requeueing requires a key with the scope OPERATE.")
	b.await(t, "the number masked, and nothing to tick", `document.querySelector(".dead tbody tr").innerText.includes("•••") && document.querySelector(".dead input") === null`)
	b.visit(t, "#/messages/"+queued[0])
	b.awaitText(t, "#content", "The content requires a key with the scope PERSONAL.")
	b.awaitText(t, "#timeline", "require a key with the scope AUDIT")
	b.await(t, "its calls all the same", `document.querySelectorAll("#attempts tbody tr").length === 4`)

	// The key stays in the tab over a reload, and goes when it is revoked.
	b.run(t, "load again", chromedp.Reload())
	b.awaitText(t, "#who", "looks: READ")
	b.quiet(t)
	var keys struct{ APIKeys []struct{ ID, Name string } }
	if err := r.Client.Do(ctx, `{ apiKeys { id name } }`, nil, &keys); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys.APIKeys {
		if key.Name == "looks" {
			if err := r.Client.Do(ctx, `mutation($id: ID!) { revokeApiKey(id: $id) { id } }`, map[string]any{"id": key.ID}, &struct{}{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.awaitText(t, "#sign-in-error", "no longer valid")
	signInAsPerson(ctx, t, b, r)
	embedViews(ctx, t, b, r, shop.URL, stranger.URL)
	b.noExceptions(t)
}

// A person signs in with the identity provider, sees the messages of one sender, live, and signs out.
func signInAsPerson(ctx context.Context, t *testing.T, b *browser, r *harness.TestEnv) {
	t.Helper()
	if _, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message("other", "of-others", 1)}); err != nil {
		t.Fatal(err)
	}
	const rows = `document.querySelectorAll("#messages tbody tr").length`
	enter := func() {
		b.click(t, "#sign-in-person")
		b.fill(t, "#username", "ada")
		b.fill(t, "#password", oidctest.Password)
		b.click(t, "#enter")
		b.awaitText(t, "#who", "Signed in as Ada: READ, OPERATE; senders shop")
	}
	b.visit(t, "#/messages")
	enter()
	b.await(t, "the view from before, with the one message of the sender", `location.hash === "#/messages" && `+rows+` === 1`)
	if _, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message("other", "of-others-too", 1), harness.Message("shop", "live", 1)}); err != nil {
		t.Fatal(err)
	}
	b.await(t, "the sender's next message, without another's", rows+` === 2 && document.getElementById("connection").textContent === "Live"`)
	b.visit(t, "#/campaigns/campaign/spring")
	b.awaitText(t, "#campaign", "No messages have this label.")
	b.visit(t, "#/senders")
	b.visit(t, "#/alerts")
	b.awaitText(t, "#rules", "Changing rules requires a key that is not limited to senders.")
	b.await(t, "rules that cannot be changed", `document.querySelector("#rules .edit, #add-rule, #rules .switch:enabled") === null`)
	b.visit(t, "#/senders")
	b.await(t, "one sender", `(t => t.includes("shop") && !t.includes("other"))(document.getElementById("main").innerText)`)
	// As a sign-out in another tab, or an expired session.
	b.run(t, "end the session", chromedp.Evaluate(`fetch("auth/logout", { method: "POST" })`, nil))
	b.awaitText(t, "#sign-in-error", "Your session has ended. Sign in again.")
	enter()
	b.click(t, "#forget")
	b.await(t, "the sign-in", `document.getElementById("sign-in-person") !== null && document.getElementById("sign-in-error").textContent === ""`)
	b.run(t, "reload", chromedp.Reload())
	b.await(t, "the sign-in after a reload", `document.getElementById("sign-in-person") !== null`)
}

func outliveTheServer(ctx context.Context, t *testing.T, b *browser, d *demoProcess) {
	b.visit(t, "#/messages")
	b.run(t, "point elsewhere", input.DispatchMouseEvent(input.MouseMoved, 1, 1))             // new rows wait while the pointer is over the list
	b.await(t, "live messages", `document.querySelector("#live-messages tbody tr") !== null`) // the view before can be a list of others
	var before string
	b.run(t, "read the newest", chromedp.Evaluate(`document.querySelector("#messages tbody a").title`, &before))

	d.stop(t)
	b.await(t, "that the server is away", `document.getElementById("connection").textContent === "Server unavailable"`)
	b.awaitText(t, "#trouble", "The data shown is from before")
	b.await(t, "what it had", fmt.Sprintf(`document.querySelector('#messages a[title=%q]') !== null`, before))
	d.start(ctx, t)
	b.await(t, "that it is live again", `document.getElementById("connection").textContent === "Live" && document.getElementById("trouble") === null`)
	b.await(t, "a message that is new", fmt.Sprintf(`document.querySelector("#messages tbody a").title > %q`, before))
	b.noExceptions(t)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.errors {
		// The browser itself says which requests were not answered.
		if !strings.Contains(text, "ERR_") && !strings.Contains(text, "WebSocket") {
			t.Errorf("error in the console: %s", text)
		}
	}
}

// framing serves pages of a customer that contain the address after "?" in a frame.
func framing(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><iframe></iframe><script>document.querySelector("iframe").src = decodeURIComponent(location.search.slice(1))</script>`))
	}))
	t.Cleanup(s.Close)
	return s
}

// A page of an allowed origin shows a campaign and a sender. A page of another origin shows nothing, and no page can
// frame the web UI.
func embedViews(ctx context.Context, t *testing.T, b *browser, r *harness.TestEnv, shop, stranger string) {
	t.Helper()
	labeled := harness.Message("shop", "labeled", 1)
	labeled["labels"] = []map[string]string{{"name": "campaign", "value": "spring"}}
	if _, err := r.Client.QueueMessages(ctx, []map[string]any{labeled}); err != nil {
		t.Fatal(err)
	}
	token := func(view string) string {
		var made struct{ CreateEmbedToken struct{ Path string } }
		if err := r.Client.Do(ctx, `mutation { createEmbedToken(view: `+view+`) { path } }`, nil, &made); err != nil {
			t.Fatal(err)
		}
		return made.CreateEmbedToken.Path
	}
	campaign := token(`{campaign: {name: "campaign", value: "spring"}}`)
	frame := func(from, path string) {
		b.run(t, "open a page with a frame", chromedp.Navigate(from+"/?"+url.PathEscape("http://"+r.Addr+path)))
	}
	frame(shop, campaign)
	b.awaitFramed(ctx, t, "campaign = spring", "of 1")
	frame(shop, token(`{senderId: "shop"}`))
	b.awaitFramed(ctx, t, "shop", "Sent per minute")
	refusals := func() (n int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, text := range b.errors {
			if strings.Contains(text, "frame-ancestors") {
				n++
			}
		}
		return n
	}
	for i, refused := range [][2]string{{stranger, campaign}, {shop, "/"}} {
		frame(refused[0], refused[1])
		e2etest.Await(ctx, t, "the browser refuses the frame", func() bool { return refusals() > i })
		if shown := b.framed(t); strings.Contains(shown, "campaign") || strings.Contains(shown, "Sign in") {
			t.Errorf("a page of %s frames %s: %s", refused[0], refused[1], shown)
		}
	}
}

// framed returns the text of the frames in the page.
func (b *browser) framed(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	var collect func(n *cdp.Node)
	collect = func(n *cdp.Node) {
		if n.NodeType == cdp.NodeTypeText {
			text.WriteString(n.NodeValue + " ")
		}
		for _, child := range n.Children {
			collect(child)
		}
		if n.ContentDocument != nil {
			collect(n.ContentDocument)
		}
	}
	b.run(t, "read the frames", chromedp.ActionFunc(func(ctx context.Context) error {
		root, err := dom.GetDocument().WithDepth(-1).WithPierce(true).Do(ctx)
		if err == nil {
			collect(root)
		}
		return err
	}))
	return text.String()
}

// awaitFramed waits until the frames show the texts.
func (b *browser) awaitFramed(ctx context.Context, t *testing.T, texts ...string) {
	t.Helper()
	e2etest.Await(ctx, t, fmt.Sprintf("the frame shows %q", texts), func() bool {
		shown := b.framed(t)
		for _, text := range texts {
			if !strings.Contains(shown, text) {
				return false
			}
		}
		return true
	})
}
