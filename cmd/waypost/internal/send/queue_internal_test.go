package send

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
)

// overloaded is a Waypost in virtual time that accepts one message of each request, and
// refuses the others with a hint.
type overloaded struct {
	sizes []int       // of the requests
	at    []time.Time // of the requests
}

func (o *overloaded) RoundTrip(r *http.Request) (*http.Response, error) {
	var body struct {
		Variables struct{ In []map[string]any }
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, err
	}
	o.sizes, o.at = append(o.sizes, len(body.Variables.In)), append(o.at, time.Now())
	results := make([]string, len(body.Variables.In))
	for i := range results {
		results[i] = `{"error": {"code": "UNAVAILABLE", "message": "overloaded"}}`
	}
	results[0] = fmt.Sprintf(`{"message": {"id": %q}}`, body.Variables.In[0]["idempotencyKey"])
	header := http.Header{}
	if len(results) > 1 {
		header.Set("Retry-After", "3")
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: header,
		Body: io.NopCloser(strings.NewReader(`{"data": {"queueMessages": [` + strings.Join(results, ",") + `]}}`)),
	}, nil
}

// Refused messages are repeated after the time that Waypost asks for, and only those. While
// some are accepted, the patience doesn't end.
func TestSendWaitsAsLongAsWaypostAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &overloaded{}
		q := &Queue{Client: &apiclient.Client{URL: "http://waypost", HTTP: &http.Client{Transport: o}}, Patience: 7 * time.Second}
		inputs := make([]map[string]any, 5)
		for i := range inputs {
			inputs[i] = map[string]any{"idempotencyKey": fmt.Sprint("order-", i)}
		}
		answers, err := q.Send(t.Context(), inputs)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range answers {
			if a.ID != fmt.Sprint("order-", i) || a.Refusal != nil {
				t.Errorf("result %d is %+v", i, a)
			}
		}
		if got := fmt.Sprint(o.sizes); got != "[5 4 3 2 1]" {
			t.Errorf("requests have %s messages", got)
		}
		for i := range o.at[1:] {
			if wait := o.at[i+1].Sub(o.at[i]); wait < 3*time.Second || wait > 4*time.Second {
				t.Errorf("repeated after %s", wait)
			}
		}
	})
}
