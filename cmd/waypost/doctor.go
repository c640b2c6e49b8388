package main

import (
	"errors"
	"fmt"

	"github.com/waypost/waypost/cmd/waypost/internal/doctor"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

// errChecksFailed is the error of a doctor that found something bad.
var errChecksFailed = errors.New(`some checks failed; fix the findings marked "bad" above`)

type doctorCommand struct {
	platform.Settings `embed:""`
}

// Run prints the findings.
func (c doctorCommand) Run(env *environment) error {
	failed := false
	for _, f := range doctor.Examine(env.ctx, &c.Settings) {
		failed = failed || f.Level == doctor.LevelBad
		fmt.Fprintf(env.stdout, "%-4s  %-22s %s\n", f.Level, f.What, f.Detail)
		if f.Remedy != "" {
			fmt.Fprintf(env.stdout, "      %-22s → %s\n", "", f.Remedy)
		}
	}
	if failed {
		return errChecksFailed
	}
	return nil
}
