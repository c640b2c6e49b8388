package simulation

// Defect is a known defect that a run can have, to show that the checks detect it.
type Defect string

// The defects.
const (
	NoDefect Defect = ""
	// DefectSharedLanes gives every lane to every process that claims it.
	DefectSharedLanes Defect = "leases with two owners"
	// DefectNoRevisions is a store that ignores the expected revision. Lanes are shared, so
	// that it matters.
	DefectNoRevisions Defect = "a store that does not compare revisions"
	// DefectForgetfulStore is a store that acknowledges appends without keeping them.
	DefectForgetfulStore Defect = "a store that forgets what it acknowledged"
	// DefectIgnoredEchoes acknowledges webhooks that failed to be recorded.
	DefectIgnoredEchoes Defect = "webhooks that are acknowledged but not recorded"
	// DefectRepeatingTransport is an HTTP client that repeats a request when the
	// connection breaks.
	DefectRepeatingTransport Defect = "a transport that repeats requests"
	// DefectEarlyStamps reports a request to the lane as written before it is.
	DefectEarlyStamps Defect = "write times that are too early"
	// DefectLostItem is a projector that skips messages.
	DefectLostItem Defect = "a work list that lacks items"
	// DefectDeafToPauses is a read model that ignores pauses.
	DefectDeafToPauses Defect = "a read model without pauses"
	// DefectDeafToOptOuts is a read model and a subscription without opt-outs.
	DefectDeafToOptOuts Defect = "a guard that knows no opt-outs"
	// DefectDeafToCampaigns is a subscription without pauses of campaigns.
	DefectDeafToCampaigns Defect = "a dispatch that knows no paused campaigns"
	// DefectFastClock makes the clocks of processes run 50% fast.
	DefectFastClock Defect = "clocks that run fast"
)

// Defects returns all defects.
func Defects() []Defect {
	return []Defect{
		DefectSharedLanes, DefectNoRevisions, DefectForgetfulStore, DefectIgnoredEchoes, DefectRepeatingTransport,
		DefectEarlyStamps, DefectLostItem, DefectDeafToPauses, DefectDeafToOptOuts, DefectDeafToCampaigns, DefectFastClock,
	}
}
