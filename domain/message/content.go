package message

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/waypost/waypost/domain"
)

// Kind is what kind of content a message has. The values are those of the
// GraphQL schema.
type Kind string

// The kinds of content.
const (
	KindText     Kind = "TEXT"
	KindTemplate Kind = "TEMPLATE"
	KindImage    Kind = "IMAGE"
	KindVideo    Kind = "VIDEO"
	KindAudio    Kind = "AUDIO"
	KindDocument Kind = "DOCUMENT"
	KindSticker  Kind = "STICKER"
	KindLocation Kind = "LOCATION"
	KindContacts Kind = "CONTACTS"
	KindReaction Kind = "REACTION"
	// KindInteractive has kinds of its own: see Interactive.
	KindInteractive Kind = "INTERACTIVE"
)

// Kinds lists every kind of content.
func Kinds() []Kind {
	return []Kind{
		KindText, KindTemplate, KindImage, KindVideo, KindAudio, KindDocument, KindSticker,
		KindLocation, KindContacts, KindReaction, KindInteractive,
	}
}

// APIName is the Cloud API's name of the kind: the value of a request's "type"
// and the member of the request that holds the content.
func (k Kind) APIName() string { return strings.ToLower(string(k)) }

// Content is what a message says: Text, Template, Image, Video, Audio, Document,
// Sticker, Location, Contacts, Reaction or Interactive. As JSON it is what the
// Cloud API has under the name of that kind.
type Content interface {
	// Kind is the kind of the content.
	Kind() Kind
	// Validate checks the content against Meta's documented limits. The error is
	// a *domain.Error that names the field as the GraphQL input does, such as
	// "image.caption". Lengths are counted in Unicode code points.
	Validate() error
	content()
}

// Limits of content. Source: Meta's pages on text, image, video and document
// messages.
const (
	maxBody    = 4096
	maxCaption = 1024
	// maxLink is what Meta and the servers in between take of a URL, in bytes.
	maxLink = 2048
	// maxFilename and maxMediaID are Waypost's own: Meta names no limit. The
	// first is that of common file systems.
	maxFilename = 255
	maxMediaID  = 255
)

// Text is a text message.
type Text struct {
	Body string `json:"body"`
	// PreviewURL asks WhatsApp to show a preview of the first link in Body.
	PreviewURL bool `json:"preview_url,omitempty"`
}

// Media is a file that WhatsApp has already, by ID, or fetches itself, by Link.
// It is the form that the media kinds share; which members a kind may have is
// checked by that kind.
type Media struct {
	ID   string `json:"id,omitempty"`
	Link string `json:"link,omitempty"`
	// Caption is for images, videos and documents.
	Caption string `json:"caption,omitempty"`
	// Filename is for documents: the name under which the recipient sees it.
	Filename string `json:"filename,omitempty"`
	// Voice is for audio: it is shown as a voice note.
	Voice bool `json:"voice,omitempty"`
}

// The media messages.
type (
	// Image is a JPEG or PNG.
	Image Media
	// Video is an MP4 or 3GPP.
	Video Media
	// Audio is a sound file, or a voice note.
	Audio Media
	// Document is any other file.
	Document Media
	// Sticker is a WebP.
	Sticker Media
)

// Kind is KindText.
func (Text) Kind() Kind { return KindText }

// Kind is KindTemplate.
func (Template) Kind() Kind { return KindTemplate }

// Kind is KindImage.
func (Image) Kind() Kind { return KindImage }

// Kind is KindVideo.
func (Video) Kind() Kind { return KindVideo }

// Kind is KindAudio.
func (Audio) Kind() Kind { return KindAudio }

// Kind is KindDocument.
func (Document) Kind() Kind { return KindDocument }

// Kind is KindSticker.
func (Sticker) Kind() Kind { return KindSticker }

func (Text) content()     {}
func (Template) content() {}
func (Image) content()    {}
func (Video) content()    {}
func (Audio) content()    {}
func (Document) content() {}
func (Sticker) content()  {}

