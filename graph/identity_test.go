package graph_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/identity"
	"github.com/waypost/waypost/domain/inbound"
)

// TestErasingReachesEveryID has people who are known by several IDs. Messages to them, messages
// from them, links between their IDs, and erasures happen in random order. Each erasure must
// reach exactly what was recorded under the IDs that are linked at that time, and nothing that
// happens later may bring it back.
func TestErasingReachesEveryID(t *testing.T) {
	t.Parallel()
	p := setup(t)
	url := p.webhooks()
	for round := range 8 {
		seed := rand.Uint64()
		r := &history{platform: p, url: url, dice: rand.New(rand.NewPCG(seed, 0)), linked: map[string]string{}}
		for range 14 {
			r.step(round)
		}
		r.check(fmt.Sprintf("seed %d, %s", seed, strings.Join(r.done, "; ")))
		if t.Failed() {
			return
		}
	}
}

// history is a random life of three IDs of one person and two of another.
type history struct {
	*platform

	url    string
	dice   *rand.Rand
	linked map[string]string // the first ID of those that are linked
	kept   []*trace
	done   []string
}

// trace is something recorded about an ID.
type trace struct {
	id     string
	stream string
	event  uuid.UUID // of an inbound message; zero means the first of its stream
	erased bool
}

func (r *history) step(round int) {
	number := fmt.Sprintf("+1415555%04d", 100+10*round)
	other := fmt.Sprintf("+1415555%04d", 101+10*round)
	user, newUser, otherUser := fmt.Sprintf("US.%da", round), fmt.Sprintf("US.%db", round), fmt.Sprintf("US.%dc", round)
	ids := []string{number, user, newUser, other, otherUser}
	for _, id := range ids {
		if r.linked[id] == "" {
			r.linked[id] = id
		}
	}
	id := ids[r.dice.IntN(len(ids))]
	switch r.dice.IntN(6) {
	case 0, 1:
		r.queueTo(id)
	case 2:
		r.receive(id)
	case 3, 4:
		pair := [][2]string{{number, user}, {newUser, user}, {other, otherUser}}[r.dice.IntN(3)]
		r.link(pair[0], pair[1])
	default:
		r.erase(id)
	}
}

func (r *history) sayf(format string, args ...any) {
	r.done = append(r.done, fmt.Sprintf(format, args...))
}

func (r *history) queueTo(id string) {
	r.sayf("queue to %s", id)
	member := "to"
	if !strings.HasPrefix(id, "+") {
		member = "toUserId"
	}
	data := r.ok("admin", `mutation($in: QueueMessageInput!) { queueMessage(input: $in) { message { id } } }`, map[string]any{"in": map[string]any{
		"senderId": "acme", member: id, "content": map[string]any{"text": map[string]any{"body": "hello"}},
	}})
	message := uuid.MustParse(at(r.tb, data, "queueMessage", "message", "id").(string))
	r.kept = append(r.kept, &trace{id: id, stream: event.MessageStream(message)})
}

// receive delivers a message from an ID, and from a second one if it is not empty.
func (r *history) receive(id string, more ...string) {
	r.sayf("receive from %s", id)
	wamid := "wamid." + newID().String()
	var from strings.Builder
	for _, id := range append(more, id) {
		if number, ok := strings.CutPrefix(id, "+"); ok {
			fmt.Fprintf(&from, `,"from":%q`, number)
		} else {
			fmt.Fprintf(&from, `,"from_user_id":%q`, id)
		}
	}
	r.post(fmt.Sprintf(`"messages":[{"id":%q,"type":"text","timestamp":"1793000100","text":{"body":"Hi"}%s}]`, wamid, from.String()))
	r.kept = append(r.kept, &trace{id: id, stream: event.InboundStream("1001"), event: inbound.EventID("inbound", "1001", wamid)})
}

func (r *history) link(a, b string) {
	r.sayf("link %s and %s", a, b)
	if strings.HasPrefix(a, "+") {
		r.receive(a, b)
	} else {
		r.post(fmt.Sprintf(`"messages":[{"id":"wamid.%s","type":"system","timestamp":"1793000100","system":{
			"type":"user_changed_user_id","user_id":%q,"previous_user_id":%q}}]`, newID(), a, b))
	}
	from, to := r.linked[b], r.linked[a]
	for id, group := range r.linked {
		if group == from {
			r.linked[id] = to
		}
	}
}

