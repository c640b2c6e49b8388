package simulator

import (
	"encoding/json"
	"net/http"
	"strings"
)

// Values of can_send_message.
const (
	canSend    = "AVAILABLE"
	cannotSend = "BLOCKED"
)

type healthStatus struct {
	CanSend  string         `json:"can_send_message"`
	Entities []healthEntity `json:"entities"`
}

type healthEntity struct {
	Type    string        `json:"entity_type"`
	ID      string        `json:"id"`
	CanSend string        `json:"can_send_message"`
	Errors  []healthError `json:"errors,omitempty"`
}

type healthError struct {
	Code        int    `json:"error_code"`
	Description string `json:"error_description"`
	Solution    string `json:"possible_solution"`
}

// serveNode serves GET /{version}/{id}?fields=… for a phone number or the business
// account.
func (s *Simulator) serveNode(w http.ResponseWriter, r *http.Request) {
	set := s.settings.Load()
	id := r.PathValue("id")
	if err := authorize(r, set); err != nil {
		s.writeError(w, r, set, err)
		return
	}
	if set.unknown[id] {
		s.writeError(w, r, set, missingObject(id, "get"))
		return
	}
	if file, ok := s.media.get(id); ok {
		s.describeFile(w, r, id, file)
		return
	}
	node := map[string]any{"id": id}
	fields := r.URL.Query().Get("fields")
	if fields == "" {
		fields = "verified_name,display_phone_number,quality_rating"
	}
	for field := range strings.SplitSeq(fields, ",") {
		switch field {
		case "id":
		case "health_status":
			node[field] = s.health(id, set)
		case "display_phone_number":
			node[field] = displayNumber(id)
		case "verified_name":
			node[field] = "Waypost Simulator"
		case "quality_rating":
			node[field] = set.quality(id)
		case "status":
			node[field] = "CONNECTED"
		case "name_status":
			node[field] = "APPROVED"
		case "throughput":
			node[field] = map[string]string{"level": set.throughput(id)}
		case "whatsapp_business_manager_messaging_limit":
			node[field] = set.messagingLimit()
		default:
			s.writeError(w, r, set, &apiError{status: http.StatusBadRequest, code: 100, message: "(#100) Tried accessing nonexisting field (" + field + ")"})
			return
		}
	}
	body, err := json.Marshal(node)
	if err != nil { // impossible: only strings and numbers
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.respond(w, r, body)
}

func (s *Simulator) health(id string, set *settings) healthStatus {
	phone := healthEntity{Type: "PHONE_NUMBER", ID: id, CanSend: canSend}
	if code, blocked := set.BlockedNumbers[id]; blocked {
		e := errorOf(code)
		phone.CanSend = cannotSend
		phone.Errors = []healthError{{code, e.text(), "Clear blocked_numbers of the simulator."}}
	}
	h := healthStatus{CanSend: phone.CanSend}
	if id != s.account {
		h.Entities = append(h.Entities, phone)
	}
	h.Entities = append(h.Entities,
		healthEntity{Type: "WABA", ID: s.account, CanSend: canSend},
		healthEntity{Type: "BUSINESS", ID: "1" + s.account, CanSend: canSend},
		healthEntity{Type: "APP", ID: "2" + s.account, CanSend: canSend})
	return h
}

// serveSubscription serves GET /{version}/{business account}/subscribed_apps. An app is
// subscribed if there is a webhook URL.
func (s *Simulator) serveSubscription(w http.ResponseWriter, r *http.Request) {
	set := s.settings.Load()
	if err := authorize(r, set); err != nil {
		s.writeError(w, r, set, err)
		return
	}
	apps := []any{}
	if set.WebhookURL != "" {
		apps = append(apps, map[string]any{"whatsapp_business_api_data": map[string]any{
			"id": "200300400500600", "name": "Waypost Simulator", "link": "https://www.facebook.com/games/?app_id=200300400500600",
		}})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"data": apps}) // the client has gone
}