// Validate checks that the body has 1 to 4096 characters.
func (t Text) Validate() error { return checkLength("text.body", t.Body, 1, maxBody) }

// Validate checks the source and the caption.
func (m Image) Validate() error { return Media(m).validate(KindImage) }

// Validate checks the source and the caption.
func (m Video) Validate() error { return Media(m).validate(KindVideo) }

// Validate checks the source.
func (m Audio) Validate() error { return Media(m).validate(KindAudio) }

// Validate checks the source, the caption and the file name.
func (m Document) Validate() error { return Media(m).validate(KindDocument) }

// Validate checks the source.
func (m Sticker) Validate() error { return Media(m).validate(KindSticker) }

func (m Media) validate(kind Kind) error {
	name := kind.APIName()
	if err := domain.PrefixField(name, m.validateSource()); err != nil {
		return err
	}
	if m.Caption != "" {
		if kind == KindAudio || kind == KindSticker {
			return domain.Invalid(name+".caption", "is given, but %s messages have no caption", name)
		}
		if err := checkLength(name+".caption", m.Caption, 0, maxCaption); err != nil {
			return err
		}
	}
	if m.Filename != "" {
		if kind != KindDocument {
			return domain.Invalid(name+".filename", "is given, but only documents have a file name")
		}
		if err := domain.CheckLine(name+".filename", m.Filename, 1, maxFilename); err != nil {
			return err
		}
	}
	if m.Voice && kind != KindAudio {
		return domain.Invalid(name+".voice", "is true, but only audio can be a voice note")
	}
	return nil
}

func (m Media) validateSource() error {
	switch {
	case m.ID == "" && m.Link == "":
		return domain.Invalid("", "has neither id nor link, exactly one is needed")
	case m.ID != "" && m.Link != "":
		return domain.Invalid("", "has both id and link, exactly one is needed")
	case m.ID != "":
		return domain.CheckLine("id", m.ID, 1, maxMediaID)
	}
	return checkLink(m.Link)
}

func checkLink(link string) error {
	const field = "link"
	if n := len(link); n > maxLink {
		return domain.Invalid(field, "has %d bytes, at most %d are allowed", n, maxLink)
	}
	u, err := url.Parse(link)
	if err != nil {
		return domain.Invalid(field, "is not a URL; give an absolute http or https URL")
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return domain.Invalid(field, "has the scheme %q, http or https is needed", u.Scheme)
	}
	if u.Hostname() == "" {
		return domain.Invalid(field, "has no host; give an absolute http or https URL")
	}
	return domain.CheckLine(field, link, 1, maxLink)
}

// Encode returns the Cloud API's object of the content: the value of its Kind's APIName in a
// request. It doesn't validate.
func Encode(c Content) (json.RawMessage, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode %s content: %w", c.Kind().APIName(), err)
	}
	return data, nil
}

// Decode reads what Encode wrote for content of that kind. It does not validate:
// content that was accepted can always be read.
func Decode(kind Kind, data json.RawMessage) (Content, error) {
	switch kind {
	case KindText:
		return decode[Text](data)
	case KindTemplate:
		return decode[Template](data)
	case KindImage:
		return decode[Image](data)
	case KindVideo:
		return decode[Video](data)
	case KindAudio:
		return decode[Audio](data)
	case KindDocument:
		return decode[Document](data)
	case KindSticker:
		return decode[Sticker](data)
	case KindLocation:
		return decode[Location](data)
	case KindContacts:
		return decode[Contacts](data)
	case KindReaction:
		return decode[Reaction](data)
	case KindInteractive:
		return decode[Interactive](data)
	}
	return nil, fmt.Errorf("decode content: %q is no kind of content", kind)
}

func decode[C Content](data []byte) (Content, error) {
	var c C
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("decode %s content: %w", c.Kind().APIName(), err)
	}
	return c, nil
}
