package simulation

// Defect is a known defect that a run can be made with, to show that the checks
// see it.
type Defect string

// The defects.
const (
	NoDefect Defect = ""
	// DefectSharedLanes gives every lane to all who ask.
	DefectSharedLanes Defect = "leases that two owners hold"
	// DefectNoRevisions is a store that appends whatever revision is expected, and
	// shares the lanes so that it comes to that.
	DefectNoRevisions Defect = "a store that does not compare revisions"
	// DefectForgetfulStore acknowledges appends that it does not keep.
	DefectForgetfulStore Defect = "a store that forgets what it acknowledged"
	// DefectIgnoredEchoes acknowledges webhooks that could not be recorded.
	DefectIgnoredEchoes Defect = "webhooks that are acknowledged and not recorded"
	// DefectRepeatingTransport is an HTTP client that repeats a request by itself
	// when the connection breaks.
	DefectRepeatingTransport Defect = "a transport that repeats requests"
	// DefectEarlyStamps tells the lane that a request was written before it is.
	DefectEarlyStamps Defect = "stamps of writing that come too early"
	// DefectLostItem is a projector that passes messages over.
	DefectLostItem Defect = "a work-list that lacks items"
	// DefectDeafToPauses is a read model that does not tell of pauses.
	DefectDeafToPauses Defect = "a read model without pauses"
	// DefectFastClock makes the clocks of processes run half as fast again.
	DefectFastClock Defect = "clocks that run fast"
)

// Defects lists all of them.
func Defects() []Defect {
	return []Defect{
		DefectSharedLanes, DefectNoRevisions, DefectForgetfulStore, DefectIgnoredEchoes, DefectRepeatingTransport,
		DefectEarlyStamps, DefectLostItem, DefectDeafToPauses, DefectFastClock,
	}
}
