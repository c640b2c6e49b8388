// Package recovery tests that Waypost survives crashes, outages, full disks, and lost responses, that other processes take over
// from a killed one, that later versions open what earlier ones left, and that the runbook leads out of every incident it describes.
package recovery

import (
	"os"
	"testing"

	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
)

func TestMain(m *testing.M) { os.Exit(e2etest.Main(m)) }
