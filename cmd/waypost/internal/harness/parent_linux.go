package harness

import "syscall"

// endWithParent has a child asked to end when the thread that started it does.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGTERM }
