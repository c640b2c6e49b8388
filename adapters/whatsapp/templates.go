package whatsapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/template"
)

const (
	// templatesPerPage is how many templates one request asks for. templatePageBytes bounds a
	// page, and templatePages a listing. Meta allows 6,000 templates per account.
	templatesPerPage  = 200
	templatePageBytes = 16 << 20
	templatePages     = 100
	// templateFields are requested of each template.
	templateFields = "id,name,language,status,category,correct_category,sub_category,parameter_format,components,rejected_reason," +
		"quality_score,message_send_ttl_seconds"
	// restartPaging is the code with which WhatsApp asks to start a listing over.
	// Source: Meta's error codes page.
	restartPaging = 131059
)

// errRestartPaging means that a listing must be started over.
var errRestartPaging = errors.New("list the templates: WhatsApp asked to start over more than once")

// templatePage is one page of a listing.
type templatePage struct {
	Data []struct {
		ID              text            `json:"id"`
		Name            text            `json:"name"`
		Language        text            `json:"language"`
		Status          text            `json:"status"`
		Category        text            `json:"category"`
		CorrectCategory text            `json:"correct_category"`
		SubCategory     text            `json:"sub_category"`
		ParameterFormat text            `json:"parameter_format"`
		RejectedReason  text            `json:"rejected_reason"`
		Components      json.RawMessage `json:"components"`
		TTLSeconds      number          `json:"message_send_ttl_seconds"`
		Quality         json.RawMessage `json:"quality_score"`
	} `json:"data"`
	Paging struct {
		Cursors struct {
			After text `json:"after"`
		} `json:"cursors"`
		Next text `json:"next"`
	} `json:"paging"`
}

// Templates lists the message templates of a business account, page by page (GET /{WABA}/message_templates), in
// normalized form. If it returns nil, yield has got all of them, and some possibly twice. An error of yield ends the
// listing.
func (c *Client) Templates(ctx context.Context, businessAccountID, token string, yield func([]template.Listing) error) error {
	err := c.listTemplates(ctx, businessAccountID, token, yield)
	if errors.Is(err, errRestartPaging) {
		err = c.listTemplates(ctx, businessAccountID, token, yield)
	}
	return err
}

func (c *Client) listTemplates(ctx context.Context, businessAccountID, token string, yield func([]template.Listing) error) error {
	after := ""
	for range templatePages {
		page, err := c.templatePage(ctx, businessAccountID, token, after)
		if err != nil {
			return err
		}
		if err := yield(page.listings(businessAccountID)); err != nil {
			return err
		}
		next := string(page.Paging.Cursors.After)
		if page.Paging.Next == "" || next == "" || next == after {
			return nil
		}
		after = next
	}
	return fmt.Errorf("list the templates: there are more than %d pages", templatePages)
}

// templatePage requests one page. The page's own link is not followed, because it can lead anywhere.
func (c *Client) templatePage(ctx context.Context, businessAccountID, token, after string) (templatePage, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var page templatePage
	target := c.base
	target.Path += "/" + businessAccountID + "/message_templates"
	query := url.Values{"fields": {templateFields}, "limit": {strconv.Itoa(templatesPerPage)}}
	if after != "" {
		query.Set("after", after)
	}
	target.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return page, errors.New("list the templates: the URL with the business account's ID is invalid")
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("User-Agent", "waypost")
	answer, err := c.http.Do(request)
	if err != nil {
		return page, fmt.Errorf("list the templates: %s", rootCause(err))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, templatePageBytes))
	switch {
	case err != nil:
		return page, fmt.Errorf("list the templates: %w", err)
	case len(body) == templatePageBytes:
		return page, fmt.Errorf("list the templates: a page is larger than %d bytes", templatePageBytes)
	case answer.StatusCode != http.StatusOK:
		return page, c.templatesRefused(answer.StatusCode, answer.Header, body)
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return page, fmt.Errorf("list the templates: %w", err)
	}
	if page.Data == nil {
		return page, errors.New("list the templates: the response has no list")
	}
	return page, nil
}

