package identity_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain/identity"
)

func at(second int) time.Time { return time.Unix(1_793_000_000+int64(second), 0).UTC() }

func linked(second int, names identity.Names) identity.Link {
	return identity.Link{Names: names, Account: "1", At: at(second), Position: int64(second)}
}

func idsOf(links []identity.Link, id string) (now, former []string) {
	for _, n := range identity.PersonOf(links, id) {
		if n.Until.IsZero() {
			now = append(now, n.ID)
		} else {
			former = append(former, n.ID)
		}
	}
	slices.Sort(now)
	slices.Sort(former)
	return now, former
}

// Whichever links are known, and in whatever order: an ID leads to exactly the IDs that a chain
// of links connects with it.
func TestLinksConnectAPerson(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// Each person has up to three user IDs, one after the other, each with its own number.
		var links []identity.Link
		group := map[string]string{} // the first ID of the IDs that are connected
		join := func(a, b string) {
			from, to := group[b], group[a]
			for id, g := range group {
				if g == from {
					group[id] = to
				}
			}
		}
		for p := range rapid.IntRange(1, 3).Draw(t, "people") {
			n := rapid.IntRange(1, 3).Draw(t, "user IDs")
			number := func(i int) string { return fmt.Sprintf("+1415555%d%03d", p, i) }
			user := func(i int) string { return fmt.Sprintf("US.%d%d", p, i) }
			for i := range n {
				group[number(i)], group[user(i)] = number(i), user(i)
			}
			for i := range n {
				if rapid.Bool().Draw(t, "both seen") {
					links = append(links, linked(10*p+i, identity.Names{Number: number(i), UserID: user(i)}))
					join(number(i), user(i))
				}
				if i > 0 && rapid.Bool().Draw(t, "change seen") {
					links = append(links, linked(10*p+i, identity.Names{UserID: user(i), PreviousUserID: user(i - 1)}))
					join(user(i), user(i-1))
				}
				if i > 0 && rapid.Bool().Draw(t, "number change seen") {
					links = append(links, linked(10*p+i, identity.Names{Number: number(i), PreviousNumber: number(i - 1)}))
					join(number(i), number(i-1))
				}
			}
		}
		links = rapid.Permutation(links).Draw(t, "order")
		for id, g := range group {
			var want []string
			for other, of := range group {
				if of == g {
					want = append(want, other)
				}
			}
			slices.Sort(want)
			if got, former := idsOf(links, id); !slices.Equal(got, want) || len(former) > 0 {
				t.Fatalf("%s is %v and was %v, want %v of %+v", id, got, former, want, links)
			}
		}
	})
}

// A number that passes to another person, who has another user ID, connects the two no longer.
func TestANumberThatPassesOnConnectsNoOne(t *testing.T) {
	t.Parallel()
	const number, first, second, newNumber, later = "+14155550101", "US.1", "US.2", "+14155550199", "US.11"
	before := linked(1, identity.Names{Number: number, UserID: first})
	moved := linked(2, identity.Names{Number: newNumber, UserID: later, PreviousNumber: number, PreviousUserID: first})
	taken := linked(3, identity.Names{Number: number, UserID: second})
	for _, links := range [][]identity.Link{{before, moved, taken}, {taken, moved, before}} {
		if now, former := idsOf(links, first); !slices.Equal(now, []string{newNumber, first, later}) || !slices.Equal(former, []string{number}) {
			t.Errorf("the first person is %v and was %v", now, former)
		}
		if now, former := idsOf(links, second); !slices.Equal(now, []string{number, second}) || len(former) > 0 {
			t.Errorf("the second person is %v and was %v", now, former)
		}
		if now, _ := idsOf(links, number); !slices.Equal(now, []string{number, second}) {
			t.Errorf("the number's owner is %v", now)
		}
		for user, want := range map[string]string{first: newNumber, later: newNumber, second: number, "US.3": ""} {
			if got := identity.NumberOf(links, user); got != want {
				t.Errorf("the number of %s is %q, want %q", user, got, want)
			}
		}
	}
	// Two portfolios have a user ID each for the same person.
	other := taken
	other.Account = "2"
	if now, _ := idsOf([]identity.Link{before, other}, first); !slices.Equal(now, []string{number, first, second}) {
		t.Errorf("in two portfolios: %v", now)
	}
}

func TestAHiddenNumberIsNotKnownAnymore(t *testing.T) {
	t.Parallel()
	links := []identity.Link{
		linked(1, identity.Names{Number: "+14155550101", UserID: "US.1"}),
		linked(2, identity.Names{UserID: "US.2", PreviousUserID: "US.1"}),
	}
	if got := identity.NumberOf(links, "US.2"); got != "" {
		t.Errorf("the number before the change is used: %s", got)
	}
	if now, _ := idsOf(links, "US.2"); !slices.Equal(now, []string{"+14155550101", "US.1", "US.2"}) {
		t.Errorf("the person is %v", now)
	}
}

func TestNotationsOfANumber(t *testing.T) {
	t.Parallel()
	for id, other := range map[string]string{
		"+5511987650143": "+551187650143", "+551187650143": "+5511987650143",
		"+5215512345678": "+525512345678", "+525512345678": "+5215512345678",
		"+551132654321": "", "+14155550101": "", "US.1": "",
	} {
		want := []string{id}
		if other != "" {
			want = append(want, other)
		}
		if got := identity.Notations(id); !slices.Equal(got, want) {
			t.Errorf("%s is also written %v", id, got[1:])
		}
	}
	for id, current := range map[string]string{
		"+551187650143": "+5511987650143", "+5511987650143": "+5511987650143", "+5215512345678": "+525512345678",
		"+525512345678": "+525512345678", "+14155550101": "+14155550101", "": "",
	} {
		if got := identity.Current(id); got != current {
			t.Errorf("%s is now written %s", id, got)
		}
	}
	links := []identity.Link{linked(1, identity.Names{Number: "+551187650143", UserID: "BR.1"})}
	if now, _ := idsOf(links, "+5511987650143"); !slices.Contains(now, "BR.1") {
		t.Errorf("the other notation leads to %v", now)
	}
}
