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

	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
)

// maxDocument bounds a document from standard input, in bytes.
const maxDocument = 1 << 20

type queryCommand struct {
	remoteSettings
	Document  string `arg:"" optional:"" help:"GraphQL query or mutation. If empty, it is read from standard input."`
	Variables string `help:"Variables of the document, a JSON object." placeholder:"JSON"`
}

// Validate returns a usage error if the variables are not a JSON object.
func (c *queryCommand) Validate() error {
	if c.Variables == "" {
		return nil
	}
	if _, err := apiclient.DecodeObject(c.Variables); err != nil {
		return fmt.Errorf("--variables %w", err)
	}
	return nil
}

// Run sends the document and prints the data of the response.
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
		return errors.New("no query; pass it as the argument or on standard input")
	}
	var variables map[string]any
	if c.Variables != "" {
		variables, _ = apiclient.DecodeObject(c.Variables) // Validate checked it
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(env.ctx, apiclient.RequestTimeout)
	defer cancel()
	var data json.RawMessage
	if err := client.Do(ctx, document, variables, &data); err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		return fmt.Errorf("response of Waypost: %w", err)
	}
	_, err = fmt.Fprintln(env.stdout, out.String())
	return err
}
