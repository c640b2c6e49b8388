package simulator

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxRequest is the maximum size of a call's body in bytes.
	maxRequest = 1 << 20
	// hangLimit ends a call that never gets a response, in case its caller does not.
	hangLimit = 5 * time.Minute
)

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// serveMessages handles a call: a message or a read receipt.
func (s *Simulator) serveMessages(w http.ResponseWriter, r *http.Request) {
	set := s.settings.Load()
	id := r.PathValue("phone_number_id")
	n := s.numbers.get(id)
	if n == nil {
		s.writeError(w, r, set, missingObject(id, "post"))
		return
	}
	at, throttled := n.arrive(s.clock, receivedAgo(r.Context()), set)
	c := &call{s: s, w: w, r: r, set: set, number: n}
	c.entry.AtNanos, c.entry.At = int64(at), s.started.Add(at)
	c.entry.Number = id
	c.serve(at, throttled)
}

// call is one call in progress.
type call struct {
	s      *Simulator
	w      http.ResponseWriter
	r      *http.Request
	set    *settings
	number *number
	entry  Call

	request   *request
	to        recipient
	dropped   bool // accepted, and never delivered
	key       uint64
	afterEcho bool
}

func (c *call) serve(at time.Duration, throttled bool) {
	failure := c.read()
	if c.set.hang[c.number.id] {
		c.hang(outcomeHang)
		return
	}
	if refusal := c.refusal(throttled); refusal != nil {
		failure = refusal
	}

	// Random decisions depend on the message and its earlier calls, or, without callback data, on the number of the
	// call in the run.
	var draw uint64
	if c.request != nil && c.request.Callback != "" {
		c.entry.Callback = c.request.Callback
		c.key = c.s.ledger.key(c.request.Callback)
		var before uint32
		before, c.afterEcho = c.s.ledger.call(c.key, at)
		draw = fateKey(messageOf(c.request.Callback), uint64(before))
	} else {
		draw = fateKey("", c.s.anonymous.Add(1))
	}
	f := c.set.fate(draw)
	if !c.s.sleep(f.latency) {
		c.end(outcomeCut, 0)
		c.s.cut(c.w)
		return
	}

	switch {
	case failure != nil:
		c.refuse(failure)
	case c.request.isReceipt():
		c.end(outcomeReceipt, http.StatusOK)
		c.s.respond(c.w, c.r, []byte(`{"success":true}`))
	case f.fails:
		c.refuse(errorOf(f.code))
	case f.hangs || f.empty5xx:
		if f.lostAccepted && !c.accept(&f) {
			return
		}
		if f.hangs {
			c.hang(outcomeTimeout)
			return
		}
		c.end(outcomeEmpty, http.StatusBadGateway)
		c.w.WriteHeader(http.StatusBadGateway)
	default:
		if !c.accept(&f) {
			return
		}
		c.answer(&f)
	}
}

// read reads and checks the body.
func (c *call) read() *apiError {
	buffer := bodies.Get().(*bytes.Buffer)
	defer bodies.Put(buffer)
	buffer.Reset()
	if _, err := io.Copy(buffer, io.LimitReader(c.r.Body, maxRequest+1)); err != nil {
		return detailed(100, "The body could not be read.")
	}
	if buffer.Len() > maxRequest {
		e := detailed(100, "The body is too large.")
		e.status = http.StatusRequestEntityTooLarge
		return e
	}
	request, err := parseRequest(buffer.Bytes())
	if err != nil {
		return err
	}
	c.request = request
	if request.isReceipt() {
		return request.validateReceipt()
	}
	if given := request.To; c.set.DropUserIDsInTo && isUserID(given) {
		c.dropped = true
		c.to = recipient{waID: digitsIn(given)}
		c.entry.To = c.to.key()
		return nil
	}
	if c.to, err = request.validate(c.number); err != nil {
		return err
	}
	c.entry.To = c.to.key()
	return nil
}

// refusal returns the error for the caller, the number, the recipient, or the template, if there is one. It takes
// precedence over errors in the body, because Meta authenticates a caller before it checks the request.
func (c *call) refusal(throttled bool) *apiError {
	id := c.number.id
	if err := authorize(c.r, c.set); err != nil {
		return err
	}
	if c.set.unknown[id] {
		return missingObject(id, "post")
	}
	for _, failing := range []map[string]int{c.set.BlockedNumbers, c.set.FailNumbers} {
		if code, ok := failing[id]; ok {
			return errorOf(code)
		}
	}
	if throttled {
		return errorOf(130429)
	}
	if c.request == nil || c.request.isReceipt() || c.entry.To == "" {
		return nil
	}
	if code, ok := c.set.FailRecipients[c.to.key()]; ok {
		return errorOf(code)
	}
	if t := c.request.Template; t != nil {
		if code, ok := c.set.FailTemplates[t.Name]; ok {
			return errorOf(code)
		}
		if err := c.set.templateError(t); err != nil {
			return err
		}
	}
	if c.set.restricts(c.request.Template) {
		return errorOf(codeRestricted)
	}
	if c.set.EnforceWindow && c.request.Template == nil && !c.number.windowOpen(c.to, c.s.clock(), time.Duration(c.set.WindowLength)) {
		return errorOf(131047)
	}
	if c.set.PairLimit == PairLimitMeta && !c.number.admitPair(c.to.key(), c.s.clock) {
		return errorOf(131056)
	}
	if limit := c.set.MessagingLimit; limit > 0 && c.request.Template != nil &&
		!c.number.windowOpen(c.to, c.s.clock(), time.Duration(c.set.WindowLength)) && !c.s.people.admit(c.to, c.s.clock(), limit) {
		return errorOf(codeLimit)
	}
	return nil
}

