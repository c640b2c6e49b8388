//go:build linux || darwin

package main

import "syscall"

// diskUsed is the share of the disk of a folder that is in use; 0 if the system does
// not tell. What only root may use counts as used.
func diskUsed(dir string) float64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil || s.Blocks == 0 {
		return 0
	}
	used := s.Blocks - s.Bfree
	return float64(used) / float64(used+s.Bavail)
}
