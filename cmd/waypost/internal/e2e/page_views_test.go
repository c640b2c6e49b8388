package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
)

// axeFile is the accessibility checker, which web/app/install installs with the packages of the web UI.
const axeFile = "../../../../web/app/node_modules/axe-core/axe.min.js"

// screenshots is the variable that names a directory for an image of each view, in both themes and at two widths: `make
// screenshots`.
const screenshots = "PAGE_SCREENSHOTS"

// manageAccess creates and ends what programs use: keys and outgoing webhooks, and erases a person. It finds elements by their
// roles and labels.
func manageAccess(t *testing.T, b *browser) {
	t.Helper()
	b.visit(t, "#/keys")
	held, release := b.holdBack(t, "mutation CreateApiKey")
	b.press(t, "Create key…")
	b.write(t, "Name", "lost")
	b.press(t, "Create key")
	b.await(t, "the request", held+` === 1`)
	b.press(t, "Cancel")
	b.awaitFocus(t, "#create-key")
	b.press(t, "Create key…")
	release(true)
	b.awaitText(t, ".notes", "Check the list before you try again.")
	b.await(t, "no error in another dialog", `document.querySelector("dialog .error").innerText === ""`)
	b.visit(t, "#/webhooks")
	b.awaitFocus(t, "#main") // the dialog is closed with its view

	b.visit(t, "#/keys")
	b.press(t, "Create key…")
	b.write(t, "Name", "shop system")
	b.press(t, "Create key")
	b.await(t, "the secret, once", `document.querySelector("dialog .secret .mono")?.innerText.length > 20`)
	b.visit(t, "#/")
	b.await(t, "the secret in another view", `document.querySelector(".tiles") !== null && document.querySelector("dialog .secret") !== null`)
	b.press(t, "I have stored it")
	b.await(t, "that the dialog is closed", `document.querySelector("dialog") === null`)
	b.visit(t, "#/keys")
	b.awaitText(t, "table", "shop system")
	b.click(t, `button[aria-label="Revoke… shop system"]`)
	b.press(t, "Revoke key")
	b.await(t, "that the key is no longer listed", `!document.querySelector("main").innerText.includes("shop system")`)

	b.visit(t, "#/webhooks")
	b.press(t, "Create webhook…")
	b.write(t, "URL", "https://example.com/waypost")
	b.press(t, "Create")
	b.awaitText(t, "dialog .secret", "whsec_")
	b.press(t, "I have stored it")
	b.press(t, "Disable…")
	b.press(t, "Disable")
	b.awaitText(t, "main", "Delivery stopped")
	b.press(t, "Enable")
	b.await(t, "that it is enabled", `document.querySelector("main h2 .chip")?.innerText === "enabled"`)
	b.press(t, "Deliveries")
	b.awaitText(t, "main", "Deliveries of the last seven days")
	b.press(t, "Remove…")
	b.press(t, "Remove")
	b.awaitText(t, "main", "There is no outgoing webhook with this ID.")

	b.visit(t, "#/erasure")
	b.write(t, "Number or user ID", "+14155550188")
	b.write(t, "Reason", "requested")
	b.press(t, "Erase…")
	b.press(t, "Erase permanently")
	b.awaitText(t, "#receipt", "Erasure ID")
}