// authorize checks the access token.
func authorize(r *http.Request, set *settings) *apiError {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return missingToken()
	}
	if set.invalidTokens[token] || len(set.tokens) > 0 && !set.tokens[token] {
		return errorOf(190)
	}
	return nil
}

// accept accepts the message and plans its statuses. It returns false if the caller left or the simulator closed while
// too many updates were pending. In that case, nothing was accepted and the call is over.
func (c *call) accept(f *fate) bool {
	var updates []planned
	if c.set.WebhookURL != "" && !c.dropped {
		updates = f.plan(c.request.Type, time.Duration(c.set.WebhookDelay))
	}
	replies := f.replies && c.set.WebhookURL != ""
	owed := len(updates)
	if replies {
		owed++
	}
	if c.s.outbox.reserve(c.r.Context(), owed) != nil {
		c.end(outcomeGaveUp, 0)
		c.s.cut(c.w)
		return false
	}
	c.entry.Accepted = true
	c.entry.Wamid = newWamid(c.to, false, c.s.run, c.s.wamids.Add(1))
	peer := c.number.accepted(c.to, c.set.UserIDs)
	c.s.ledger.accept(c.key, c.afterEcho)
	if len(updates) > 0 {
		m := &message{
			key: c.key, number: c.number, wamid: c.entry.Wamid, peer: peer, callback: c.request.Callback, failCode: f.failCode,
		}
		if !f.failsLater { // Meta charges for delivered messages
			m.price = c.number.price(c.request.Type, c.entry.At, c.set.FreeServiceMessages)
		}
		c.s.outbox.add(m, updates)
	}
	if replies {
		c.s.write(c.number, peer, c.s.words(c.set), time.Duration(statusKinds)*time.Duration(c.set.WebhookDelay))
	}
	return true
}

// answer reports to the caller that the message was accepted, unless the response is randomly dropped.
func (c *call) answer(f *fate) {
	if f.cut {
		c.end(outcomeCut, 0)
		c.s.cut(c.w)
		return
	}
	body := appendSuccess(make([]byte, 0, 256), c.request, c.to, c.entry.Wamid)
	if f.garbled {
		c.end(outcomeGarbled, http.StatusOK)
		body = body[:len(body)/2]
	} else {
		c.end(outcomeAccepted, http.StatusOK)
	}
	c.s.respond(c.w, c.r, body)
}

func (c *call) refuse(e *apiError) {
	code := e.code
	c.entry.Code = &code
	status := e.statusFor(c.set)
	c.end(outcomeRefused, status)
	c.s.writeError(c.w, c.r, c.set, e)
}

// hang leaves the call without a response until the caller leaves.
func (c *call) hang(outcome string) {
	limit := time.NewTimer(hangLimit)
	defer limit.Stop()
	select {
	case <-c.r.Context().Done():
	case <-limit.C:
	case <-c.s.closing:
	}
	c.end(outcome, 0)
	c.s.cut(c.w)
}

// end records the call. It runs before the response is written, so that a caller with a response finds the call in the
// statistics.
func (c *call) end(outcome string, status int) {
	c.entry.Outcome, c.entry.Status = outcome, status
	c.entry.TookUS = (c.s.clock() - time.Duration(c.entry.AtNanos)).Microseconds()
	answer := outcome
	switch outcome {
	case outcomeAccepted, outcomeReceipt:
		answer = "200"
	case outcomeRefused:
		answer = strconv.Itoa(*c.entry.Code)
	}
	c.s.tally.count(answer, c.entry.Accepted)
	c.s.calls.add(c.entry)
}

func appendSuccess(b []byte, r *request, to recipient, wamid string) []byte {
	input := r.To
	if input == "" {
		input = r.Recipient
	}
	b = append(b, `{"messaging_product":"whatsapp","contacts":[{"input":`...)
	b = appendString(b, input)
	if to.waID != "" {
		b = append(b, `,"wa_id":`...)
		b = appendString(b, to.waID)
	} else {
		b = append(b, `,"user_id":`...)
		b = appendString(b, to.user)
	}
	b = append(b, `}],"messages":[{"id":"`...)
	b = append(b, wamid...)
	if r.Type == kindTemplate {
		b = append(b, `","message_status":"accepted`...)
	}
	return append(b, `"}]}`...)
}
