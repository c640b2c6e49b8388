package platform

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

// SettingsPath is the settings file, in the working directory.
const SettingsPath = "waypost.yaml"

// settingsFile has the settings of waypost.yaml, by command and flag.
type settingsFile struct {
	kong.Resolver

	all map[string]any
}

// LoadSettingsFile reads waypost.yaml.
func LoadSettingsFile(r io.Reader) (kong.Resolver, error) {
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

// Resolve returns a flag's value in the file, unless the environment has the setting. Kong itself would let the file take precedence.
func (f settingsFile) Resolve(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		for _, name := range []string{name, name + "_FILE"} {
			if _, set := os.LookupEnv(name); set {
				return nil, nil //nolint:nilnil // for kong: the file has no value
			}
		}
	}
	return f.Resolver.Resolve(ctx, parent, flag)
}

// Validate returns an error for an unknown setting, because a typo would otherwise have no effect.
func (f settingsFile) Validate(app *kong.Application) error {
	known := make(map[string]bool)
	collectSettings(app.Node, "", known)
	return checkSettings(f.all, "", known)
}

// collectSettings adds the settings of a command and of its subcommands to known.
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
			return fmt.Errorf("%s: unknown setting %q; put settings under their command, by the names of its flags", SettingsPath, path)
		}
		if err := checkSettings(below, path+"-", known); err != nil {
			return err
		}
	}
	return nil
}
