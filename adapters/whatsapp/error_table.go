package whatsapp

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost/domain/message"
)

//go:embed errors.csv
var errorsCSV string

// ErrorRow describes one error code of WhatsApp, or one kind of response without a code.
type ErrorRow struct {
	// Key is the code, "code/subcode", a range of codes, or "none:" and a word if there is no code.
	Key string
	// HTTPStatuses are the statuses documented for the code. Empty if there are none.
	HTTPStatuses []int
	Title        string
	Description  string
	Category     message.Category
	// Class is empty for responses that leave the outcome open.
	Class message.Class
	// Scope is what a throttle applies to. It is set only for the class THROTTLED.
	Scope message.ThrottleScope
	// HoldsTemplate marks codes which mean that a template, rather than a message, cannot be sent.
	HoldsTemplate bool
	// Advice describes how an operator can fix the problem.
	Advice string
	// Source names the pages and programs that the row is based on, with their dates.
	Source string
}

// Keys of the rows for responses without a code.
const (
	keyConnect     = "none:connect"
	keyRedirect    = "none:http3xx"
	keyOther4xx    = "none:http4xx"
	keyServer      = "none:http5xx"
	keyTimeout     = "none:timeout"
	keyUnknownCode = "none:unknown_code"
)

// scopeTemplate in the scope column sets ErrorRow.HoldsTemplate.
const scopeTemplate = "template"

// ErrorTable defines the meaning of WhatsApp's error codes. It never changes after its creation.
type ErrorTable struct {
	rows   []ErrorRow
	byKey  map[string]*ErrorRow
	ranges []codeRange
}

type codeRange struct {
	from, to int
	row      *ErrorRow
}

// LoadErrorTable parses the embedded table. An error means that the table of this build contains a mistake, and names
// its row.
func LoadErrorTable() (*ErrorTable, error) { return parseErrorTable(errorsCSV) }

func parseErrorTable(text string) (*ErrorTable, error) {
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("errors.csv: %w", err)
	}
	t := &ErrorTable{rows: make([]ErrorRow, 0, len(records)), byKey: make(map[string]*ErrorRow, len(records))}
	for i, record := range records[1:] {
		row, err := parseErrorRow(record)
		if err != nil {
			return nil, fmt.Errorf("errors.csv: row %d (%s): %w", i+2, record[0], err)
		}
		if t.byKey[row.Key] != nil {
			return nil, fmt.Errorf("errors.csv: row %d: %s is listed twice", i+2, row.Key)
		}
		t.rows = append(t.rows, row)
		stored := &t.rows[len(t.rows)-1]
		t.byKey[row.Key] = stored
		if low, high, ok := strings.Cut(row.Key, "-"); ok {
			from, err1 := strconv.Atoi(low)
			to, err2 := strconv.Atoi(high)
			if err1 != nil || err2 != nil || from > to {
				return nil, fmt.Errorf("errors.csv: row %d: %s is not a range of codes", i+2, row.Key)
			}
			t.ranges = append(t.ranges, codeRange{from, to, stored})
		}
	}
	for _, key := range []string{keyConnect, keyRedirect, keyOther4xx, keyServer, keyTimeout, keyUnknownCode} {
		if t.byKey[key] == nil {
			return nil, fmt.Errorf("errors.csv: row %s is missing", key)
		}
	}
	return t, nil
}

var (
	tableClasses = []message.Class{message.ClassTransient, message.ClassPermanent, message.ClassSender, message.ClassThrottled}
	tableScopes  = []message.ThrottleScope{message.ScopePair, message.ScopeNumber, message.ScopeAccount, message.ScopeApp}
	categories   = []message.Category{
		message.CategoryRateLimit, message.CategoryPairRateLimit, message.CategoryCapacity, message.CategoryNetwork,
		message.CategoryServer, message.CategoryRecipient, message.CategoryPolicy, message.CategoryTemplate,
		message.CategoryParameter, message.CategoryMedia, message.CategoryAuth, message.CategoryAccount,
		message.CategoryPayment, message.CategoryUnknown,
	}
)

// parseErrorRow parses code, subcode, http_status, title, description, category, class, scope, advice, source.
func parseErrorRow(record []string) (ErrorRow, error) {
	row := ErrorRow{
		Key: record[0], Title: record[3], Description: record[4], Category: message.Category(record[5]),
		Class: message.Class(strings.ToUpper(record[6])), Advice: record[8], Source: record[9],
	}
	if record[1] != "" {
		row.Key += "/" + record[1]
	}
	for status := range strings.SplitSeq(record[2], "|") {
		if status == "" {
			continue
		}
		number, err := strconv.Atoi(status)
		if err != nil {
			return ErrorRow{}, fmt.Errorf("http_status %q is not a number", status)
		}
		row.HTTPStatuses = append(row.HTTPStatuses, number)
	}
	if record[6] == "lost" {
		row.Class = ""
	} else if !slices.Contains(tableClasses, row.Class) {
		return ErrorRow{}, fmt.Errorf("class %q is unknown", record[6])
	}
	if !slices.Contains(categories, row.Category) {
		return ErrorRow{}, fmt.Errorf("category %q is unknown", record[5])
	}
	if record[7] == scopeTemplate {
		row.HoldsTemplate = true
	} else {
		row.Scope = message.ThrottleScope(record[7])
		if known := slices.Contains(tableScopes, row.Scope); known != (row.Class == message.ClassThrottled) {
			return ErrorRow{}, fmt.Errorf("scope %q does not match class %q", record[7], record[6])
		}
	}
	if row.Title == "" || row.Advice == "" || row.Source == "" {
		return ErrorRow{}, fmt.Errorf("title, advice, and source are required")
	}
	return row, nil
}

// Rows returns all rows, in the order of the table.
func (t *ErrorTable) Rows() []ErrorRow { return slices.Clone(t.rows) }

// Lookup returns the row of a code: the row of its subcode if there is one, else its own, else that of a range that
// contains it.
func (t *ErrorTable) Lookup(code int, subcode *int) (ErrorRow, bool) {
	if subcode != nil {
		if row := t.byKey[strconv.Itoa(code)+"/"+strconv.Itoa(*subcode)]; row != nil {
			return *row, true
		}
	}
	if row := t.byKey[strconv.Itoa(code)]; row != nil {
		return *row, true
	}
	for _, r := range t.ranges {
		if code >= r.from && code <= r.to {
			return *r.row, true
		}
	}
	return ErrorRow{}, false
}

// HoldsTemplate reports whether the code means that a template cannot be sent temporarily or permanently: 132015 and
// 132016. In that case, the sender's messages with that template wait, not the sender.
func (t *ErrorTable) HoldsTemplate(code int) bool {
	row, ok := t.Lookup(code, nil)
	return ok && row.HoldsTemplate
}

// without returns the row for responses without a code.
func (t *ErrorTable) without(key string) ErrorRow { return *t.byKey[key] }
