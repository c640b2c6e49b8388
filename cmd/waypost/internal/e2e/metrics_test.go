package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	"gopkg.in/yaml.v3"

	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
	"github.com/waypost/waypost/domain/alert"
)

const ops = "../../../../docs/ops"

// ruleFile is what Prometheus reads of a file of rules.
type ruleFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			For         string            `yaml:"for"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
	Templating struct {
		List []struct{ Query any }
	}
}

// expressions are all that docs/ops asks Prometheus for.
func expressions(t *testing.T) []string {
	t.Helper()
	var found []string
	file, err := os.Open(filepath.Join(ops, "prometheus-rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var rules ruleFile
	d := yaml.NewDecoder(file)
	d.KnownFields(true)
	if err := d.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Expr == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
				t.Errorf("rule %q lacks something", r.Alert)
			}
			found = append(found, r.Expr)
		}
	}
	text, err := os.ReadFile(filepath.Join(ops, "grafana-dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board dashboard
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			found = append(found, strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"))
		}
	}
	if n := len(rules.Groups[0].Rules); n < len(alert.Kinds())+2 {
		t.Errorf("%d rules; want one for each kind of alert, and for what only Prometheus sees", n)
	}
	if len(found) < 20 {
		t.Fatalf("%d expressions", len(found))
	}
	return found
}

// TestMetricsInTheFilesForOperatorsAreExported holds the rules and the dashboard to
// parse and to name nothing that a running platform does not export.
func TestMetricsInTheFilesForOperatorsAreExported(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	metricsAddr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	r := e2etest.Start(ctx, t, []string{"WAYPOST_METRICS_ADDR=" + metricsAddr, "WAYPOST_PPROF=true"}, map[string]any{"error_rate": 1, "error_codes": []int{131026}})
	const register = `mutation { registerSender(input: {id: "shop", name: "Shop", phoneNumberId: "100000000001", messagesPerSecond: 80,
		businessAccountId: "100200300400500"}) { id } }` // the simulator's account
	if err := r.Client.Do(ctx, register, nil, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message("shop", "fails", 1)}); err != nil {
		t.Fatal(err)
	}
	var text string
	exported := func(lines ...string) {
		e2etest.Await(ctx, t, strings.Join(lines, " and "), func() bool {
			body, err := harness.GetOK(ctx, "http://"+metricsAddr+"/metrics")
			if err != nil {
				t.Fatalf("%v; the last was %s", err, text)
			}
			text = string(body)
			return !slices.ContainsFunc(lines, func(line string) bool { return !strings.Contains(text, line) })
		})
	}
	exported(`waypost_messages_failed_total{sender="shop"} 1`, `waypost_lane_effective_rate{sender="shop"} 80`)
	if err := r.Control(ctx, map[string]any{"messaging_limit": 250}); err != nil { // a webhook reports it
		t.Fatal(err)
	}
	exported(`waypost_messaging_limit{sender="shop"} 250`)
	for _, line := range []string{
		`waypost_failures_total{category="recipient",class="PERMANENT",code="131026",sender="shop"} 1`,
		`waypost_sender_state{sender="shop",state="ACTIVE"} 1`, `waypost_read_model_up 1`, `waypost_ledger_balanced 1`,
		`waypost_queue_depth{priority="OTP",sender="shop"} 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%s is not in\n%s", line, text)
		}
	}
	name := regexp.MustCompile(`waypost_[a-z_]+`)
	for _, e := range expressions(t) {
		if _, err := metricsql.Parse(e); err != nil {
			t.Errorf("%s: %v", e, err)
		}
		for _, n := range name.FindAllString(e, -1) {
			if !strings.Contains(text, "\n"+n+"{") && !strings.Contains(text, "\n"+n+" ") {
				t.Errorf("%s is not exported; %s needs it", n, e)
			}
		}
	}
	if _, err := harness.GetOK(ctx, "http://"+metricsAddr+"/debug/pprof/heap"); err != nil {
		t.Errorf("profiles: %v", err)
	}
	// Another port serves neither. It has the web UI at paths that it doesn't know.
	if _, err := harness.GetOK(ctx, "http://"+r.Addr+"/metrics"); err == nil {
		t.Error("/metrics is served on another port than the one that is set for it")
	}
	if body, err := harness.GetOK(ctx, "http://"+r.Addr+"/debug/pprof/heap"); err == nil && !strings.Contains(string(body), "<html") {
		t.Error("profiles are served on another port than that of the metrics")
	}
}
