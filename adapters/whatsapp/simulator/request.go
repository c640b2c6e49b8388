package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// request is the body of POST /{phone_number_id}/messages: a message, or a read receipt.
type request struct {
	MessagingProduct         string          `json:"messaging_product"`
	RecipientType            string          `json:"recipient_type"`
	To                       string          `json:"to"`
	Recipient                string          `json:"recipient"`
	RecipientIdentityKeyHash string          `json:"recipient_identity_key_hash"`
	Type                     string          `json:"type"`
	Context                  *messageContext `json:"context"`
	Callback                 string          `json:"biz_opaque_callback_data"`

	Status          string `json:"status"`
	MessageID       string `json:"message_id"`
	TypingIndicator *typed `json:"typing_indicator"`

	Text        *text        `json:"text"`
	Image       *media       `json:"image"`
	Video       *media       `json:"video"`
	Audio       *media       `json:"audio"`
	Document    *media       `json:"document"`
	Sticker     *media       `json:"sticker"`
	Location    *location    `json:"location"`
	Contacts    []contact    `json:"contacts"`
	Reaction    *reaction    `json:"reaction"`
	Template    *template    `json:"template"`
	Interactive *interactive `json:"interactive"`
}

type messageContext struct {
	MessageID string `json:"message_id"`
}

type typed struct {
	Type string `json:"type"`
}

type text struct {
	Body       string `json:"body"`
	PreviewURL bool   `json:"preview_url"`
}

type media struct {
	ID       string `json:"id"`
	Link     string `json:"link"`
	Caption  string `json:"caption"`
	Filename string `json:"filename"`
	Provider string `json:"provider"`
	Voice    bool   `json:"voice"`
}

type location struct {
	Latitude  coordinate `json:"latitude"`
	Longitude coordinate `json:"longitude"`
	Name      string     `json:"name"`
	Address   string     `json:"address"`
}

type reaction struct {
	MessageID string  `json:"message_id"`
	Emoji     *string `json:"emoji"`
}

type contact struct {
	Name *struct {
		FormattedName string `json:"formatted_name"`
		FirstName     string `json:"first_name"`
		LastName      string `json:"last_name"`
		MiddleName    string `json:"middle_name"`
		Suffix        string `json:"suffix"`
		Prefix        string `json:"prefix"`
	} `json:"name"`
	Phones []struct {
		Phone string `json:"phone"`
		Type  string `json:"type"`
		WaID  string `json:"wa_id"`
	} `json:"phones"`
	Emails []struct {
		Email string `json:"email"`
		Type  string `json:"type"`
	} `json:"emails"`
	URLs []struct {
		URL  string `json:"url"`
		Type string `json:"type"`
	} `json:"urls"`
	Addresses []struct {
		Street      string `json:"street"`
		City        string `json:"city"`
		State       string `json:"state"`
		Zip         string `json:"zip"`
		Country     string `json:"country"`
		CountryCode string `json:"country_code"`
		Type        string `json:"type"`
	} `json:"addresses"`
	Org *struct {
		Company    string `json:"company"`
		Department string `json:"department"`
		Title      string `json:"title"`
	} `json:"org"`
	Birthday string `json:"birthday"`
}

type template struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Language  *struct {
		Code   string `json:"code"`
		Policy string `json:"policy"`
	} `json:"language"`
	Components []component `json:"components"`
}

type component struct {
	Type       string          `json:"type"`
	SubType    string          `json:"sub_type"`
	Index      ordinal         `json:"index"`
	Parameters []parameter     `json:"parameters"`
	Cards      json.RawMessage `json:"cards"`
}

type parameter struct {
	Type         string          `json:"type"`
	Name         string          `json:"parameter_name"`
	Text         *string         `json:"text"`
	Payload      *string         `json:"payload"`
	CouponCode   *string         `json:"coupon_code"`
	Currency     *currency       `json:"currency"`
	DateTime     json.RawMessage `json:"date_time"`
	Image        *media          `json:"image"`
	Video        *media          `json:"video"`
	Document     *media          `json:"document"`
	Location     *location       `json:"location"`
	Product      json.RawMessage `json:"product"`
	Action       json.RawMessage `json:"action"`
	OrderStatus  json.RawMessage `json:"order_status"`
	LimitedOffer json.RawMessage `json:"limited_time_offer"`
	TapTarget    json.RawMessage `json:"tap_target_configuration"`
	TTLMinutes   json.RawMessage `json:"ttl_minutes"`
}

