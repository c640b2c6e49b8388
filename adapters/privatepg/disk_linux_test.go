package privatepg_test

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/waypost/waypost/adapters/privatepg"
)

func TestFullDiskIsNamed(t *testing.T) {
	needRoot(t)
	t.Parallel()
	small := t.TempDir()
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=8m,mode=0755"); err != nil {
		t.Skipf("cannot mount a small disk here: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(small, syscall.MNT_DETACH)) })
	_, err := privatepg.Start(t.Context(), privatepg.Options{DataDir: filepath.Join(small, "pg")})
	if !errors.Is(err, privatepg.ErrDiskFull) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want ErrDiskFull on one line", err)
	}
}
