package identity

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A Link is one IdentityLinked with its place in the event log.
type Link struct {
	Names

	Account string
	At      time.Time
	// Position orders links of the same time.
	Position int64
}

func (l Link) compare(o Link) int {
	return cmp.Or(l.At.Compare(o.At), cmp.Compare(l.Position, o.Position))
}

// A Name is an ID of a person.
type Name struct {
	ID string
	// Until is set for a number that passed to someone else: from then on, it is theirs.
	Until time.Time
}

// PersonOf returns the names of the person who is known by an ID, that ID first. links must
// contain every link of each name that they mention. Numbers have the notations under which
// WhatsApp can report them.
func PersonOf(links []Link, id string) []Name {
	p := person{links: links, until: make(map[string]time.Time), seen: make(map[string]bool)}
	p.add(id)
	for len(p.waiting) > 0 {
		next := p.waiting[0]
		p.waiting = p.waiting[1:]
		for _, l := range links {
			p.follow(l, next)
		}
	}
	for id, until := range p.until {
		if !p.seen[id] {
			p.names = append(p.names, Name{ID: id, Until: until})
		}
	}
	slices.SortStableFunc(p.names[1:], func(a, b Name) int { return strings.Compare(a.ID, b.ID) })
	return p.names
}

// person is a search for the names of a person.
type person struct {
	links   []Link
	names   []Name
	seen    map[string]bool
	waiting []string
	until   map[string]time.Time // numbers of others, which were once the person's
}

func (p *person) add(id string) {
	for _, notation := range Notations(id) {
		if !p.seen[notation] {
			p.seen[notation] = true
			p.names = append(p.names, Name{ID: notation})
			p.waiting = append(p.waiting, notation)
		}
	}
}

// follow adds the names that a link connects with an ID.
func (p *person) follow(l Link, id string) {
	if !slices.Contains(l.All(), id) {
		return
	}
	if slices.Contains(l.numbers(), id) && !passedOn(p.links, l, id).IsZero() {
		return // the link is about the number's former owner
	}
	for _, user := range l.users() {
		p.add(user)
	}
	for _, number := range l.numbers() {
		if until := passedOn(p.links, l, number); until.IsZero() {
			p.add(number)
		} else if until.After(p.until[number]) {
			p.until[number] = until
		}
	}
}

// passedOn returns when a number of a link passed to someone else, or the zero time: a later
// link of the same account has another user ID for it.
func passedOn(links []Link, l Link, number string) time.Time {
	var since time.Time
	for _, o := range links {
		other := o.Account == l.Account && o.Number == number && o.UserID != "" && len(l.users()) > 0 &&
			!slices.ContainsFunc(o.users(), func(u string) bool { return slices.Contains(l.users(), u) })
		if other && o.compare(l) > 0 && (since.IsZero() || o.At.Before(since)) {
			since = o.At
		}
	}
	return since
}

// NumberOf returns the current number of the person with a user ID, or "" if it is not known.
// links are as for PersonOf.
func NumberOf(links []Link, userID string) string {
	var names []string
	for _, n := range PersonOf(links, userID) {
		if n.Until.IsZero() {
			names = append(names, n.ID)
		}
	}
	var latest *Link
	for i := range links {
		l := &links[i]
		speaks := l.Number != "" || l.PreviousUserID != "" || l.PreviousNumber != ""
		theirs := slices.ContainsFunc(l.users(), func(u string) bool { return slices.Contains(names, u) })
		if speaks && theirs && (latest == nil || l.compare(*latest) > 0) {
			latest = l
		}
	}
	if latest == nil || latest.Number == "" || !passedOn(links, *latest, latest.Number).IsZero() {
		return "" // the last that is known is that the number changed, or that it is someone else's
	}
	return latest.Number
}

// Current returns a number in the notation of newer accounts, and any other ID unchanged.
func Current(id string) string {
	for _, notation := range Notations(id) {
		if strings.HasPrefix(notation, "+55") && len(notation) > len(id) || strings.HasPrefix(notation, "+52") && len(notation) < len(id) {
			return notation
		}
	}
	return id
}

// Notations returns an ID first, and for a number the other notations under which WhatsApp
// reports it. In Brazil, mobile numbers got a 9 after the area code, and in Mexico they lost a
// 1 after the country code; WhatsApp keeps the older form for older accounts.
func Notations(id string) []string {
	const (
		brazil, brazilOld = "+55", len("+551187654321")
		mexico, mexicoNew = "+52", len("+525512345678")
		area              = len(brazil) + 2 // where the number in the area begins
	)
	switch {
	case strings.HasPrefix(id, brazil) && len(id) == brazilOld && id[area] >= '6':
		return []string{id, id[:area] + "9" + id[area:]}
	case strings.HasPrefix(id, brazil) && len(id) == brazilOld+1 && id[area] == '9':
		return []string{id, id[:area] + id[area+1:]}
	case strings.HasPrefix(id, mexico+"1") && len(id) == mexicoNew+1:
		return []string{id, mexico + id[len(mexico)+1:]}
	case strings.HasPrefix(id, mexico) && len(id) == mexicoNew:
		return []string{id, mexico + "1" + id[len(mexico):]}
	}
	return []string{id}
}