func (r *history) post(items string) {
	if code := r.deliver(r.url, `{"object":"whatsapp_business_account","entry":[{"id":"900","changes":[{"field":"messages","value":{
		"messaging_product":"whatsapp","metadata":{"phone_number_id":"1001"},`+items+`}}]}]}`); code != 200 {
		r.tb.Fatalf("the webhook got %d", code)
	}
}

func (r *history) erase(id string) {
	r.sayf("erase %s", id)
	member := "to"
	if !strings.HasPrefix(id, "+") {
		member = "toUserId"
	}
	if r.dice.IntN(2) == 0 {
		r.project() // otherwise, the read models can be behind
	}
	r.ok("admin", `mutation($id: String!) { eraseRecipient(`+member+`: $id, reason: "asked for it") { id } }`, map[string]any{"id": id})
	group := r.linked[id]
	for _, t := range r.kept {
		t.erased = t.erased || r.linked[t.id] == group
	}
	for other, g := range r.linked { // an erased person has no links
		if g == group {
			r.linked[other] = other
		}
	}
}

// check compares what can be read with what must be.
func (r *history) check(what string) {
	for _, t := range r.kept {
		events, err := r.log.Read(r.ctx, t.stream, 0, 10_000)
		must(r.tb, err)
		i := 0
		if t.event != uuid.Nil {
			i = slices.IndexFunc(events, func(e event.Recorded) bool { return e.ID == t.event })
		}
		if erased := events[i].Personal == event.Erased; erased != t.erased {
			r.tb.Errorf("what %s got is erased: %t, want %t; %s", t.id, erased, t.erased, what)
		}
	}
}

// TestLinkedIDsAreOneRecipient queues messages to both IDs of a person: dispatch sees one
// recipient, to whom WhatsApp's limit applies.
func TestLinkedIDsAreOneRecipient(t *testing.T) {
	t.Parallel()
	p := setup(t)
	r := &history{platform: p, url: p.webhooks(), dice: rand.New(rand.NewPCG(1, 1)), linked: map[string]string{}}
	const number, user = "+14155550101", "US.1"
	r.receive(number, user)
	p.project()
	for _, id := range []string{number, user, number, user, "US.2"} {
		r.queueTo(id)
	}
	p.project()
	var recipients, messages int
	must(t, p.pool.QueryRow(p.ctx, `SELECT count(DISTINCT recipient), count(*) FROM work_item`).Scan(&recipients, &messages))
	if recipients != 2 || messages != 5 {
		t.Errorf("%d messages have %d recipients, want 5 to 2", messages, recipients)
	}
	list := p.ok("admin", `{ messages(filter: {toUserId: "US.1"}) { edges { node { to toUserId } } } }`, nil)
	if got := len(at(t, list, "messages", "edges").([]any)); got != 4 {
		t.Errorf("%d messages of the person are listed, want 4", got)
	}
}

// TestLinksAreRecordedOnce delivers the same IDs again and again: only an erasure, after which
// nothing is known of the person, makes them a new link.
func TestLinksAreRecordedOnce(t *testing.T) {
	t.Parallel()
	p := setup(t)
	r := &history{platform: p, url: p.webhooks(), dice: rand.New(rand.NewPCG(1, 1)), linked: map[string]string{}}
	count := func(want int) {
		t.Helper()
		events, err := p.log.Read(p.ctx, event.IdentityStream("900"), 0, 100)
		must(t, err)
		if len(events) != want {
			t.Errorf("%d links are recorded, want %d", len(events), want)
		}
	}
	const number, user = "+14155550101", "US.1"
	r.receive(number, user)
	r.receive(number, user)
	count(1)
	p.project()
	fresh := &history{platform: p, url: p.webhooks(), dice: r.dice, linked: r.linked} // another process
	fresh.receive(number, user)
	count(1)
	r.erase(user)
	fresh.receive(number, user)
	p.project()
	r.receive(number, user)
	count(2)
	events, err := p.log.Read(p.ctx, event.IdentityStream("900"), 0, 100)
	must(t, err)
	before, after := events[0], events[1]
	if l, _ := after.Event.(identity.IdentityLinked); before.Personal != event.Erased || l.Personal.Number != number || l.Personal.UserID != user {
		t.Errorf("the links are %+v and %+v", before, after)
	}
}
