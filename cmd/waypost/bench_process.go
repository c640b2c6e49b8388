package main

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

// procStat is what /proc tells of a process.
type procStat struct {
	parent int
	own    time.Duration // user and system time
	waited time.Duration // the same of its ended children
}

func readProcStat(pid int) (procStat, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return procStat{}, err
	}
	return parseProcStat(string(text))
}

// parseProcStat reads a line of /proc/PID/stat; see proc_pid_stat(5). The name,
// the second field, may hold spaces and parentheses.
func parseProcStat(line string) (procStat, error) {
	_, rest, found := cutLast(line, ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 15 {
		return procStat{}, fmt.Errorf("process status %.60q has too few fields", line)
	}
	number := func(field int) int64 { // numbered from 1 as in the manual
		n, _ := strconv.ParseInt(fields[field-3], 10, 64) // the kernel writes numbers
		return n
	}
	return procStat{
		parent: int(number(4)),
		own:    time.Duration(number(14)+number(15)) * clockTick,
		waited: time.Duration(number(16)+number(17)) * clockTick,
	}, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// cpuTimes are the CPU times of a rig's processes since their start.
type cpuTimes struct{ Serve, Postgres, Simulator time.Duration }

func (c cpuTimes) minus(d cpuTimes) cpuTimes {
	return cpuTimes{Serve: c.Serve - d.Serve, Postgres: c.Postgres - d.Postgres, Simulator: c.Simulator - d.Simulator}
}

// cpu reads the CPU times from /proc; an error where there is none. What serve
// started, and that alone, is Postgres.
func (r *rig) cpu() (cpuTimes, error) {
	var c cpuTimes
	serve, err := readProcStat(r.serve.pid())
	if err != nil {
		return c, err
	}
	sim, err := readProcStat(r.simulator.pid())
	if err != nil {
		return c, err
	}
	c.Serve, c.Simulator = serve.own, sim.own
	below := descendants(r.serve.pid())
	for _, p := range below {
		c.Postgres += p.own + p.waited
	}
	return c, nil
}

// descendants are the processes below pid. One that ends meanwhile is left out:
// its parent has its time then.
func descendants(pid int) []procStat {
	all := make(map[int]procStat)
	folders, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well-formed
	for _, folder := range folders {
		id, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		if stat, err := readProcStat(id); err == nil {
			all[id] = stat
		}
	}
	var below []procStat
	for id, stat := range all {
		for up := all[id].parent; up > 1; up = all[up].parent {
			if up == pid {
				below = append(below, stat)
				break
			}
		}
	}
	return below
}

// peakMemory is the most memory that a process had resident, in bytes; 0 if unknown.
func peakMemory(pid int) int64 {
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