// converse reads a conversation while its person writes, replies, and records that the person wants no marketing.
func converse(ctx context.Context, t *testing.T, b *browser, simulator simulatorAccess) {
	t.Helper()
	const thread = "[role=log]"
	b.visit(t, theConversation)
	b.awaitText(t, "main", "The 24-hour window is closed.")
	letWrite(ctx, t, simulator, `{"phone_number_id": "106540352242922", "from": "12025550147", "name": "Ada", "text": "Is my table ready?"}`)
	b.awaitText(t, thread, "Is my table ready?")
	b.await(t, "that the window is open", `(t => t.includes("open for") && !t.includes("window is closed"))(document.querySelector("main").innerText)`)
	b.write(t, "Text", "In ten minutes.")
	_, release := b.holdBack(t, "query OneConversation")
	b.visit(t, theConversation+"?page=1") // as another page
	b.awaitText(t, "#thread-card", "Loading…")
	release(false)
	b.awaitText(t, thread, "Is my table ready?")
	b.press(t, "Queue reply") // which has kept its text
	b.await(t, "the reply after what it replies to, as read", fmt.Sprintf(`(items => items.length > 1 && items[0].includes("Is my table ready?") &&
		items.some(text => text.includes("In ten minutes.") && text.includes("read")))([...document.querySelectorAll("%s li")].map(li => li.innerText))`, thread))
	b.press(t, "Opt out…")
	b.write(t, "Reason", "said so on the phone")
	b.press(t, "Opt out")
	b.awaitText(t, "main .page-head", "opted out of marketing")
	b.visit(t, "#/conversations?marketing=out&window=open")
	b.press(t, "Ada +12025550147")
	b.awaitText(t, "#facts", "recorded by an operator or a program")
	b.press(t, "Opt in…")
	b.write(t, "Reason", "asked for the newsletter")
	b.press(t, "Opt in")
	b.await(t, "that the person is not opted out", `!document.querySelector("main .page-head").innerText.includes("opted out")`)
	b.visit(t, "#/conversations?marketing=out")
	b.awaitText(t, "main", "No person matches these filters.")
}

// theTemplate is the address of a template that useTemplates makes known.
const theTemplate = "#/templates/100200300400500/order_ready/en"

// useTemplates lists the templates of the demo's account, reads one, queues a message of it, and offers it as a fallback.
func useTemplates(ctx context.Context, t *testing.T, b *browser, simulator simulatorAccess) {
	t.Helper()
	setSimulator(ctx, t, simulator, `{"templates": [
		{"name": "order_ready", "language": "en", "category": "UTILITY", "quality": "GREEN", "components": [
			{"type": "HEADER", "format": "TEXT", "text": "Pick it up"}, {"type": "BODY", "text": "Hello {{1}}, order {{2}} is ready."},
			{"type": "FOOTER", "text": "The shop"}, {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "On my way"}]}]},
		{"name": "spring_sale", "language": "en", "category": "MARKETING", "status": "PAUSED", "quality": "RED", "components": [{"type": "BODY", "text": "Sale"}]}]}`)
	b.visit(t, "#/templates")
	b.press(t, "Sync")
	b.awaitText(t, "#templates tbody", "order_ready")
	b.awaitText(t, "#templates tbody", "paused")
	b.visit(t, "#/templates?status=PAUSED")
	b.await(t, "the paused one alone", `(t => t.includes("spring_sale") && !t.includes("order_ready"))(document.querySelector("#templates tbody")?.innerText ?? "")`)
	b.visit(t, "#/templates?account=100200300400500")
	b.press(t, "order_ready")
	for _, part := range []string{"Pick it up", "Hello {{1}}, order {{2}} is ready.", "The shop", "On my way"} {
		b.awaitText(t, "#preview .bubble", part)
	}

	b.visit(t, "#/queue")
	b.press(t, "Template")
	b.write(t, "Number or user ID", "+14155550133")
	b.write(t, "Template", "order_ready")
	b.write(t, "Language", "en")
	b.awaitText(t, "#queue .bubble", "order {{2}} is ready")
	b.awaitText(t, "#queue", "One per line: {{1}}, {{2}}.")
	b.write(t, "Body variables", "Ada")
	b.press(t, "Queue")
	b.awaitText(t, "#queue [role=alert]", "The template has 2 variables in its body, but 1 is given.")
	b.write(t, "Body variables", "\n12")
	b.press(t, "Queue")
	b.await(t, "that the message is accepted", `document.querySelector("#queue-note a") !== null`)
	b.press(t, "Text")
	b.write(t, "Text", "It is ready.")
	b.press(t, "Template")
	b.await(t, "the template's fields as they were", `document.querySelector("#queue [name=name]").value === "order_ready" && document.querySelector("#queue [name=variables]").value === "Ada\n12" &&
		document.querySelector("#queue .bubble").innerText.includes("order {{2}} is ready")`)
	b.press(t, "Text")
	b.await(t, "the text as it was", `document.querySelector("#queue [name=body]").value === "It is ready."`)
	b.set(t, "#queue [name=outsideWindow]", "FALLBACK")
	b.write(t, "Fallback template", "order_ready")
	b.write(t, "Fallback language", "de")
	b.press(t, "Queue")
	b.awaitText(t, "#queue [role=alert]", "has no translation")
	b.await(t, "that the field is marked", `document.querySelector("[name=fallbackLanguage]").getAttribute("aria-invalid") === "true"`)

	setSimulator(ctx, t, simulator, `{"messaging_limit": 250}`)
	b.visit(t, "#/senders/demo")
	b.awaitText(t, "main", "of 250 people in 24 hours")
	setSimulator(ctx, t, simulator, `{"messaging_limit": 0, "restrictions": ["RESTRICTED_UTILITY_TEMPLATES"]}`)
	b.awaitText(t, "main", "Restricted by WhatsApp")
	b.awaitText(t, "main", "unlimited")
	setSimulator(ctx, t, simulator, `{"restrictions": null}`)
	b.await(t, "that the restriction ended", `!document.querySelector("main").innerText.includes("Restricted by WhatsApp")`)
}

