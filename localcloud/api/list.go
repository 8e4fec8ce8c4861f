package api

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"hashistack/localcloud/label"
	"hashistack/localcloud/store"
)

const (
	defaultPerPage = 25
	maxPerPage     = 50
)

// collection serves what all kinds of resources have in common: reading one, and listing them filtered, sorted and in
// pages. R is the record, W its wire form.
type collection[R store.Row, W any] struct {
	// singular and plural are the keys in answers; plural is the path too.
	singular, plural string
	table            *store.Table[R]
	wire             func(R) W
	// filters are the query parameters that select rows by value, beside name and label_selector. A parameter given
	// several times selects the rows that match any of its values.
	filters map[string]func(row R, value string) bool
	// sorts are the fields rows can be ordered by, beside id.
	sorts map[string]func(x, y R) int
	// before, where set, runs without the lock and brings the rows with these IDs up to date.
	before func(ids ...int64)
}

// Orders that most kinds of resources offer.
func byName[R store.Row](x, y R) int    { return cmp.Compare(x.Head().Name, y.Head().Name) }
func byCreated[R store.Row](x, y R) int { return x.Head().Created.Compare(y.Head().Created) }

func sortsByNameAndAge[R store.Row]() map[string]func(x, y R) int {
	return map[string]func(x, y R) int{"name": byName[R], "created": byCreated[R]}
}

func (col *collection[R, W]) routes(a *API) {
	params := append(slices.Sorted(maps.Keys(col.filters)), "name", "label_selector", "sort", "page", "per_page")
	a.route("GET /"+col.plural, func(c *call) (reply, error) {
		if col.before != nil {
			ids := make([]int64, 0, col.table.Len())
			for _, row := range col.table.All() {
				ids = append(ids, row.Head().ID)
			}
			a.outside(func() { col.before(ids...) })
		}
		return col.list(c)
	}, params...)
	a.route("GET /"+col.plural+"/{id}", func(c *call) (reply, error) {
		row, err := col.find(c)
		if err != nil {
			return reply{}, err
		}
		if col.before != nil {
			a.outside(func() { col.before(row.Head().ID) })
			// The row may have gone meanwhile.
			if row, err = col.find(c); err != nil {
				return reply{}, err
			}
		}
		return ok(map[string]W{col.singular: col.wire(row)})
	})
}

func (col *collection[R, W]) find(c *call) (R, error) {
	var none R
	id, err := c.pathID("id", col.singular)
	if err != nil {
		return none, err
	}
	return col.get(id)
}

func (col *collection[R, W]) get(id int64) (R, error) {
	row, found := col.table.Get(id)
	if !found {
		return row, notFound(col.singular, id)
	}
	return row, nil
}

// unique returns uniqueness_error when a row other than self has this name.
func (col *collection[R, W]) unique(name string, self int64) error {
	_, taken := col.table.Find(func(row R) bool { return row.Head().Name == name && row.Head().ID != self })
	if taken {
		return notUnique("name", "%s name is already used: '%s'", col.singular, name)
	}
	return nil
}

// newMeta checks the name and labels of a new resource and gives it an ID.
func (col *collection[R, W]) newMeta(a *API, name string, labels *map[string]string) (store.Meta, error) {
	meta := store.Meta{Name: name, Created: time.Now().UTC().Truncate(time.Second)}
	if name == "" {
		return meta, invalid("name", "is required")
	}
	if err := col.unique(name, 0); err != nil {
		return meta, err
	}
	if labels != nil {
		if err := label.Validate(*labels); err != nil {
			return meta, invalid("labels", "%v", err)
		}
		meta.Labels = maps.Clone(*labels)
	}
	meta.ID = a.state.nextID()
	return meta, nil
}

// update changes name and labels where they are given. Labels replace all that were there.
func (col *collection[R, W]) update(row R, name string, labels *map[string]string) error {
	meta := row.Head()
	if name != "" {
		if err := col.unique(name, meta.ID); err != nil {
			return err
		}
	}
	if labels != nil {
		if err := label.Validate(*labels); err != nil {
			return invalid("labels", "%v", err)
		}
		meta.Labels = maps.Clone(*labels)
	}
	meta.Name = cmp.Or(name, meta.Name)
	return nil
}

// wireLabels are never null in answers.
func wireLabels(m *store.Meta) map[string]string {
	if m.Labels == nil {
		return map[string]string{}
	}
	return m.Labels
}

