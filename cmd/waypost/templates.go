package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
)

type templatesCommand struct {
	List templatesList `cmd:"" help:"List the message templates that Waypost knows."`
	Sync templatesSync `cmd:"" help:"List the templates of a business account at WhatsApp, and record what is new."`
}

type templatesList struct {
	remoteSettings
	Account  string   `help:"Business account ID. If empty, all accounts."`
	Name     string   `help:"Name of the templates. If empty, all."`
	Status   []string `help:"Statuses, comma-separated, for example PAUSED. If empty, all."`
	Category []string `help:"Categories, comma-separated, for example MARKETING. If empty, all."`
}

// templatesPage is the number of templates of one request, the maximum.
const templatesPage = 200

// listTemplates is the document of templatesList.
const listTemplates = `query ($filter: TemplateFilter, $first: Int!, $after: String) {
	templates(filter: $filter, first: $first, after: $after) {
		edges { node { businessAccountId name language status statusDetail sending category announcedCategory quality queued } }
		pageInfo { hasNextPage endCursor }
	}
}`

// Run prints the templates, page by page.
func (c *templatesList) Run(env *environment) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	filter := map[string]any{"status": c.Status, "category": c.Category}
	if c.Account != "" {
		filter["businessAccountId"] = c.Account
	}
	if c.Name != "" {
		filter["name"] = c.Name
	}
	w := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ACCOUNT\tNAME\tLANGUAGE\tSTATUS\tSENDING\tCATEGORY\tQUALITY\tQUEUED")
	for after := ""; ; {
		var found struct {
			Templates struct {
				Edges []struct {
					Node struct {
						BusinessAccountID, Name, Language, Status, StatusDetail, Sending, Category, AnnouncedCategory, Quality string
						Queued                                                                                                 int64
					}
				}
				PageInfo struct {
					HasNextPage bool
					EndCursor   string
				}
			}
		}
		variables := map[string]any{"filter": filter, "first": templatesPage}
		if after != "" {
			variables["after"] = after
		}
		if err := c.request(env.ctx, client, listTemplates, variables, &found); err != nil {
			return err
		}
		for _, e := range found.Templates.Edges {
			t := e.Node
			if t.StatusDetail != "" {
				t.Status += " (" + t.StatusDetail + ")"
			}
			if t.AnnouncedCategory != "" {
				t.Category += " → " + t.AnnouncedCategory
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", t.BusinessAccountID, t.Name, t.Language, t.Status, t.Sending, t.Category, t.Quality, t.Queued)
		}
		if !found.Templates.PageInfo.HasNextPage {
			return w.Flush()
		}
		after = found.Templates.PageInfo.EndCursor
	}
}

// request makes one request.
func (remoteSettings) request(ctx context.Context, client *apiclient.Client, document string, variables map[string]any, into any) error {
	ctx, cancel := context.WithTimeout(ctx, client.HTTP.Timeout)
	defer cancel()
	return client.Do(ctx, document, variables, into)
}

type templatesSync struct {
	remoteSettings
	Account string `arg:"" help:"Business account ID. A sender must have it."`
}

// syncRequestTimeout bounds a sync: WhatsApp lists 6,000 templates in 30 pages.
const syncRequestTimeout = 6 * apiclient.RequestTimeout

// Run syncs the templates of an account.
func (c *templatesSync) Run(env *environment) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	client.HTTP.Timeout = syncRequestTimeout
	var done struct {
		SyncTemplates struct{ Count, Changed, Removed int }
	}
	err = c.request(env.ctx, client, `mutation ($account: ID!) { syncTemplates(businessAccountId: $account) { count changed removed } }`,
		map[string]any{"account": c.Account}, &done)
	if err != nil {
		return err
	}
	s := done.SyncTemplates
	_, err = fmt.Fprintf(env.stdout, "%d templates, %d new or changed, %d removed\n", s.Count, s.Changed, s.Removed)
	return err
}
