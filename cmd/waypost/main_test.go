package main

import (
	"os"
	"testing"
)

// TestMain makes the test binary the program when a harness starts it as a child.
func TestMain(m *testing.M) {
	if os.Getenv(testMain) == "1" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	if err := os.Setenv(testMain, "1"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
