// Package e2e tests what Waypost does for its users, with the program and a simulated WhatsApp. What it does when something fails
// is tested in package recovery.
package e2e

import (
	"os"
	"testing"

	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
)

func TestMain(m *testing.M) { os.Exit(e2etest.Main(m)) }
