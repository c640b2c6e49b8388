package domain

// Bounds of labels. They are Waypost's own: labels are kept in an index.
const (
	maxLabelName  = 64
	maxLabelValue = 256
)

// A Label is a name and value that the business attaches to a message, to find it by. The messages
// with one label are a campaign.
type Label struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Validate checks that the label has a name of 1 to 64 characters and a value of at most 256. The
// error names field as the label's place.
func (l Label) Validate(field string) error {
	if err := CheckLine(field+".name", l.Name, 1, maxLabelName); err != nil {
		return err
	}
	return CheckLine(field+".value", l.Value, 0, maxLabelValue)
}