func (col *collection[R, W]) list(c *call) (reply, error) {
	rows, err := col.selectRows(col.table.All(), c.query)
	if err != nil {
		return reply{}, err
	}
	if err := col.sortRows(rows, c.query["sort"]); err != nil {
		return reply{}, err
	}
	page, err := pageOf(c.query, len(rows))
	if err != nil {
		return reply{}, err
	}
	wires := make([]W, 0, page.PerPage)
	for _, row := range rows[page.first():page.last()] {
		wires = append(wires, col.wire(row))
	}
	return reply{
		status: http.StatusOK,
		body:   map[string]any{col.plural: wires, "meta": map[string]any{"pagination": page}},
		header: http.Header{"Link": page.links(c)},
	}, nil
}

func (col *collection[R, W]) selectRows(rows []R, query url.Values) ([]R, error) {
	selector, err := label.Parse(query.Get("label_selector"))
	if err != nil {
		return nil, invalid("label_selector", "%v", err)
	}
	return slices.DeleteFunc(rows, func(row R) bool {
		meta := row.Head()
		if query.Has("name") && meta.Name != query.Get("name") {
			return true
		}
		for param, matches := range col.filters {
			if query.Has(param) && !slices.ContainsFunc(query[param], func(v string) bool { return matches(row, v) }) {
				return true
			}
		}
		return !selector.Matches(meta.Labels)
	}), nil
}

// sortRows orders by each term "field", "field:asc" or "field:desc" in turn. Rows come ordered by ID.
func (col *collection[R, W]) sortRows(rows []R, terms []string) error {
	var orders []func(x, y R) int
	for _, term := range terms {
		field, direction, _ := strings.Cut(term, ":")
		order := col.sorts[field]
		if field == "id" {
			order = func(x, y R) int { return cmp.Compare(x.Head().ID, y.Head().ID) }
		}
		if order == nil {
			return invalid("sort", "cannot sort by %q, only by id, %v", field, slices.Sorted(maps.Keys(col.sorts)))
		}
		switch direction {
		case "", "asc":
			orders = append(orders, order)
		case "desc":
			orders = append(orders, func(x, y R) int { return order(y, x) })
		default:
			return invalid("sort", "direction of %q must be asc or desc", term)
		}
	}
	slices.SortStableFunc(rows, func(x, y R) int {
		for _, order := range orders {
			if c := order(x, y); c != 0 {
				return c
			}
		}
		return 0
	})
	return nil
}

// pagination is schema.MetaPagination with the nulls that Hetzner answers at both ends.
type pagination struct {
	Page         int  `json:"page"`
	PerPage      int  `json:"per_page"`
	PreviousPage *int `json:"previous_page"`
	NextPage     *int `json:"next_page"`
	LastPage     int  `json:"last_page"`
	TotalEntries int  `json:"total_entries"`
}

func pageOf(query url.Values, total int) (pagination, error) {
	p := pagination{TotalEntries: total}
	var err error
	if p.Page, err = number(query, "page", 1); err != nil {
		return p, err
	}
	if p.PerPage, err = number(query, "per_page", defaultPerPage); err != nil {
		return p, err
	}
	p.PerPage = min(p.PerPage, maxPerPage)
	p.LastPage = max(1, (total+p.PerPage-1)/p.PerPage)
	if previous := p.Page - 1; previous >= 1 {
		p.PreviousPage = &previous
	}
	if p.Page < p.LastPage {
		next := p.Page + 1
		p.NextPage = &next
	}
	return p, nil
}

func number(query url.Values, param string, fallback int) (int, error) {
	if !query.Has(param) {
		return fallback, nil
	}
	n, err := strconv.Atoi(query.Get(param))
	if err != nil || n < 1 {
		return 0, invalid(param, "must be a number of 1 or more, got %q", query.Get(param))
	}
	return n, nil
}

func (p pagination) first() int { return p.after(p.Page - 1) }
func (p pagination) last() int  { return p.after(p.Page) }

// after counts the entries of the first pages. No page beyond the last entry changes it, and a product with its number could
// be too large for an int.
func (p pagination) after(pages int) int {
	return min(min(pages, p.TotalEntries)*p.PerPage, p.TotalEntries)
}

// links are the values of the Link header.
func (p pagination) links(c *call) []string {
	var links []string
	link := func(rel string, page *int) {
		if page == nil {
			return
		}
		query := maps.Clone(c.query)
		query.Set("page", strconv.Itoa(*page))
		query.Set("per_page", strconv.Itoa(p.PerPage))
		links = append(links, fmt.Sprintf(`<http://%s%s?%s>; rel="%s"`, c.Host, c.URL.Path, query.Encode(), rel))
	}
	link("prev", p.PreviousPage)
	link("next", p.NextPage)
	link("last", &p.LastPage)
	return []string{strings.Join(links, ", ")}
}
