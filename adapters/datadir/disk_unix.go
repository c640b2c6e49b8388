//go:build unix

package datadir

import "syscall"

// DiskUse returns the fraction of a directory's disk that is in use and the number of bytes that are free for this user. Space that
// only root can use counts as neither.
func DiskUse(dir string) (used float64, free uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	size := uint64(s.Bsize)
	taken, available := s.Blocks-s.Bfree, uint64(s.Bavail) //nolint:unconvert // it is signed on FreeBSD
	if taken+available == 0 {
		return 0, 0, nil
	}
	return float64(taken) / float64(taken+available), available * size, nil
}

// DiskUsed returns the fraction of a directory's disk that is in use, or 0 if it is unknown.
func DiskUsed(dir string) float64 {
	used, _, err := DiskUse(dir)
	if err != nil {
		return 0
	}
	return used
}
