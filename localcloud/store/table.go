package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Meta is what every resource of the cloud has.
type Meta struct {
	ID      int64             `json:"id"`
	Name    string            `json:"name,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Created time.Time         `json:"created"`
}

// Head makes every resource that embeds Meta a Row.
func (m *Meta) Head() *Meta { return m }

// Row is a resource kept in a Table: anything that embeds Meta.
type Row interface{ Head() *Meta }

// Table holds the resources of one kind by ID. The zero value is an empty table. It is not safe for concurrent use.
type Table[R Row] struct{ rows map[int64]R }

// Add inserts a row, or replaces the one with its ID.
func (t *Table[R]) Add(row R) {
	if t.rows == nil {
		t.rows = map[int64]R{}
	}
	t.rows[row.Head().ID] = row
}

// Get returns the row with this ID.
func (t *Table[R]) Get(id int64) (R, bool) {
	row, ok := t.rows[id]
	return row, ok
}

// Remove deletes the row with this ID, if there is one.
func (t *Table[R]) Remove(id int64) { delete(t.rows, id) }

// Len counts the rows.
func (t *Table[R]) Len() int { return len(t.rows) }

// All returns the rows in the order of their IDs, which is the order of their creation.
func (t *Table[R]) All() []R {
	all := make([]R, 0, len(t.rows))
	for _, row := range t.rows {
		all = append(all, row)
	}
	slices.SortFunc(all, func(a, b R) int { return cmp.Compare(a.Head().ID, b.Head().ID) })
	return all
}

// Find returns the first row, by ID, that matches.
func (t *Table[R]) Find(match func(R) bool) (R, bool) {
	for _, row := range t.All() {
		if match(row) {
			return row, true
		}
	}
	var none R
	return none, false
}

// MarshalJSON writes the rows as a list, ordered by ID so that two equal tables give equal bytes.
func (t *Table[R]) MarshalJSON() ([]byte, error) { return json.Marshal(t.All()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *Table[R]) UnmarshalJSON(data []byte) error {
	var all []*R // a row that is null must not pass for an empty one
	if err := json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("decode table: %w", err)
	}
	t.rows = make(map[int64]R, len(all))
	for i, row := range all {
		if row == nil {
			return fmt.Errorf("decode table: row %d is null", i)
		}
		id := (*row).Head().ID
		if _, taken := t.rows[id]; taken {
			return fmt.Errorf("decode table: two rows have the ID %d", id)
		}
		t.Add(*row)
	}
	return nil
}
