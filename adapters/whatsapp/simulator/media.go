package simulator

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const (
	// mediaPath is where files are served. Meta serves them from another host than the API.
	mediaPath = "media-files"
	// maxFiles is the number of files that are kept; the oldest one is dropped first.
	maxFiles = 1000
	// maxInbound is the maximum size of a request that makes a user write.
	maxInbound = 8 << 20
)

// pixel is a PNG image of one pixel.
var pixel = func() []byte {
	data, err := base64.StdEncoding.DecodeString("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
	if err != nil {
		panic(err)
	}
	return data
}()

// mediaFile is a file that a user sent.
type mediaFile struct {
	mime string
	data []byte
}

// mediaFiles are the latest files that users sent.
type mediaFiles struct {
	mu    sync.Mutex
	files map[string]mediaFile
	order []string // oldest first
	count int
}

// sentFile is a file in a user's message.
type sentFile struct {
	id, kind string
	file     mediaFile
	members  map[string]any // of its object in the message, in addition
}

// add keeps a file.
func (m *mediaFiles) add(kind string, f mediaFile, members map[string]any) sentFile {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files == nil {
		m.files = make(map[string]mediaFile)
	}
	m.count++
	id := strconv.Itoa(1_200_300_400_500_000 + m.count)
	m.files[id] = f
	if m.order = append(m.order, id); len(m.order) > maxFiles {
		delete(m.files, m.order[0])
		m.order = m.order[1:]
	}
	return sentFile{id: id, kind: kind, file: f, members: members}
}

func (m *mediaFiles) get(id string) (mediaFile, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.files[id]
	return f, ok
}

// writing returns the message with the file.
func (f sentFile) writing(apiURL string) writing {
	sum := sha256.Sum256(f.file.data)
	object := map[string]any{
		"id": f.id, "mime_type": f.file.mime, "sha256": base64.StdEncoding.EncodeToString(sum[:]), "url": fileURL(apiURL, f.id),
	}
	maps.Copy(object, f.members)
	content, err := json.Marshal(map[string]any{"type": f.kind, f.kind: object})
	if err != nil { // impossible: it was JSON, or is strings only
		return textOf(err.Error())
	}
	return writing{content: content[1 : len(content)-1]}
}

// fileURL returns the address of a file.
func fileURL(apiURL, id string) string {
	return strings.TrimSuffix(apiURL, Version) + mediaPath + "/" + id + "?hash=simulated"
}

// describeFile serves GET /{version}/{media ID}.
func (s *Simulator) describeFile(w http.ResponseWriter, r *http.Request, id string, f mediaFile) {
	sum := sha256.Sum256(f.data)
	body, err := json.Marshal(map[string]any{
		"messaging_product": "whatsapp", "id": id, "url": fileURL("http://"+r.Host+"/"+Version, id), "mime_type": f.mime,
		"sha256": hex.EncodeToString(sum[:]), "file_size": strconv.Itoa(len(f.data)),
	})
	if err != nil { // impossible: only strings
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.respond(w, r, body)
}

// serveFile serves the bytes of a file, to callers with a valid access token.
func (s *Simulator) serveFile(w http.ResponseWriter, r *http.Request) {
	set := s.settings.Load()
	f, ok := s.media.get(r.PathValue("id"))
	if err := authorize(r, set); err != nil || !ok {
		http.NotFound(w, r) // Meta's host of files has no errors of the API
		return
	}
	w.Header().Set("Content-Type", f.mime)
	w.Header().Set("Content-Length", strconv.Itoa(len(f.data)))
	_, _ = w.Write(f.data) // the caller may have left
}

// script is the body of POST /inbound: what a user writes now.
type script struct {
	PhoneNumberID string `json:"phone_number_id"`
	// From is the user's wa_id, UserID their business-scoped ID. At least one is required.
	From   string `json:"from"`
	UserID string `json:"user_id"`
	Name   string `json:"name"`
	// Text is the text of a text message. Otherwise, Type and Content are the type and its object in the Cloud API's
	// format.
	Text    string         `json:"text"`
	Type    string         `json:"type"`
	Content map[string]any `json:"content"`
	// File is the content of an image, video, audio, document, or sticker, in base64, and MimeType its type. If it is
	// empty, the file is a PNG image of one pixel.
	File     []byte `json:"file"`
	MimeType string `json:"mime_type"`
}

// serveInbound makes a user write a message.
func (s *Simulator) serveInbound(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxInbound))
	var in script
	if err == nil {
		err = json.Unmarshal(data, &in)
	}
	refuse := func(why string) { http.Error(w, why, http.StatusBadRequest) }
	if err != nil {
		refuse("the body must be JSON: " + err.Error())
		return
	}
	if s.Control().WebhookURL == "" {
		refuse("no user can write, because there is no webhook URL")
		return
	}
	n := s.numbers.get(in.PhoneNumberID)
	if in.PhoneNumberID == "" || n == nil || in.From == "" && in.UserID == "" {
		refuse(`requires "phone_number_id", and "from" or "user_id"`)
		return
	}
	words, mediaID, why := s.wordsOf(in)
	if why != "" {
		refuse(why)
		return
	}
	words.name = in.Name
	if in.UserID == "" && s.Control().UserIDs {
		in.UserID = UserID(in.From)
	}
	if s.outbox.reserve(r.Context(), 1) != nil {
		return
	}
	n.mu.Lock()
	n.load.add(s.clock())
	n.mu.Unlock()
	answer := map[string]string{"id": s.write(n, recipient{waID: in.From, user: in.UserID}, words, 0)}
	if mediaID != "" {
		answer["media_id"] = mediaID
	}
	writeJSON(w, answer)
}

// wordsOf returns what a script lets a user write, and the ID of its file, or why it can't.
func (s *Simulator) wordsOf(in script) (words writing, mediaID, why string) {
	switch in.Type {
	case "", kindText:
		if in.Text == "" && in.Content == nil {
			return writing{}, "", `requires "text", or "type" and "content"`
		}
		if in.Text != "" {
			return textOf(in.Text), "", ""
		}
	case "image", "video", "audio", "document", "sticker":
		f := mediaFile{mime: cmp.Or(in.MimeType, "image/png"), data: in.File}
		if len(f.data) == 0 {
			f.data = pixel
		}
		sent := s.media.add(in.Type, f, in.Content)
		return sent.writing(s.URL()), sent.id, ""
	}
	kind := cmp.Or(in.Type, kindText)
	content, err := json.Marshal(map[string]any{"type": kind, kind: in.Content})
	if err != nil {
		return writing{}, "", err.Error()
	}
	return writing{content: content[1 : len(content)-1]}, "", ""
}
