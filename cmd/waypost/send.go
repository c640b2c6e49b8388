package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

type sendCommand struct {
	File string `arg:"" optional:"" type:"existingfile" help:"CSV with a header, or JSON lines, one message each: .csv, .jsonl or .ndjson."`

	URL      string        `help:"Address of the platform." default:"http://127.0.0.1:8080" env:"WAYPOST_URL"`
	APIKey   string        `name:"api-key" help:"Key with the scope SEND; WAYPOST_API_KEY_FILE names a file that holds it." env:"WAYPOST_API_KEY"`
	Campaign string        `help:"A line that was sent before under the same campaign is not sent again. The file's name if empty." placeholder:"NAME"`
	Patience time.Duration `help:"How long a platform that does not answer is waited for." default:"1m"`

	messageFlags `embed:""`
}

// messageFlags describe one message, or what the lines of a file leave out.
type messageFlags struct {
	Sender      string            `help:"The sender's id."`
	To          string            `help:"The recipient's number with its country code. Not with a file."`
	Key         string            `help:"Idempotency key: repeating the command sends nothing twice. Not with a file."`
	Text        string            `help:"Send this text."`
	Template    string            `help:"Send this template."`
	Language    string            `help:"The template's language, such as en_US."`
	Param       []string          `help:"Value of the template's next body variable; repeat it in their order." sep:"none" placeholder:"VALUE"`
	NamedParam  map[string]string `help:"Value of a named body variable; repeat it for each." mapsep:"none" placeholder:"NAME=VALUE"`
	Content     string            `help:"Send this content: the GraphQL input MessageContentInput as JSON, for all other kinds." placeholder:"JSON"`
	Priority    string            `help:"OTP, TRANSACTIONAL or BULK; TRANSACTIONAL if empty." enum:",OTP,TRANSACTIONAL,BULK" default:""`
	SendAt      string            `help:"Not before this time, RFC 3339." placeholder:"TIME"`
	ExpiresAt   string            `help:"Not after this time, RFC 3339." placeholder:"TIME"`
	OnAmbiguous string            `help:"RESEND or DEAD_LETTER, when an answer of WhatsApp was lost; RESEND if empty." enum:",RESEND,DEAD_LETTER" default:""`
	ReplyTo     string            `help:"WhatsApp's id of the message that it answers."`
	Label       map[string]string `help:"Label by which it is found again; repeat it for each." mapsep:"none" placeholder:"NAME=VALUE"`
}

// Help says what files look like.
func (c *sendCommand) Help() string {
	return `A CSV file begins with a header. Its columns, all but "to" as needed:
  to, sender, key, priority, send_at, expires_at, on_ambiguous, reply_to, label.NAME,
  and the content: text; or template, language, param.1, param.2, … (param.NAME for named
  variables); or content, the GraphQL input MessageContentInput as JSON.
A line of a JSON file is the GraphQL input QueueMessageInput. What lines leave out the flags give.

A line without a key gets one, of the campaign and of what stands in the line: the same file again
sends nothing twice, lines that were added are sent, and a line that was changed is another message.
A line that stands twice in a file is sent twice.

Lines that are refused are written to FILE.rejected.csv (or .jsonl) with the reason, in the same form,
to be mended and sent. The command then ends with 1, as when the platform stays away; run again, it goes on.`
}

// Validate finds flags that do not go together: wrong usage.
func (c *sendCommand) Validate() error {
	switch {
	case c.File == "" && (c.Sender == "" || c.To == ""):
		return errors.New("give a file, or --sender and --to for one message")
	case c.File != "" && c.To != "":
		return errors.New("--to is for one message; a file names its recipients itself")
	case c.File != "" && c.Key != "":
		return errors.New("--key is for one message; a file has a column key, or the lines' own text is taken")
	case c.File != "" && formatOf(c.File) == "":
		return fmt.Errorf("%s: the name must end in .csv, .jsonl or .ndjson", c.File)
	case c.Patience < 0 || c.Patience > 24*time.Hour:
		return errors.New("--patience must be between 0 and 24h")
	}
	if _, err := c.endpoint(); err != nil {
		return err
	}
	if _, err := inputOf(c.cells()); err != nil {
		return fmt.Errorf("--%s", strings.ReplaceAll(err.Error(), "_", "-"))
	}
	return nil
}

