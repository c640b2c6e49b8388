package simulation

import "time"

// dice makes the random choices of one step. It is SplitMix64, with a state that depends on
// the seed and the step.
type dice struct{ state uint64 }

const golden = 0x9e3779b97f4a7c15

func (d *dice) next() uint64 {
	d.state += golden
	return mix(d.state)
}

func mix(z uint64) uint64 {
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// hash returns the FNV-1a hash of a string.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

func (d *dice) chance(p float64) bool { return float64(d.next()>>11)/(1<<53) < p }

func (d *dice) below(n int) int { return int(d.next() % uint64(n)) }

func (d *dice) between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(d.next()%uint64(high-low))
}

// pick returns one of the choices.
func pick[T any](d *dice, choices ...T) T { return choices[d.below(len(choices))] }