func (c *Client) templatesRefused(status int, header http.Header, body []byte) error {
	refused, ok := c.errors.result(status, header, body, "").(message.Refused)
	if !ok {
		return fmt.Errorf("list the templates: status %d", status)
	}
	f := refused.Failure
	if f.Code != nil && *f.Code == restartPaging {
		return errRestartPaging
	}
	return fmt.Errorf("list the templates: status %d: %s", status, f.Message)
}

// listings returns the templates of a page that have a name and a language.
func (p *templatePage) listings(businessAccountID string) []template.Listing {
	list := make([]template.Listing, 0, len(p.Data))
	for _, d := range p.Data {
		l := template.Listing{
			Ref: template.Ref{
				BusinessAccountID: businessAccountID, Name: string(d.Name), Language: template.NormalizeLanguage(string(d.Language)), ID: string(d.ID),
			},
			Details: template.Details{
				CorrectCategory: string(d.CorrectCategory), SubCategory: string(d.SubCategory), ParameterFormat: string(d.ParameterFormat),
				RejectedReason: string(d.RejectedReason), Components: d.Components,
			},
			Status: string(d.Status), Category: string(d.Category), Quality: scoreIn(d.Quality),
		}
		if d.TTLSeconds.known {
			l.TTLSeconds = &d.TTLSeconds.value
		}
		if l.Valid() && l.Status != "" {
			list = append(list, l.Normalize())
		}
	}
	return list
}

// scoreIn returns a quality score, which is an object or a word.
func scoreIn(raw json.RawMessage) string {
	var object struct {
		Score text `json:"score"`
	}
	if json.Unmarshal(raw, &object) == nil {
		return string(object.Score)
	}
	var word text
	_ = json.Unmarshal(raw, &word) // then there is none
	return string(word)
}

// templateReport returns what the value of a webhook field says about a template, or false if the field is not about one.
// What it says is found by the members, because Meta's own samples have a quality score under the status field.
// Sources: Meta's references of the webhooks message_template_status_update, message_template_quality_update,
// template_category_update, template_correct_category_detection, and message_template_components_update, September 2026.
func templateReport(account, field string, value json.RawMessage, at time.Time) (template.Report, bool) {
	var v struct {
		ID              text    `json:"message_template_id"`
		Name            text    `json:"message_template_name"`
		Language        text    `json:"message_template_language"`
		Event           text    `json:"event"`
		Reason          text    `json:"reason"`
		Quality         text    `json:"new_quality_score"`
		NewCategory     text    `json:"new_category"`
		Previous        text    `json:"previous_category"`
		CorrectCategory text    `json:"correct_category"`
		ChangesAt       instant `json:"category_update_timestamp"`
		Other           struct {
			Title text `json:"title"`
		} `json:"other_info"`
		Rejection struct {
			Reason         text `json:"reason"`
			Recommendation text `json:"recommendation"`
		} `json:"rejection_info"`
		Title   json.RawMessage `json:"message_template_title"`
		Element json.RawMessage `json:"message_template_element"`
		Footer  json.RawMessage `json:"message_template_footer"`
		Buttons json.RawMessage `json:"message_template_buttons"`
	}
	if json.Unmarshal(value, &v) != nil {
		return template.Report{}, false // it is kept as it is
	}
	r := template.Report{
		Ref: template.Ref{BusinessAccountID: account, Name: string(v.Name), Language: template.NormalizeLanguage(string(v.Language)), ID: string(v.ID)},
		At:  at, Status: string(v.Event), Reason: string(v.Reason), Detail: string(v.Other.Title), Quality: string(v.Quality),
	}
	if v.Rejection.Recommendation != "" {
		r.Detail = string(v.Rejection.Reason) + " " + string(v.Rejection.Recommendation)
	}
	switch {
	case v.Quality != "":
		r.Status = "" // Meta's sample
	case v.Previous != "":
		r.Category, r.PreviousCategory = string(v.NewCategory), string(v.Previous)
	case field == fieldCategoryUpdate && v.CorrectCategory != "":
		r.Announced, r.ChangesAt = string(v.CorrectCategory), v.ChangesAt.Time
	case v.Element != nil || v.Title != nil || v.Footer != nil || v.Buttons != nil:
		r.Content = value
	}
	return r, r.Valid()
}

// fieldCategoryUpdate is the field that announces and reports another category.
const fieldCategoryUpdate = "template_category_update"
