package native

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCovers(t *testing.T) {
	type object = map[string]any
	for _, c := range []struct {
		name         string
		live, wanted any
		same         bool
	}{
		{"the same", object{"a": 1}, object{"a": 1}, true},
		{"an addition", object{"a": 1, "b": 2}, object{"a": 1}, true},
		{"another value", object{"a": 2}, object{"a": 1}, false},
		{"a lack", object{}, object{"a": 1}, false},
		{"nothing asked for", object{}, object{"a": "", "b": false, "c": object{"d": []string{}}}, true},
		{"false asked for, true there", object{"a": true}, object{"a": false}, false},
		{"an addition within", object{"a": object{"b": 1, "c": 2}}, object{"a": object{"b": 1}}, true},
		{"another list", object{"a": []int{1, 2}}, object{"a": []int{1}}, false},
		{"another order", object{"a": []int{1, 2}}, object{"a": []int{2, 1}}, false},
		{"elements with additions", object{"a": []object{{"b": 1, "c": 2}}}, object{"a": []object{{"b": 1}}}, true},
		{"another kind", object{"a": "x"}, object{"a": object{"b": 1}}, false},
	} {
		same, err := Covers(c.live, c.wanted)
		require.NoError(t, err, c.name)
		assert.Equal(t, c.same, same, c.name)
	}
}

func TestAsked(t *testing.T) {
	asked, err := Asked(struct {
		Name  string
		Empty string
		Zero  int
		List  []struct{ A, B string }
	}{Name: "x", List: []struct{ A, B string }{{A: "1"}}})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"Name": "x", "List": []any{map[string]any{"A": "1"}}}, asked)
}

func TestInputsOfLiveValues(t *testing.T) {
	given := "given"
	assert.Nil(t, Optional(nil, "", ""), "what was left out and is unset stays left out")
	assert.Equal(t, "by hand", *Optional(nil, "by hand", ""), "what was left out and is set shows")
	assert.Empty(t, *Optional(&given, "", ""), "what was given and is unset shows")

	assert.Equal(t, []string{"b", "a"}, Set([]string{"b", "a"}, []string{"a", "b"}), "the order of the program stays")
	assert.Equal(t, []string{"a"}, Set([]string{"b", "a"}, []string{"a"}))
	assert.Nil(t, Set(nil, []string{}))
	assert.Nil(t, List[int](nil, []int{}))
	assert.Equal(t, map[string]int{}, Map(map[string]int{}, nil))
}
