package graph

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// maxQueue is the number of messages that one request can queue.
const maxQueue = 1000

// requestOf converts the input to the domain's request.
func requestOf(in QueueMessageInput) (message.Request, error) {
	content, err := contentOf(*in.Content)
	if err != nil {
		return message.Request{}, err
	}
	if in.IdempotencyKey != nil {
		if err := message.ValidateIdempotencyKey(*in.IdempotencyKey); err != nil {
			return message.Request{}, err
		}
	}
	req := message.Request{
		Sender: in.SenderID, To: or(in.To, ""), ToUserID: or(in.ToUserID, ""), Content: content,
		Priority:    or(in.Priority, message.PriorityTransactional),
		OnAmbiguous: or(in.OnAmbiguous, message.AmbiguityResend),
		SendAt:      or(in.SendAt, time.Time{}), ExpiresAt: or(in.ExpiresAt, time.Time{}), DeliverWithin: in.DeliverWithin,
		ReplyTo: or(in.ReplyTo, ""), IdempotencyKey: or(in.IdempotencyKey, ""), FormerKeys: in.FormerKeys,
	}
	req.OutsideWindow = or(in.OutsideWindow, message.OutsideSend)
	if in.Fallback != nil {
		req.Fallback = new(templateOf(*in.Fallback))
	}
	for _, l := range in.Labels {
		req.Labels = append(req.Labels, *l)
	}
	return req, nil
}

func contentOf(in MessageContentInput) (message.Content, error) {
	switch {
	case in.Text != nil:
		return message.Text{Body: in.Text.Body, PreviewURL: or(in.Text.PreviewURL, false)}, nil
	case in.Template != nil:
		return templateOf(*in.Template), nil
	case in.Image != nil:
		return message.Image(mediaOf(*in.Image)), nil
	case in.Video != nil:
		return message.Video(mediaOf(*in.Video)), nil
	case in.Audio != nil:
		return message.Audio(mediaOf(*in.Audio)), nil
	case in.Document != nil:
		return message.Document(mediaOf(*in.Document)), nil
	case in.Sticker != nil:
		return message.Sticker(mediaOf(*in.Sticker)), nil
	case in.Location != nil:
		l := in.Location
		return message.Location{
			Latitude: message.Degrees(l.Latitude), Longitude: message.Degrees(l.Longitude),
			Name: or(l.Name, ""), Address: or(l.Address, ""),
		}, nil
	case in.Contacts != nil:
		contacts := make(message.Contacts, len(in.Contacts))
		for i, c := range in.Contacts {
			contacts[i] = c.Contact
		}
		return contacts, nil
	case in.Reaction != nil:
		return message.Reaction{MessageID: in.Reaction.MessageID, Emoji: in.Reaction.Emoji}, nil
	case in.Interactive != nil:
		return message.Interactive{
			InteractiveKind: message.InteractiveKind(in.Interactive.Kind), Object: in.Interactive.Object,
		}, nil
	}
	return nil, domain.Invalid("content", "must have exactly one member, got none")
}

func mediaOf(in MediaInput) message.Media {
	return message.Media{
		ID: or(in.ID, ""), Link: or(in.Link, ""), Caption: or(in.Caption, ""),
		Filename: or(in.Filename, ""), Voice: or(in.Voice, false),
	}
}

func templateOf(in TemplateInput) message.Template {
	t := message.Template{Name: in.Name, Language: message.Language{Code: in.Language}}
	for _, c := range in.Components {
		t.Components = append(t.Components, componentOf(*c))
	}
	return t
}

// componentOf converts a component. The parts below a body's text, which are components
// of their own in the Cloud API, are distinguished by their sub-type.
func componentOf(in TemplateComponentInput) message.Component {
	c := message.Component{
		Type: message.ComponentType(strings.ToLower(string(in.Type))), SubType: or(in.SubType, ""), Parameters: in.Parameters,
	}
	if in.Index != nil {
		c.Index = strconv.Itoa(*in.Index)
	}
	if in.Type != TemplateComponentTypeBody {
		return c
	}
	switch part := message.ComponentType(strings.ToLower(c.SubType)); part {
	case message.ComponentCarousel:
		c.Type, c.SubType, c.Cards, c.Parameters = part, "", in.Parameters, nil
	case message.ComponentOffer, message.ComponentOrderStatus, message.ComponentTapTarget:
		c.Type, c.SubType = part, ""
	case message.ComponentHeader, message.ComponentBody, message.ComponentButton:
	}
	return c
}

// demandOneContent checks that every content in the request has exactly one member,
// counting null ones. The schema's @oneOf is checked only for literals, and a variable
// has lost its nulls once it is decoded.
func demandOneContent(ctx context.Context) error {
	args := graphql.GetFieldContext(ctx).Field.ArgumentMap(graphql.GetOperationContext(ctx).Variables)
	if input, ok := args["input"]; ok {
		return domain.PrefixField("input", oneContent(input))
	}
	for i, input := range listed(args["inputs"]) {
		if err := domain.PrefixField(fmt.Sprintf("inputs.%d", i), oneContent(input)); err != nil {
			return err
		}
	}
	return nil
}

// listed returns a value's list. A single value is a list of one element.
func listed(value any) []any {
	if list, ok := value.([]any); ok {
		return list
	}
	return []any{value}
}

func oneContent(input any) error {
	fields, _ := input.(map[string]any)
	content, _ := fields["content"].(map[string]any)
	if n := len(content); n != 1 {
		return domain.Invalid("content", "must have exactly one member, got %d", n)
	}
	for name, value := range content {
		if value == nil {
			return domain.Invalid("content."+name, "must not be null")
		}
	}
	return nil
}
