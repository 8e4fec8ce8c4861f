package infra

import "fmt"

// table declares the keys of a struct of settings, and the rules between them. It is bound to one value of the struct: it
// fills and checks that value's fields.
//
// LoadConfig takes defaults and checks from here. The documentation takes keys, sentences and values from here
// (docs_test.go).
type table []declaration

// declaration is one entry of a table: setting, list, group, object, objects or rule.
type declaration interface {
	// preset gives the field its default.
	preset()
	// check adds the problems of the field's value. at is the path of the table, for example "pools[0]".
	check(found *problems, at string)
	// describe tells the documentation about it.
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
	// says is what the value is: it starts with a capital letter and ends without a full stop.
	says string
	must limit[T]
	// defaultTo is the default. An optional setting without one says in without what holds when it is left out. A setting
	// with neither is required: must refuses its empty value.
	defaultTo T
	without   string
	// example is a good value. Settings with a default need none.
	example T
}

func (s setting[T]) preset() { *s.field = s.defaultTo }

func (s setting[T]) check(found *problems, at string) {
	if err := s.must.test(*s.field); err != nil {
		found.add(join(at, s.key), "%v", err)
	}
}

func (s setting[T]) describe() description {
	return description{
		key: s.key, field: s.field, says: s.says, must: s.must.says, defaultTo: s.defaultTo, without: s.without, example: s.example,
	}
}

// list declares a key with several values of one kind.
type list[T any] struct {
	key   string
	field *[]T
	says  string
	// missing is the remedy for an empty list, if the list is required. If not, without says what holds when it is left out.
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

// rule is what must hold between several keys. It passes over values that break their own limits: those are reported by the
// keys' own checks.
type rule struct {
	// says is the rule, as a sentence for the documentation.
	says string
	// broken reports each value that breaks the rule.
	broken func(report)
}

// report takes a problem and its path, which starts at the rule's table.
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

	defaultTo any // nil or the zero value if there is no default
	example   any
	without   string

	keys   []description // those below this key
	field  any           // points to the key's field; nil for a group
	parent any           // points to a struct with the fields of keys; nil for a group
}
