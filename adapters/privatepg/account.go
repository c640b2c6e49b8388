package privatepg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the operating system's user that owns the cluster and runs it.
type account struct {
	name     string
	uid, gid int
	switched bool // the process runs as root and this is another user
}

// chooseAccount returns the process's own user. Postgres refuses to run as root, so for
// root it returns the owner of the existing cluster, else postgres, else nobody.
func chooseAccount(cluster string) (account, error) {
	owner, exists, err := ownerOf(cluster)
	if err != nil {
		return account{}, err
	}
	if uid := os.Geteuid(); uid != 0 {
		if exists && owner != uid {
			return account{}, fmt.Errorf("%s belongs to user %s; run Waypost as that user or as root, or choose another data directory", cluster, userName(owner))
		}
		return account{name: userName(uid), uid: uid, gid: os.Getegid()}, nil
	}
	if exists && owner != 0 {
		u, err := user.LookupId(strconv.Itoa(owner))
		if err != nil {
			return account{}, fmt.Errorf("%s belongs to a user that Postgres cannot run as: %w; chown it to postgres", cluster, err)
		}
		return switchTo(u)
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return switchTo(u)
		}
	}
	return account{}, errors.New("root cannot run Postgres, and there is no user postgres or nobody to run it as; run Waypost as an ordinary user")
}

func switchTo(u *user.User) (account, error) {
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return account{}, fmt.Errorf("user %s: %w", u.Username, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return account{}, fmt.Errorf("group of user %s: %w", u.Username, err)
	}
	return account{name: u.Username, uid: uid, gid: gid, switched: true}, nil
}

// apply makes cmd run as the account, outside of Waypost's process group, so that a
// Ctrl-C on the terminal reaches only Waypost, which decides when Postgres stops.
func (a account) apply(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a.switched {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
}

// own changes the owner of a path and everything under it to the account. The account
// could not use files that root has created or copied there.
func (a account) own(path string) error {
	if !a.switched {
		return nil
	}
	return filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, a.uid, a.gid) //nolint:gosec // only root can access it so far, so no one could have put a link there
	})
}

// ownerOf returns the UID that owns a path, and whether the path exists.
func ownerOf(path string) (uid int, exists bool, err error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false, fmt.Errorf("%s: the system names no owner", path)
	}
	return int(stat.Uid), true, nil
}

// userName returns the name of a UID, or the number if it has none.
func userName(uid int) string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return strconv.Itoa(uid)
	}
	return u.Username
}
