package graph_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// The operations in the README match the served schema.
func TestReadmeOperationsAreValid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	must(t, err)
	blocks := regexp.MustCompile("(?s)```graphql\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) < 3 {
		t.Fatalf("the README has %d blocks of GraphQL", len(blocks))
	}
	for _, b := range blocks {
		if _, errs := gqlparser.LoadQueryWithRules(served(t), string(b[1]), rules.NewDefaultRules()); errs != nil {
			t.Errorf("%v in\n%s", errs, b[1])
		}
	}
}
