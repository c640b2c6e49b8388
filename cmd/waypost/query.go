package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxDocument bounds a document from standard input, in bytes.
const maxDocument = 1 << 20

type queryCommand struct {
	remoteSettings
	Document  string `arg:"" optional:"" help:"A GraphQL query or mutation. Standard input if empty."`
	Variables string `help:"Its variables, a JSON object." placeholder:"JSON"`
}

// Validate finds variables that are none: wrong usage.
func (c *queryCommand) Validate() error {
	if c.Variables == "" {
		return nil
	}
	if _, err := decodeObject(c.Variables); err != nil {
		return fmt.Errorf("--variables %w", err)
	}
	return nil
}

// Run asks the platform and prints the answer's data.
func (c *queryCommand) Run(env *environment) error {
	document := c.Document
	if document == "" {
		text, err := io.ReadAll(io.LimitReader(os.Stdin, maxDocument))
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		document = string(text)
	}
	if strings.TrimSpace(document) == "" {
		return errors.New("there is no query; give it as the argument or on standard input")
	}
	var variables map[string]any
	if c.Variables != "" {
		variables, _ = decodeObject(c.Variables) // Validate has looked
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(env.ctx, requestTimeout)
	defer cancel()
	var data json.RawMessage
	if err := client.do(ctx, document, variables, &data); err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		return fmt.Errorf("answer of the platform: %w", err)
	}
	_, err = fmt.Fprintln(env.stdout, out.String())
	return err
}
