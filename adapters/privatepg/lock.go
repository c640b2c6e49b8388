package privatepg

import (
	"errors"
	"fmt"

	"github.com/waypost/waypost/adapters/datadir"
)

// lockDir locks the directory for this process until the lock is released or the
// process ends, however it ends.
func lockDir(dir string) (*datadir.Lock, error) {
	l, err := datadir.Hold(dir)
	var held *datadir.HeldError
	switch {
	case errors.As(err, &held):
		return nil, fmt.Errorf("%w by another process (%s); stop it or choose another data directory", ErrInUse, held.PID)
	case err != nil:
		return nil, fmt.Errorf("%w; run Waypost as the user that owns it, or choose another data directory", err)
	}
	return l, nil
}
