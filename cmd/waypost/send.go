package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
	"github.com/waypost/waypost/cmd/waypost/internal/send"
)

type sendCommand struct {
	File string `arg:"" optional:"" type:"existingfile" help:"CSV file with a header, or JSON lines, with one message per line: .csv, .tsv, .jsonl, or .ndjson. - reads standard input."`

	remoteSettings

	Campaign string        `help:"Name of the campaign. A line that was sent before in the same campaign is not sent again. If empty, the name of the file." placeholder:"NAME"`
	Format   send.Format   `help:"Format of the file: csv or jsonl. If empty, its name decides." enum:",csv,jsonl" default:""`
	Encoding string        `help:"Encoding of the file, for example windows-1252. If empty, UTF-8 or UTF-16, which the file shows." placeholder:"NAME"`
	DryRun   bool          `help:"Check all messages against Waypost's rules and queue none."`
	Patience time.Duration `help:"How long to wait for a Waypost that does not respond." default:"1m"`

	messageFlags `embed:""`
}

// messageFlags describe one message, or what the lines of a file omit.
type messageFlags struct {
	Sender        string            `help:"Sender ID."`
	To            string            `help:"Phone number of the recipient, with its country code. Not with a file."`
	ToUserID      string            `name:"to-user-id" help:"WhatsApp user ID of the recipient, instead of a phone number. Not with a file."`
	Key           string            `help:"Idempotency key. With it, repeating the command sends nothing twice. Not with a file."`
	Text          string            `help:"Text to send."`
	Template      string            `help:"Template to send."`
	Language      string            `help:"Language of the template, for example en_US."`
	Param         []string          `help:"Value of the template's next body variable. Repeat it for each, in order." sep:"none" placeholder:"VALUE"`
	NamedParam    map[string]string `help:"Value of a named body variable. Repeat it for each." mapsep:"none" placeholder:"NAME=VALUE"`
	Content       string            `help:"Content of any other type: the GraphQL input MessageContentInput as JSON." placeholder:"JSON"`
	Priority      string            `help:"OTP, TRANSACTIONAL, or BULK. If empty, TRANSACTIONAL." enum:",OTP,TRANSACTIONAL,BULK" default:""`
	SendAt        string            `help:"Earliest time to send, RFC 3339." placeholder:"TIME"`
	ExpiresAt     string            `help:"Latest time to send, RFC 3339." placeholder:"TIME"`
	DeliverWithin string            `help:"How long after WhatsApp's acceptance the delivery is overdue, ISO 8601, for example PT20S." placeholder:"DURATION"`
	OnAmbiguous   string            `help:"What to do if a response of WhatsApp was lost: RESEND or DEAD_LETTER. If empty, RESEND." enum:",RESEND,DEAD_LETTER" default:""`
	OutsideWindow string            `help:"What to do if the recipient's 24-hour window is closed: SEND, FALLBACK, or FAIL. If empty, SEND." enum:",SEND,FALLBACK,FAIL" default:""`
	Fallback      string            `help:"Template to send then, with --outside-window FALLBACK: the GraphQL input TemplateInput as JSON." placeholder:"JSON"`
	ReplyTo       string            `help:"WhatsApp ID of the message to reply to."`
	Label         map[string]string `help:"Label to find the message by. Repeat it for each." mapsep:"none" placeholder:"NAME=VALUE"`
}

// Help describes the files.
func (c *sendCommand) Help() string {
	return `A CSV file begins with a header. "to" or "to_user_id" is required; the other columns are optional:
  to, to_user_id, sender, key, priority, send_at, expires_at, deliver_within, on_ambiguous, reply_to,
  outside_window, fallback (the GraphQL input TemplateInput as JSON), label.NAME, and the content: text; or template, language, param.1, param.2, … (param.NAME for named
  variables); or content, the GraphQL input MessageContentInput as JSON.
A line of a JSON file is the GraphQL input QueueMessageInput. The flags supply what lines omit.

A line without a key gets one, derived from the campaign and the line's values. Sending the same file
again sends nothing twice, added lines are sent, and a changed line is a different message. A line that
is in the file twice is sent twice. The keys do not reveal the number or the text. A file that an older
version of this command sent in part is completed. Standard input needs a --campaign.

Cells are separated by commas, semicolons, tabs, or the separator in a first line such as sep=;. Column
names can be in upper case and contain spaces. Export a spreadsheet as "CSV UTF-8", and format its column
of phone numbers as text first: a number such as 491512345678.0 or 4.9E+11 is refused.

Refused lines are written to FILE.rejected.csv (or .jsonl) with the reason, in the same format and order.
Fix and send that file. The command then exits with 1, as it does when it cannot reach Waypost. Run it
again to continue. With --dry-run, nothing is queued or written, and refused lines are listed.`
}