// theConversation is the address of the one that converse has.
const theConversation = "#/conversations/demo/%2B12025550147"

// letWrite lets a user of the simulator write a message.
func letWrite(ctx context.Context, t *testing.T, s simulatorAccess, script string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, pageWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/inbound", strings.NewReader(script))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	if _, err := apiclient.RoundTrip(http.DefaultClient, req); err != nil {
		t.Fatal(err)
	}
}

// compareRanges goes from the overview to the comparison of two time ranges, and chooses them. It finds fields by their group and
// their label.
func compareRanges(t *testing.T, b *browser) {
	t.Helper()
	const (
		fault = `document.querySelector("main [role=alert]")?.innerText ?? ""`
		sent  = `[...document.querySelectorAll("#compared tbody tr")].find(row => row.cells[0].innerText === "Sent")?.cells`
		soon  = `new Date(Date.now() + 120_000 - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 16)`
	)
	b.visit(t, "#/messages")
	b.choose(t, "Filters", "Queued", `"today"`)
	b.await(t, "the messages since midnight", `location.hash.includes("from=") && document.querySelectorAll("#messages tbody tr").length > 0 &&
		[...document.querySelectorAll("[role=group][aria-label=Filters] label")].find(label => label.innerText.startsWith("Queued")).querySelector("select").value === "today"`)
	b.visit(t, "#/?window=5m&sender=demo")
	b.press(t, "Compare two time ranges")
	b.await(t, "the overview's window with the one before, in the address", `["from=", "to=", "from2=", "to2=", "sender=demo"].every(part => location.hash.includes(part)) &&
		document.querySelectorAll("#compared tbody tr").length > 10`)
	b.choose(t, "First range", "Range", `"today"`)
	b.choose(t, "Second range", "Range", `"week"`)
	b.choose(t, "First range", "To", soon)
	b.await(t, "the figures of today and of a week ago, with the difference", `(cells => Number(cells[1].innerText) > 0 && cells[2].innerText === "0" && cells[3].innerText === "+" + cells[1].innerText)(`+sent+`)`)
	b.await(t, "what makes them hard to compare", `(text => text.includes("The first range has not ended") && text.includes("Nothing was queued, sent, or delivered in the second range."))(document.getElementById("compared").innerText)`)
	b.await(t, "that the second range follows the first", `(query => Date.parse(query.get("to")) - Date.parse(query.get("to2")) === 7 * 86_400_000)(new URLSearchParams(location.hash.split("?")[1]))`)
	b.await(t, "both ranges as lines", `[...document.querySelectorAll("#compare-sent .legend-item span")].map(s => s.innerText).join() === "first,second"`)
	b.click(t, "#compare-sent .tools button")
	b.await(t, "both ranges as a table, by their times", `(row => /^\d\d:\d\d – \d\d:\d\d, with \d{4}-\d\d-\d\d /.test(row.cells[0].innerText) && row.cells.length === 3)
		(document.querySelector("#compare-sent [role=region] tbody tr"))`)
	var link string
	b.run(t, "open the link again", chromedp.Evaluate(`location.hash`, &link), chromedp.Reload())
	b.await(t, "the same ranges", fmt.Sprintf(`location.hash === %q && Number((%s)[1].innerText) > 0`, link, sent))
	for _, wrong := range []struct{ field, value, says string }{
		{"To", `"2026-01-01T00:00"`, "The first range ends before it starts."}, {"From", `""`, "The first range has no start. Enter one."},
	} {
		b.choose(t, "First range", wrong.field, wrong.value)
		b.await(t, wrong.says, fmt.Sprintf(`(%s).includes(%q) && document.getElementById("compared") === null && document.querySelector(".plot") === null`, fault, wrong.says))
	}
	b.choose(t, "First range", "From", `"2025-12-31T00:00"`)
	b.await(t, "that the second range still follows the first", `(query => Date.parse(query.get("from")) - Date.parse(query.get("from2")) === 7 * 86_400_000)(new URLSearchParams(location.hash.split("?")[1])) &&
		document.getElementById("compared") !== null`)
	b.visit(t, "#/compare?from=campaign+12&to=2026-01-01T00:00Z&from2=2026-01-01T00:00Z&to2=2026-01-02T00:00Z")
	b.await(t, "that this is no time", `(`+fault+`).includes("“campaign 12”, is not a time") && document.getElementById("compared") === null`)
}

