//go:build unix && !linux

package harness

import "syscall"

// endWithParent does nothing: only Linux tells children that their parent has died.
func endWithParent(*syscall.SysProcAttr) {}