// endpoint is where GraphQL is served.
func (c *sendCommand) endpoint() (string, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("--url: %q is no URL; give one like http://127.0.0.1:8080", c.URL)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/graphql"
	}
	return u.String(), nil
}

// cells is what the flags describe, as the line of a file.
func (f *messageFlags) cells() map[string]string {
	cells := map[string]string{
		"sender": f.Sender, "to": f.To, "key": f.Key, "text": f.Text, "template": f.Template, "language": f.Language,
		"content": f.Content, "priority": f.Priority, "send_at": f.SendAt, "expires_at": f.ExpiresAt,
		"on_ambiguous": f.OnAmbiguous, "reply_to": f.ReplyTo,
	}
	for i, value := range f.Param {
		cells[fmt.Sprintf("%s%d", paramColumn, i+1)] = value
	}
	for name, value := range f.NamedParam {
		cells[paramColumn+name] = value
	}
	for name, value := range f.Label {
		cells[labelColumn+name] = value
	}
	maps.DeleteFunc(cells, func(_, value string) bool { return value == "" })
	return cells
}

// Run queues what it is given. Ctrl-C ends it after the requests under way.
func (c *sendCommand) Run(env *environment) error {
	key, err := newSecret("WAYPOST_API_KEY", c.APIKey)
	if err != nil {
		return err
	}
	if key.get() == "" {
		return errors.New("no API key is given; set WAYPOST_API_KEY, or WAYPOST_API_KEY_FILE to a file that holds it")
	}
	endpoint, err := c.endpoint()
	if err != nil {
		return err
	}
	queue := &sendQueue{client: newGraphQLClient(endpoint, key.get()), patience: c.Patience}
	if c.File == "" {
		input, err := inputOf(c.cells())
		if err != nil {
			return err
		}
		return sendOne(env, queue, input)
	}
	campaign := c.Campaign
	if campaign == "" {
		campaign = filepath.Base(c.File)
	}
	return (&sendFile{path: c.File, campaign: campaign, defaults: c.cells(), queue: queue}).send(env)
}

// sendOne queues one message and prints its id.
func sendOne(env *environment, queue *sendQueue, input map[string]any) error {
	ctx, cancel := context.WithTimeout(env.ctx, queue.patience+requestTimeout)
	defer cancel()
	answers, err := queue.send(ctx, []map[string]any{input})
	if err != nil {
		return err
	}
	a := answers[0]
	if a.refusal != nil {
		return errors.New(a.refusal.String())
	}
	state := "queued"
	if a.replayed {
		state = "queued before"
	}
	_, err = fmt.Fprintf(env.stdout, "%s  %s\n", a.id, state)
	return err
}

// sendFormat is how a file has its messages.
type sendFormat string

const (
	formatCSV   sendFormat = "csv"
	formatJSONL sendFormat = "jsonl"
)

// formatOf goes by the file's name; empty if it is none that is known.
func formatOf(path string) sendFormat {
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case ext == ".csv":
		return formatCSV
	case slices.Contains([]string{".jsonl", ".ndjson"}, ext):
		return formatJSONL
	}
	return ""
}

// merged is a line's input completed by the defaults; labels are put together.
func merged(line, defaults map[string]any) map[string]any {
	out := make(map[string]any, len(line)+len(defaults))
	maps.Copy(out, defaults)
	maps.Copy(out, line)
	own, _ := line["labels"].([]any)
	more, _ := defaults["labels"].([]any)
	if labels := slices.Concat(own, more); len(labels) > 0 {
		out["labels"] = labels
	}
	return out
}

// decodeObject reads a JSON object without losing digits of its numbers.
func decodeObject(text string) (map[string]any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil || object == nil {
		return nil, errors.New("is no JSON object")
	}
	if d.More() {
		return nil, errors.New("has more behind its JSON object")
	}
	return object, nil
}