// Validate returns a usage error for flags that do not go together.
func (c *sendCommand) Validate() error {
	switch {
	case c.File == "" && (c.Sender == "" || (c.To == "") == (c.ToUserID == "")):
		return errors.New("give a file, or --sender and one of --to and --to-user-id for one message")
	case c.File != "" && (c.To != "" || c.ToUserID != ""):
		return errors.New("--to and --to-user-id are for one message; a file names its recipients itself")
	case c.File != "" && c.Key != "":
		return errors.New("--key is for one message; a file has a column key, or the keys are derived from its lines")
	case c.File == send.StandardInput && (c.Format == "" || c.Campaign == ""):
		return errors.New("standard input needs --format csv or jsonl, and a --campaign; a line that was sent before in the same campaign is not sent again")
	case c.File != "" && c.format() == "":
		return fmt.Errorf("%s: the name must end in .csv, .tsv, .jsonl, or .ndjson; otherwise set --format", c.File)
	case c.File == "" && (c.Encoding != "" || c.Format != ""):
		return errors.New("--encoding and --format are for a file")
	case c.Patience < 0 || c.Patience > 24*time.Hour:
		return errors.New("--patience must be between 0 and 24h")
	}
	if c.URL != "" {
		if _, err := apiclient.ParseURL(c.URL, c.InsecureHTTP); err != nil {
			return err
		}
	}
	if c.Encoding != "" {
		if _, err := send.EncodingByName(c.Encoding); err != nil {
			return err
		}
	}
	cells := c.cells()
	for _, column := range slices.Sorted(maps.Keys(cells)) {
		if err := send.CheckCharacters(cells[column]); err != nil {
			return fmt.Errorf("--%s: %w", strings.ReplaceAll(column, "_", "-"), err)
		}
	}
	if _, err := send.NewInput(cells); err != nil {
		return fmt.Errorf("--%s", strings.ReplaceAll(err.Error(), "_", "-"))
	}
	return nil
}

// format returns the format of the file, or "" if it is unknown.
func (c *sendCommand) format() send.Format {
	if c.Format != "" {
		return c.Format
	}
	return send.FormatOf(c.File)
}

// sendingClient returns a client of the Waypost to send to. If no URL is given and none runs on this machine's data directory, but
// there is a key, it is the one at the default address.
func (c *sendCommand) sendingClient() (*apiclient.Client, error) {
	client, err := c.client()
	if c.URL != "" || !errors.As(err, new(*platform.NotRunningError)) {
		return client, err
	}
	key, keyErr := platform.NewSecret("WAYPOST_API_KEY", c.APIKey)
	if keyErr != nil || key.Get() == "" {
		return nil, fmt.Errorf("%w and WAYPOST_API_KEY", err)
	}
	c.URL = defaultURL
	return c.remote(key.Get())
}

// defaultURL is the address of a Waypost with default settings.
const defaultURL = "http://127.0.0.1:8080"

// cells returns the cells of a line that describes the same message as the flags.
func (f *messageFlags) cells() map[string]string {
	cells := map[string]string{
		"sender": f.Sender, "to": f.To, "to_user_id": f.ToUserID, "key": f.Key, "text": f.Text, "template": f.Template, "language": f.Language,
		"content": f.Content, "priority": f.Priority, "send_at": f.SendAt, "expires_at": f.ExpiresAt,
		"deliver_within": f.DeliverWithin, "on_ambiguous": f.OnAmbiguous, "reply_to": f.ReplyTo,
		"outside_window": f.OutsideWindow, "fallback": f.Fallback,
	}
	for i, value := range f.Param {
		cells[fmt.Sprintf("%s%d", send.ParamColumn, i+1)] = value
	}
	for name, value := range f.NamedParam {
		cells[send.ParamColumn+name] = value
	}
	for name, value := range f.Label {
		cells[send.LabelColumn+name] = value
	}
	maps.DeleteFunc(cells, func(_, value string) bool { return value == "" })
	return cells
}

// Run queues the messages. After Ctrl-C, it waits for requests in flight.
func (c *sendCommand) Run(env *environment) error {
	client, err := c.sendingClient()
	if err != nil {
		return err
	}
	queue := &send.Queue{Client: client, Patience: c.Patience, Check: c.DryRun}
	if c.File == "" {
		input, err := send.NewInput(c.cells())
		if err != nil {
			return err
		}
		return sendOne(env, queue, input)
	}
	campaign := c.Campaign
	if campaign == "" {
		campaign = filepath.Base(c.File)
	}
	source, err := send.OpenSource(c.File, env.stdin, c.Encoding)
	if err != nil {
		return err
	}
	f := &send.File{Source: source, Format: c.format(), Campaign: campaign, Defaults: c.cells(), Queue: queue}
	return errors.Join(f.Send(env.ctx, env.stdout, env.stderr), source.Close())
}

// sendOne queues one message and prints its ID.
func sendOne(env *environment, queue *send.Queue, input map[string]any) error {
	ctx, cancel := context.WithTimeout(env.ctx, queue.Patience+apiclient.RequestTimeout)
	defer cancel()
	answers, err := queue.Send(ctx, []map[string]any{input})
	if err != nil {
		return err
	}
	a := answers[0]
	if a.Refusal != nil {
		return errors.New(a.Refusal.String())
	}
	state := "queued"
	switch {
	case a.Replayed:
		state = "queued before"
	case queue.Check:
		_, err = fmt.Fprintln(env.stdout, "would be queued")
		return err
	}
	_, err = fmt.Fprintf(env.stdout, "%s  %s\n", a.ID, state)
	return err
}
