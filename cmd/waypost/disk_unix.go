//go:build unix

package main

import "syscall"

// diskUse is how full the disk of a folder is, as a share, and how many bytes are
// free for this user.
func diskUse(dir string) (used float64, free uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	size := uint64(s.Bsize)
	taken, avail := s.Blocks-s.Bfree, uint64(s.Bavail) //nolint:unconvert // FreeBSD counts it signed
	if taken+avail == 0 {
		return 0, 0, nil
	}
	return float64(taken) / float64(taken+avail), avail * size, nil
}
