package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/app/retry"
)

// TemplateSpec is a message template of the simulator's business account, as the API lists it.
type TemplateSpec struct {
	Name     string `json:"name"`
	Language string `json:"language"`
	// Status is APPROVED if empty, Category UTILITY, and Quality UNKNOWN.
	Status   string `json:"status,omitempty"`
	Category string `json:"category,omitempty"`
	Quality  string `json:"quality,omitempty"`
	// Reason is the reason of a status webhook, such as FIRST_PAUSE.
	Reason          string          `json:"reason,omitempty"`
	ParameterFormat string          `json:"parameter_format,omitempty"`
	TTLSeconds      int             `json:"message_send_ttl_seconds,omitempty"`
	Components      json.RawMessage `json:"components,omitempty"`
}

const (
	// templateListLimit is the number of templates on a page if the request gives none, as at Meta.
	templateListLimit = 25
	maxTemplateList   = 1000
	// reportsPerWebhook is the maximum number of changes in one webhook.
	reportsPerWebhook = 100
)

func (t TemplateSpec) key() string { return t.Name + "/" + t.Language }

func (t TemplateSpec) status() string   { return orElse(t.Status, "APPROVED") }
func (t TemplateSpec) category() string { return orElse(t.Category, "UTILITY") }
func (t TemplateSpec) quality() string  { return orElse(t.Quality, "UNKNOWN") }

// id returns the ID of the template, which is the same in every run.
func (t TemplateSpec) id() uint64 {
	h := fnv.New64a()
	h.Write([]byte(t.key()))
	return 1_000_000_000_000_000 + h.Sum64()%1_000_000_000_000_000
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return strings.ToUpper(s)
}

func validateTemplates(list []TemplateSpec) error {
	seen := make(map[string]bool, len(list))
	for i, t := range list {
		switch {
		case t.Name == "" || t.Language == "":
			return fmt.Errorf(`setting "templates": item %d needs a name and a language`, i)
		case seen[t.key()]:
			return fmt.Errorf(`setting "templates": %s is given twice`, t.key())
		}
		seen[t.key()] = true
	}
	return nil
}

// byTemplate returns the templates by name and language.
func byTemplate(list []TemplateSpec) map[string]TemplateSpec {
	all := make(map[string]TemplateSpec, len(list))
	for _, t := range list {
		all[t.key()] = t
	}
	return all
}

// templateError returns the error of a call with a template, or nil if it is accepted. If no templates are set, all are.
func (set *settings) templateError(t *template) *apiError {
	if len(set.templates) == 0 {
		return nil
	}
	if t.Language == nil {
		return nil // it is refused by its form
	}
	known, ok := set.templates[t.Name+"/"+t.Language.Code]
	if !ok {
		return detailed(132001, "template name (%s) does not exist in %s", t.Name, t.Language.Code)
	}
	switch known.status() {
	case "APPROVED":
		return nil
	case "PAUSED":
		return errorOf(132015)
	case "DISABLED":
		return errorOf(132016)
	}
	return detailed(132001, "template name (%s) is not approved in %s", t.Name, t.Language.Code)
}

// serveTemplates serves GET /{version}/{business account}/message_templates, page by page. Without the setting
// templates, the account can't be read, so that Waypost doesn't know its templates.
func (s *Simulator) serveTemplates(w http.ResponseWriter, r *http.Request) {
	set := s.settings.Load()
	if err := authorize(r, set); err != nil {
		s.writeError(w, r, set, err)
		return
	}
	account := r.PathValue("id")
	if len(set.Templates) == 0 {
		s.writeError(w, r, set, missingObject(account, "get"))
		return
	}
	query := r.URL.Query()
	limit := templateListLimit
	if n, err := strconv.Atoi(query.Get("limit")); err == nil && n > 0 {
		limit = min(n, maxTemplateList)
	}
	from, _ := strconv.Atoi(query.Get("after")) // the first page otherwise
	from = min(max(from, 0), len(set.Templates))
	to := min(from+limit, len(set.Templates))
	page := map[string]any{"data": listTemplates(set.Templates[from:to])}
	paging := map[string]any{"cursors": map[string]string{"before": strconv.Itoa(from), "after": strconv.Itoa(to)}}
	if to < len(set.Templates) {
		next := url.Values{"limit": {strconv.Itoa(limit)}, "after": {strconv.Itoa(to)}, "fields": {query.Get("fields")}}
		paging["next"] = s.URL() + "/" + account + "/message_templates?" + next.Encode()
	}
	page["paging"] = paging
	writeJSON(w, page)
}