// selectNothing opens links with a part that has no meaning, and finds nothing to act on.
func selectNothing(t *testing.T, b *browser) {
	t.Helper()
	for hash, says := range map[string]string{
		"#/messages?label=campaign&page=1": "“campaign” is not a label", "#/messages?status=WAITING": "no status “WAITING”",
		"#/messages?lable=a%3Db": "unknown filter, “lable”", "#/messages?from=yesterday": "“yesterday” is not a time",
		"#/dead-letters?lable=a%3Db": "unknown filter, “lable”", "#/conversations?window=opened": "“opened” is not a value of window",
		"#/templates?state=PAUSED": "unknown filter, “state”", "#/ledger?at=yesterday": "“yesterday” is not a time", "#/?window=2h": "“2h” is not a value of window",
		"#/dead-letters?label=a%3D1&label=b%3D2": "“label” more than once", "#/keys?all=true": "“true” is not a value of all",
		"#/webhooks?failed=true": "“true” is not a value of failed", "#/alerts?sender=demo": "unknown filter, “sender”",
	} {
		b.visit(t, hash)
		b.await(t, hash+" as an error", fmt.Sprintf(`document.querySelector("main [role=alert]")?.innerText.includes(%q)`, says))
		b.await(t, "nothing selected by "+hash, `document.querySelector("main tbody") === null && document.querySelector("#cancel-many, #requeue, #discard, .tiles") === null`)
	}
}

// choose sets the field or the choice with that label in the group with that name. value is an expression.
func (b *browser) choose(t *testing.T, group, label, value string) {
	t.Helper()
	found := fmt.Sprintf(`[...document.querySelectorAll("[role=group][aria-label=" + JSON.stringify(%q) + "] label")].find(label => label.querySelector("span").innerText === %q)?.querySelector("input, select")`, group, label)
	b.await(t, label+" of "+group, `Boolean(`+found+`)`)
	b.run(t, "choose "+label, chromedp.Evaluate(fmt.Sprintf(`(field => {
		field.value = %s;
		for (const type of ["input", "change"]) field.dispatchEvent(new Event(type, { bubbles: true }));
	})(%s)`, value, found), nil))
}

// press clicks the button or link with that text.
func (b *browser) press(t *testing.T, name string) {
	t.Helper()
	found := fmt.Sprintf(`//dialog//button[normalize-space()=%[1]q] | //*[self::button or self::a][normalize-space()=%[1]q][not(//dialog)]`, name)
	b.run(t, "press "+name, chromedp.WaitEnabled(found, chromedp.BySearch), chromedp.ScrollIntoView(found, chromedp.BySearch), chromedp.Click(found, chromedp.BySearch))
}

// write types into the field with that label.
func (b *browser) write(t *testing.T, label, text string) {
	t.Helper()
	found := fmt.Sprintf(`//*[@id=//label[normalize-space()=%q]/@for]`, label)
	b.run(t, "fill "+label, chromedp.WaitVisible(found, chromedp.BySearch), chromedp.SendKeys(found, text, chromedp.BySearch))
}

