package infra

import "fmt"

// A table declares the keys of a group of settings, and the rules that hold between them. It is bound to the values of
// one Config: what it sets and checks are the fields of that Config.
//
// A table is all that is known of its keys. LoadConfig takes defaults and checks from it; the tests in docs_test.go make
// README.md's tables and the config section of Pulumi.yaml from it.
type table []declaration

// declaration is one entry of a table: setting, list, group, object, objects or rule.
type declaration interface {
	// preset gives the field its default.
	preset()
	// check adds the problems of the field's value. at is the path of the table: "" or "pools[0]".
	check(found *problems, at string)
	// describe says what the documentation has to know.
	describe() description
}

func (t table) preset() {
	for _, entry := range t {
		entry.preset()
	}
}

func (t table) check(found *problems, at string) {
	for _, entry := range t {
		entry.check(found, at)
	}
}

func (t table) describe() []description {
	described := make([]description, len(t))
	for i, entry := range t {
		described[i] = entry.describe()
	}
	return described
}

// join appends a key to the path of its table.
func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

// setting declares a key with a single value.
type setting[T any] struct {
	key   string
	field *T
	// says is what the value is, and begins with a capital letter.
	says string
	must limit[T]
	// standard is the default. A setting has a default, or says what holds without a value, or is required.
	standard T
	without  string
	// example is a good value, for settings without a default.
	example T
}

func (s setting[T]) preset() { *s.field = s.standard }

func (s setting[T]) check(found *problems, at string) {
	if err := s.must.test(*s.field); err != nil {
		found.add(join(at, s.key), "%v", err)
	}
}

func (s setting[T]) describe() description {
	return description{
		key: s.key, field: s.field, says: s.says, must: s.must.says, standard: s.standard, without: s.without, example: s.example,
	}
}

// list declares a key with several values of one kind.
type list[T any] struct {
	key   string
	field *[]T
	says  string
	// missing is the remedy for an empty list. A list has that, or says what holds without a value.
	missing string
	without string
	// each is what every value must be.
	each    limit[T]
	example []T
}

func (list[T]) preset() {}

func (l list[T]) check(found *problems, at string) {
	path := join(at, l.key)
	if len(*l.field) == 0 && l.missing != "" {
		found.add(path, "missing: %s", l.missing)
	}
	for i, value := range *l.field {
		if err := l.each.test(value); err != nil {
			found.add(fmt.Sprintf("%s[%d]", path, i), "%v", err)
		}
	}
}

func (l list[T]) describe() description {
	return description{
		key: l.key, field: l.field, says: l.says, must: l.each.says, without: l.without, example: l.example, items: "string",
	}
}

// group declares a key under which further keys stand, each with a default of its own.
type group struct {
	key  string
	says string
	// more is a paragraph for the documentation.
	more string
	of   table
}

func (g group) preset() { g.of.preset() }

func (g group) check(found *problems, at string) { g.of.check(found, join(at, g.key)) }

func (g group) describe() description {
	return description{key: g.key, says: g.says, more: g.more, keys: g.of.describe()}
}

// object declares an optional key under which further keys stand. They count only if the stack has the key.
type object[T any] struct {
	key     string
	field   **T
	says    string
	more    string
	without string
	of      func(*T) table
}

func (object[T]) preset() {}

func (o object[T]) check(found *problems, at string) {
	if *o.field != nil {
		o.of(*o.field).check(found, join(at, o.key))
	}
}

func (o object[T]) describe() description {
	some := new(T)
	return description{
		key: o.key, field: o.field, says: o.says, more: o.more, without: o.without,
		keys: o.of(some).describe(), parent: some,
	}
}

// objects declares a required list, each of whose entries has further keys.
type objects[T any] struct {
	key     string
	field   *[]T
	says    string
	more    string
	missing string
	of      func(*T) table
}

func (objects[T]) preset() {}

func (o objects[T]) check(found *problems, at string) {
	path := join(at, o.key)
	if len(*o.field) == 0 {
		found.add(path, "missing: %s", o.missing)
	}
	for i := range *o.field {
		o.of(&(*o.field)[i]).check(found, fmt.Sprintf("%s[%d]", path, i))
	}
}

func (o objects[T]) describe() description {
	some := new(T)
	return description{
		key: o.key, field: o.field, says: o.says, more: o.more, items: "object",
		keys: o.of(some).describe(), parent: some,
	}
}

// rule is what must hold between several keys. It passes over values that are wrong by themselves: their own
// declarations report those.
type rule struct {
	// says is the rule, as a sentence for the documentation.
	says string
	// broken reports each value that breaks the rule.
	broken func(report)
}

// report takes a problem of the value at a path below the rule's table.
type report func(path, format string, args ...any)

func (rule) preset() {}

func (r rule) check(found *problems, at string) {
	r.broken(func(path, format string, args ...any) { found.add(join(at, path), format, args...) })
}

func (r rule) describe() description { return description{says: r.says} }

// description is what a declaration tells the documentation.
type description struct {
	key   string // empty for a rule
	says  string
	more  string
	must  string // the limit, in words
	items string // what a list is of, as Pulumi calls it; empty for what is no list

	standard any // nil or the zero value if there is no default
	example  any
	without  string

	keys   []description // those below this key
	parent any           // points to a struct with the fields of those keys; nil where field's own struct has them
	field  any           // points to the field
}
