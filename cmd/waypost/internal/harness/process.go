package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU time in /proc: Linux has shown 100 ticks a second
// to programs on every architecture since 2.6.
const clockTick = 10 * time.Millisecond

// ProcStat is the status of a process in /proc.
type ProcStat struct {
	Parent int
	Own    time.Duration // user and system time
	Waited time.Duration // the same of its ended children
}

// ReadProcStat reads the status of a process from /proc.
func ReadProcStat(pid int) (ProcStat, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ProcStat{}, err
	}
	return parseProcStat(string(text))
}

// parseProcStat reads a line of /proc/PID/stat; see proc_pid_stat(5). The name,
// the second field, may hold spaces and parentheses.
func parseProcStat(line string) (ProcStat, error) {
	_, rest, found := cutLast(line, ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 15 {
		return ProcStat{}, fmt.Errorf("process status %.60q has too few fields", line)
	}
	number := func(field int) int64 { // numbered from 1 as in the manual
		n, _ := strconv.ParseInt(fields[field-3], 10, 64) // the kernel writes numbers
		return n
	}
	return ProcStat{
		Parent: int(number(4)),
		Own:    time.Duration(number(14)+number(15)) * clockTick,
		Waited: time.Duration(number(16)+number(17)) * clockTick,
	}, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// CPUTimes are the CPU times of the processes of a TestEnv since their start. Store is the event store, if it is a process of its own,
// and Load is this process.
type CPUTimes struct{ Serve, Postgres, Store, Simulator, Load time.Duration }

// Minus returns the CPU times since d.
func (c CPUTimes) Minus(d CPUTimes) CPUTimes {
	return CPUTimes{
		Serve: c.Serve - d.Serve, Postgres: c.Postgres - d.Postgres, Store: c.Store - d.Store,
		Simulator: c.Simulator - d.Simulator, Load: c.Load - d.Load,
	}
}

// CPU reads the CPU times from /proc; an error where there is none. What serve
// started, and that alone, is Postgres.
func (r *TestEnv) CPU() (CPUTimes, error) {
	var c CPUTimes
	serve, err := ReadProcStat(r.Serve.PID())
	if err != nil {
		return c, err
	}
	sim, err := ReadProcStat(r.simulator.PID())
	if err != nil {
		return c, err
	}
	load, err := ReadProcStat(os.Getpid())
	if err != nil {
		return c, err
	}
	if r.Store != nil {
		store, err := ReadProcStat(r.Store.PID())
		if err != nil {
			return c, err
		}
		c.Store = store.Own
	}
	c.Serve, c.Simulator, c.Load = serve.Own, sim.Own, load.Own
	below := descendants(r.Serve.PID())
	for _, p := range below {
		c.Postgres += p.Own + p.Waited
	}
	return c, nil
}

// descendants returns the processes below pid. It omits a process that ends in the meantime, whose CPU time its parent then has.
func descendants(pid int) []ProcStat {
	all := make(map[int]ProcStat)
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well-formed
	for _, dir := range dirs {
		id, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if stat, err := ReadProcStat(id); err == nil {
			all[id] = stat
		}
	}
	var below []ProcStat
	for id, stat := range all {
		for up := all[id].Parent; up > 1; up = all[up].Parent {
			if up == pid {
				below = append(below, stat)
				break
			}
		}
	}
	return below
}

// PeakMemory is the most memory that a process had resident, in bytes; 0 if unknown.
func PeakMemory(pid int) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if kilobytes, found := strings.CutPrefix(line, "VmHWM:"); found {
			n, _ := strconv.ParseInt(strings.Fields(kilobytes)[0], 10, 64) // the kernel writes numbers
			return n << 10
		}
	}
	return 0
}
