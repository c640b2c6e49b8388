package operation

// Progress is the result for the next messages of the selection.
type Progress struct {
	Done    int
	Refused []Refusal
}

// Advance records the progress, and the end once the whole selection has been processed.
func Advance(o Operation, p Progress) []Event {
	if o.Finished {
		return nil
	}
	var events []Event
	if n := p.Done + len(p.Refused); n > 0 {
		kept := p.Refused[:min(len(p.Refused), max(MaxRefusals-len(o.Refused), 0))]
		events = append(events, Progressed{
			Through: o.Through + n, Done: o.Done + p.Done, RefusedCount: o.RefusedCount + len(p.Refused), Refused: kept,
		})
		o.Through += n
	}
	if o.Through >= o.Selected {
		events = append(events, Finished{})
	}
	return events
}