// accessibilityChecker returns the script that checks a page. Where it could not be installed, because there is no npm, it
// skips the test.
func accessibilityChecker(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile(axeFile)
	if err == nil {
		return string(source)
	}
	if _, missing := exec.LookPath("npm"); missing != nil {
		t.Skip("the accessibility checker requires npm")
	}
	t.Fatalf("the accessibility checker is missing, run web/app/install: %v", err)
	return ""
}

// readableViews checks each view in both themes with axe, and that it fits into a narrow window.
func readableViews(t *testing.T, b *browser, views map[string]string) {
	t.Helper()
	source := accessibilityChecker(t)
	// Colors that change gradually would be measured in between.
	still := emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}})
	b.run(t, "load axe", still, chromedp.Evaluate(source+"; true", nil))
	for name, hash := range views {
		b.visit(t, hash)
		b.await(t, name, `document.querySelector("main h2") !== null && !document.querySelector("main").innerText.includes("Loading…")`)
		b.fits(t, name, 320)
		b.fits(t, name, 1280)
		for _, theme := range []string{"light", "dark"} {
			b.set(t, "#theme", theme)
			b.capture(t, name, theme, 390)
			b.capture(t, name, theme, 1280)
			var rules []string
			if theme == "dark" {
				rules = []string{"color-contrast"} // a theme changes nothing but colors
			}
			b.accessible(t, name+" in the theme "+theme, rules...)
		}
	}
}

// fits fails if the view is wider than a window of that width.
func (b *browser) fits(t *testing.T, name string, width int64) {
	t.Helper()
	var own, wide int64
	var widest []string
	// A card that is drawn only in view cuts what is wider than itself.
	b.run(t, "make the window narrow", chromedp.Evaluate(`(sheet => {
		sheet.replaceSync("* { content-visibility: visible !important }");
		document.adoptedStyleSheets = [sheet];
	})(new CSSStyleSheet())`, nil), chromedp.Evaluate(`innerWidth`, &own), emulation.SetDeviceMetricsOverride(width, 900, 1, false))
	b.await(t, name+" at its new width", fmt.Sprintf(`innerWidth === %d`, width))
	b.run(t, "measure", chromedp.Evaluate(`document.scrollingElement.scrollWidth`, &wide),
		chromedp.Evaluate(`[...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML.slice(0, 80)).slice(0, 5)`, &widest),
		chromedp.Evaluate(`void (document.adoptedStyleSheets = [])`, nil), emulation.ClearDeviceMetricsOverride())
	b.await(t, name+" at its own width", fmt.Sprintf(`innerWidth === %d`, own)) // before that, a click could miss
	if wide > width {
		t.Errorf("%s is %d pixels wide in a window of %d: %q", name, wide, width, widest)
	}
}

// capture stores an image of the view, if a directory is given.
func (b *browser) capture(t *testing.T, name, theme string, width int64) {
	t.Helper()
	dir := os.Getenv(screenshots)
	if dir == "" {
		return
	}
	var image []byte
	b.run(t, "take an image", emulation.SetDeviceMetricsOverride(width, 900, 1, false), chromedp.FullScreenshot(&image, 100), emulation.ClearDeviceMetricsOverride())
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s-%d.png", name, theme, width)), image, 0o600); err != nil {
		t.Fatal(err)
	}
}

// accessible fails for each violation of the given rules, or of any, that axe finds.
func (b *browser) accessible(t *testing.T, name string, rules ...string) {
	t.Helper()
	var found []struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	var result []byte
	await := func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
	run := struct {
		ResultTypes []string `json:"resultTypes"`
		RunOnly     []string `json:"runOnly,omitempty"`
	}{[]string{"violations"}, rules}
	options, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	b.run(t, "check "+name, chromedp.Evaluate(`axe.run(document, `+string(options)+`).then(result => JSON.stringify(result.violations))`, &result, await))
	var text string
	if err := json.Unmarshal(result, &text); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		for _, n := range v.Nodes[:min(3, len(v.Nodes))] {
			t.Errorf("%s: %s (%s): %.200s: %.200s", name, v.ID, v.Help, n.HTML, n.FailureSummary)
		}
	}
}