type currency struct {
	FallbackValue string `json:"fallback_value"`
	Code          string `json:"code"`
	Amount1000    *int64 `json:"amount_1000"`
}

type interactive struct {
	Type   string    `json:"type"`
	Header *header   `json:"header"`
	Body   *bodyText `json:"body"`
	Footer *bodyText `json:"footer"`
	Action *action   `json:"action"`
}

type header struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	SubText  string `json:"sub_text"`
	Image    *media `json:"image"`
	Video    *media `json:"video"`
	Document *media `json:"document"`
}

type bodyText struct {
	Text string `json:"text"`
}

type action struct {
	Button            string          `json:"button"`
	Buttons           []button        `json:"buttons"`
	Sections          []section       `json:"sections"`
	Name              string          `json:"name"`
	Parameters        json.RawMessage `json:"parameters"`
	CatalogID         string          `json:"catalog_id"`
	ProductRetailerID string          `json:"product_retailer_id"`
	Thumbnail         string          `json:"thumbnail_product_retailer_id"`
	Mode              string          `json:"mode"`
	Cards             []card          `json:"cards"`
}

type button struct {
	Type       string `json:"type"`
	Reply      reply  `json:"reply"`
	QuickReply reply  `json:"quick_reply"`
}

type reply struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

type section struct {
	Title        string `json:"title"`
	Rows         []row  `json:"rows"`
	ProductItems []struct {
		ProductRetailerID string `json:"product_retailer_id"`
	} `json:"product_items"`
}

type row struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description"`
}

type card struct {
	Index  *int      `json:"card_index"`
	Type   string    `json:"type"`
	Header *header   `json:"header"`
	Body   *bodyText `json:"body"`
	Action *action   `json:"action"`
}

// coordinate is a number of degrees, encoded as a number or as a string.
type coordinate struct{ text string }

func (c *coordinate) UnmarshalJSON(data []byte) error {
	c.text = strings.Trim(string(data), `"`)
	return nil
}

// ordinal is the index of a button, encoded as a number or as a string.
type ordinal struct{ text string }

func (o *ordinal) UnmarshalJSON(data []byte) error {
	o.text = strings.Trim(string(data), `"`)
	return nil
}

// parseRequest parses the body of a message call.
func parseRequest(body []byte) (*request, *apiError) {
	var r request
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&r)
	if err == nil {
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return nil, detailed(100, "The body must be one JSON object.")
		}
		return &r, nil
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return nil, detailed(100, "Param %s must not be a %s.", wrong.Field, wrong.Value)
	}
	var loose map[string]any
	if json.Unmarshal(body, &loose) != nil {
		return nil, detailed(100, "The body is not valid JSON.")
	}
	if key, param := unexpectedKey(loose, reflect.TypeFor[request](), ""); key != "" {
		if param == "" {
			return nil, detailed(100, "Unexpected key %q.", key)
		}
		return nil, detailed(100, "Unexpected key %q on param %q.", key, param)
	}
	return nil, detailed(100, "The body is invalid: %v.", err)
}

// unexpectedKey returns a key of value that the type has no field for, and the parameter that contains it.
func unexpectedKey(value any, t reflect.Type, param string) (key, on string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch value := value.(type) {
	case []any:
		if t.Kind() != reflect.Slice {
			return "", ""
		}
		for i, member := range value {
			if key, on := unexpectedKey(member, t.Elem(), fmt.Sprintf("%s[%d]", param, i)); key != "" {
				return key, on
			}
		}
	case map[string]any:
		if t.Kind() != reflect.Struct || t.NumField() == 1 && !t.Field(0).IsExported() {
			return "", ""
		}
		keys := make([]string, 0, len(value))
		for key := range value {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			field, ok := fieldFor(t, key)
			if !ok {
				return key, param
			}
			inner := key
			if param != "" {
				inner = param + "." + key
			}
			if key, on := unexpectedKey(value[key], field, inner); key != "" {
				return key, on
			}
		}
	}
	return "", ""
}

func fieldFor(t reflect.Type, key string) (reflect.Type, bool) {
	for field := range t.Fields() {
		if field.Tag.Get("json") == key {
			return field.Type, true
		}
	}
	return nil, false
}
