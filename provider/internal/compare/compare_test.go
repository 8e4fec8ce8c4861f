package compare

import (
	"testing"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/stretchr/testify/assert"
)

type inner struct {
	Text  string  `pulumi:"text"`
	Maybe *string `pulumi:"maybe,optional"`
}

type embedded struct {
	Flag bool `pulumi:"flag"`
}

type args struct {
	embedded
	Text     string   `pulumi:"text"`
	Identity string   `pulumi:"identity" provider:"secret,replaceOnChanges"`
	Number   int      `pulumi:"number,optional"`
	Names    []string `pulumi:"names,optional"`
	Items    []inner  `pulumi:"items"`
	Object   inner    `pulumi:"object"`
	Maybe    *inner   `pulumi:"maybe,optional"`
	Local    string   // no input
}

func TestInputs(t *testing.T) {
	text, other := "text", "other"
	base := args{Items: []inner{{Text: "a"}}, Maybe: &inner{Maybe: &text}}
	for name, test := range map[string]struct {
		change func(*args)
		path   string
		kind   p.DiffKind
	}{
		"text":               {func(a *args) { a.Text = other }, "text", p.Update},
		"identity":           {func(a *args) { a.Identity = other }, "identity", p.UpdateReplace},
		"number":             {func(a *args) { a.Number = 1 }, "number", p.Update},
		"a list":             {func(a *args) { a.Names = []string{other} }, "names", p.Update},
		"an item":            {func(a *args) { a.Items = []inner{{Text: other}} }, "items", p.Update},
		"one more item":      {func(a *args) { a.Items = append(a.Items, inner{}) }, "items", p.Update},
		"an object":          {func(a *args) { a.Object.Text = other }, "object.text", p.Update},
		"an optional object": {func(a *args) { a.Maybe = &inner{Text: other, Maybe: &text} }, "maybe.text", p.Update},
		"no object any more": {func(a *args) { a.Maybe = nil }, "maybe", p.Update},
		"deep within":        {func(a *args) { a.Maybe = &inner{Maybe: &other} }, "maybe.maybe", p.Update},
		"nothing within":     {func(a *args) { a.Maybe = &inner{} }, "maybe.maybe", p.Update},
		"something new":      {func(a *args) { a.Object.Maybe = &text }, "object.maybe", p.Update},
		"an embedded field":  {func(a *args) { a.Flag = true }, "flag", p.Update},
	} {
		t.Run(name, func(t *testing.T) {
			changed := base
			test.change(&changed)
			diff := Inputs(base, changed)
			assert.True(t, diff.HasChanges)
			assert.Equal(t, map[string]p.PropertyDiff{test.path: {Kind: test.kind, InputDiff: true}}, diff.DetailedDiff)
			assert.Equal(t, test.kind == p.UpdateReplace, Replaces(diff))
		})
	}
}

func TestWhatIsNoDifference(t *testing.T) {
	text, copied := "text", "text"
	was := args{Items: []inner{{Maybe: &text}}, Maybe: &inner{Maybe: &text}, Local: "here"}
	is := args{Items: []inner{{Maybe: &copied}}, Maybe: &inner{Maybe: &copied}, Names: []string{}, Local: "there"}
	diff := Inputs(was, is)
	assert.False(t, diff.HasChanges)
	assert.Empty(t, diff.DetailedDiff)
	assert.False(t, Replaces(diff))
}

// An input that somebody adds is compared without a line of code for it.
func TestANewFieldIsNoticed(t *testing.T) {
	type later struct {
		args
		Added string `pulumi:"added"`
	}
	diff := Inputs(later{}, later{Added: "something"})
	assert.Equal(t, map[string]p.PropertyDiff{"added": {Kind: p.Update, InputDiff: true}}, diff.DetailedDiff)
}

func TestOutput(t *testing.T) {
	diff := Output(Inputs(args{}, args{}), "sealed")
	assert.True(t, diff.HasChanges)
	assert.Equal(t, map[string]p.PropertyDiff{"sealed": {Kind: p.Update}}, diff.DetailedDiff)
}
