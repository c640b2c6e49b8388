package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/alecthomas/kong"
	kongyaml "github.com/alecthomas/kong-yaml"
	"gopkg.in/yaml.v3"
)

// settingsPath is the file of settings, in the folder that the program is started in.
const settingsPath = "waypost.yaml"

// settingsFile are the settings of waypost.yaml, by command and flag.
type settingsFile struct {
	kong.Resolver

	all map[string]any
}

// loadSettingsFile reads waypost.yaml.
func loadSettingsFile(r io.Reader) (kong.Resolver, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var f settingsFile
	if err := yaml.Unmarshal(text, &f.all); err != nil {
		return nil, err
	}
	f.Resolver, err = kongyaml.Loader(bytes.NewReader(text))
	return f, err
}

// Resolve answers a flag's value of the file, unless the environment has it: kong
// itself would let the file win.
func (f settingsFile) Resolve(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		for _, name := range []string{name, name + "_FILE"} {
			if _, set := os.LookupEnv(name); set {
				return nil, nil //nolint:nilnil // kong's way to say that there is none here
			}
		}
	}
	return f.Resolver.Resolve(ctx, parent, flag)
}

// Validate refuses what is no setting: a slip of the pen would count for nothing.
func (f settingsFile) Validate(app *kong.Application) error {
	known := make(map[string]bool)
	collectSettings(app.Node, "", known)
	return checkSettings(f.all, "", known)
}

// collectSettings finds the settings of a command and of those below it.
func collectSettings(n *kong.Node, prefix string, known map[string]bool) {
	for _, flag := range n.Flags {
		known[prefix+flag.Name] = true
	}
	for _, child := range n.Children {
		collectSettings(child, prefix+child.Name+"-", known)
	}
}

func checkSettings(given map[string]any, prefix string, known map[string]bool) error {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		path := prefix + name
		if known[path] {
			continue
		}
		below, isMap := given[name].(map[string]any)
		if !isMap {
			return fmt.Errorf("%s: %q is no setting; settings stand under their command, by the names of its flags", settingsPath, path)
		}
		if err := checkSettings(below, path+"-", known); err != nil {
			return err
		}
	}
	return nil
}
