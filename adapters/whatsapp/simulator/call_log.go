package simulator

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// callLogSize is the number of calls that the log keeps, newest ones.
const callLogSize = 1 << 18

// followInterval is how often a followed log is checked for new calls.
const followInterval = 50 * time.Millisecond

// Outcomes of a call, in the log.
const (
	outcomeAccepted = "accepted"
	outcomeRefused  = "refused"  // the response was an error
	outcomeReceipt  = "receipt"  // a read receipt
	outcomeCut      = "cut"      // the connection was cut
	outcomeTimeout  = "timeout"  // no response
	outcomeHang     = "hang"     // no response, by hang_numbers
	outcomeEmpty    = "empty5xx" // 502 without a body
	outcomeGarbled  = "garbled"  // 200 with half a body
	outcomeGaveUp   = "gave_up"  // the caller left while too many updates were pending
)

// Call is one line of the log.
type Call struct {
	Seq int64 `json:"seq"` // from 1, in the order in which calls ended
	// At is the arrival time: the wall clock at the start of the simulator plus monotonic time since.
	At time.Time `json:"at"`
	// AtNanos is the arrival in nanoseconds since the start, the stamp that the limits use.
	AtNanos  int64  `json:"at_nanos"`
	TookUS   int64  `json:"took_us"`
	Number   string `json:"phone_number_id"`
	To       string `json:"to,omitempty"`
	Callback string `json:"callback_data,omitempty"`
	Outcome  string `json:"outcome"`
	Accepted bool   `json:"accepted"`
	// Status is the HTTP status, or 0 if there was no response.
	Status int `json:"status"`
	// Code is the error code, if the response was an error.
	Code  *int   `json:"code,omitempty"`
	Wamid string `json:"wamid,omitempty"`
}

// callLog is a ring buffer of the latest calls.
type callLog struct {
	mu    sync.Mutex
	calls []Call
	count int64
}

func (l *callLog) add(c Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	c.Seq = l.count
	if len(l.calls) < callLogSize {
		l.calls = append(l.calls, c)
		return
	}
	l.calls[(c.Seq-1)%callLogSize] = c
}

// after appends up to cap(page) calls that followed the call with number seq.
func (l *callLog) after(seq int64, page []Call) []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	for next := max(seq, l.count-int64(len(l.calls))) + 1; next <= l.count && len(page) < cap(page); next++ {
		page = append(page, l.calls[(next-1)%callLogSize])
	}
	return page
}

// serveLog writes the calls as JSON lines, oldest first. With ?follow=true, it continues with new calls until the
// reader leaves.
func (s *Simulator) serveLog(w http.ResponseWriter, r *http.Request) {
	follow := r.URL.Query().Get("follow") == "true"
	w.Header().Set("Content-Type", "application/x-ndjson")
	encoder := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	page := make([]Call, 0, 1000)
	for seq := int64(0); ; {
		page = s.calls.after(seq, page[:0])
		for i := range page {
			if encoder.Encode(&page[i]) != nil {
				return
			}
			seq = page[i].Seq
		}
		if len(page) == cap(page) {
			continue
		}
		if !follow || flush.Flush() != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		case <-s.closing:
			return
		}
	}
}
