package command

import "regexp"

// personMembers are the members by which WhatsApp names people, in whatever object
// they stand.
var personMembers = regexp.MustCompile(`"(?:wa_id|from|to|recipient_id|user_id|recipient_user_id|from_user_id)"\s*:\s*"([^"\\]{3,64})"`)

// maxPeople bounds the people one event is taken to be about: a webhook holds a few
// hundred items at most.
const maxPeople = 250

// peopleIn are the people that raw JSON names, also where it is malformed: what
// cannot be understood must be forgotten with them all the same.
func peopleIn(raw []byte) []string {
	var people []string
	seen := make(map[string]bool)
	for _, m := range personMembers.FindAllSubmatch(raw, -1) {
		if p := string(m[1]); !seen[p] && len(people) < maxPeople {
			seen[p] = true
			people = append(people, p)
		}
	}
	return people
}