func listTemplates(list []TemplateSpec) []map[string]any {
	data := make([]map[string]any, len(list))
	for i, t := range list {
		data[i] = map[string]any{
			"id": strconv.FormatUint(t.id(), 10), "name": t.Name, "language": t.Language, "status": t.status(), "category": t.category(),
			"parameter_format": orElse(t.ParameterFormat, "POSITIONAL"), "quality_score": map[string]any{"score": t.quality()},
			"components": t.Components,
		}
		if t.Components == nil {
			data[i]["components"] = []any{}
		}
		if t.TTLSeconds != 0 {
			data[i]["message_send_ttl_seconds"] = t.TTLSeconds
		}
	}
	return data
}

// change is one change that a webhook reports about the business account.
type change struct {
	Field string         `json:"field"`
	Value map[string]any `json:"value"`
}

// templateChanges returns what webhooks report when the templates before become those after.
func templateChanges(before, after map[string]TemplateSpec) []change {
	var reports []change
	add := func(field string, t TemplateSpec, members map[string]any) {
		members["message_template_id"], members["message_template_name"], members["message_template_language"] = t.id(), t.Name, t.Language
		reports = append(reports, change{field, members})
	}
	status := func(t TemplateSpec, event string) {
		value := map[string]any{"event": event, "reason": "NONE", "message_template_category": t.category()}
		if t.Reason != "" {
			value["other_info"] = map[string]string{"title": t.Reason}
		}
		add("message_template_status_update", t, value)
	}
	for key, t := range after {
		old, existed := before[key]
		if !existed || old.status() != t.status() {
			status(t, t.status())
		}
		if existed && old.category() != t.category() {
			add("template_category_update", t, map[string]any{"previous_category": old.category(), "new_category": t.category()})
		}
		if existed && old.quality() != t.quality() {
			add("message_template_quality_update", t, map[string]any{"previous_quality_score": old.quality(), "new_quality_score": t.quality()})
		}
	}
	for key, t := range before {
		if _, exists := after[key]; !exists {
			status(t, "DELETED")
		}
	}
	return reports
}

// accountReports sends webhooks about the business account, one after the other.
type accountReports struct {
	mu      sync.Mutex
	waiting [][]byte      // guarded by mu
	last    int64         // time of the last webhook, guarded by mu
	more    chan struct{} // has room for one signal
}

// add queues a webhook with changes that happen now.
func (a *accountReports) add(account string, reports []change) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(reports) > 0 {
		n := min(len(reports), reportsPerWebhook)
		// Meta's changes are hours apart, so their times in whole seconds differ.
		a.last = max(time.Now().Unix(), a.last+1)
		body, err := json.Marshal(map[string]any{"object": "whatsapp_business_account", "entry": []any{
			map[string]any{"id": account, "time": a.last, "changes": reports[:n]},
		}})
		if err != nil {
			return err
		}
		a.waiting, reports = append(a.waiting, body), reports[n:]
	}
	select {
	case a.more <- struct{}{}:
	default:
	}
	return nil
}

// next returns the next webhook, or nil if there is none.
func (a *accountReports) next() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == 0 {
		return nil
	}
	body := a.waiting[0]
	a.waiting = a.waiting[1:]
	return body
}

// sendReports sends the webhooks about the business account until ctx ends. One that is not answered with 200 is
// repeated before the next one is sent.
func (s *Simulator) sendReports(ctx context.Context) {
	for {
		body := s.reports.next()
		if body == nil {
			select {
			case <-ctx.Done():
				return
			case <-s.reports.more:
			}
			continue
		}
		for failures := 0; ctx.Err() == nil; {
			limited, cancel := context.WithTimeout(ctx, answerTimeout)
			status, err := s.post(limited, s.Control().WebhookURL, body)
			cancel()
			if err == nil && status == http.StatusOK {
				break
			}
			failures++
			_ = retry.Sleep(ctx, max(redelivery(failures), 200*time.Millisecond))
		}
	}
}
