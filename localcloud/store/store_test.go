package store_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/store"
)

type thing struct {
	store.Meta
	Size int `json:"size"`
}

type things struct {
	Table store.Table[*thing] `json:"table"`
}

func TestTable(t *testing.T) {
	var table store.Table[*thing]
	_, found := table.Get(1)
	assert.False(t, found)
	for _, id := range []int64{3, 1, 2} {
		table.Add(&thing{Meta: store.Meta{ID: id}, Size: int(id) * 10})
	}
	table.Add(&thing{Meta: store.Meta{ID: 2}, Size: 5})
	assert.Equal(t, 3, table.Len())
	big, found := table.Find(func(x *thing) bool { return x.Size >= 10 })
	require.True(t, found)
	assert.EqualValues(t, 1, big.ID, "the first by ID")
	table.Remove(1)
	_, found = table.Get(1)
	assert.False(t, found)
	var ids []int64
	for _, row := range table.All() {
		ids = append(ids, row.ID)
	}
	assert.Equal(t, []int64{2, 3}, ids)
}

func TestStateIsSavedWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	dir, err := store.Open(path)
	require.NoError(t, err)
	var saved, loaded things
	found, err := dir.Load(&loaded)
	require.NoError(t, err)
	assert.False(t, found, "nothing was saved yet")

	saved.Table.Add(&thing{Meta: store.Meta{ID: 7, Name: "seven", Labels: map[string]string{"a": "b"}}, Size: 70})
	require.NoError(t, dir.Save(&saved))
	require.NoError(t, dir.Close())

	dir, err = store.Open(path)
	require.NoError(t, err)
	found, err = dir.Load(&loaded)
	require.NoError(t, err)
	assert.True(t, found)
	want, err := json.Marshal(&saved)
	require.NoError(t, err)
	got, err := json.Marshal(&loaded)
	require.NoError(t, err)
	assert.JSONEq(t, string(want), string(got))

	require.NoError(t, dir.Remove())
	assert.NoDirExists(t, path)
}

func TestStateDirectoryHasOneOwner(t *testing.T) {
	path := t.TempDir()
	first, err := store.Open(path)
	require.NoError(t, err)
	_, err = store.Open(path)
	require.ErrorIs(t, err, store.ErrInUse)
	require.ErrorContains(t, err, "stop that one first")
	require.NoError(t, first.Close())
	second, err := store.Open(path)
	require.NoError(t, err)
	require.NoError(t, second.Close())
}

func TestBrokenStateIsNamed(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(path, "state.json"), []byte("{"), 0o600))
	dir, err := store.Open(path)
	require.NoError(t, err)
	defer func() { assert.NoError(t, dir.Close()) }()
	_, err = dir.Load(&things{})
	assert.ErrorContains(t, err, filepath.Join(path, "state.json"))
}

func TestRemoveKeepsWhatIsNotOurs(t *testing.T) {
	path := t.TempDir()
	foreign := filepath.Join(path, "notes")
	require.NoError(t, os.WriteFile(foreign, nil, 0o600))
	dir, err := store.Open(path)
	require.NoError(t, err)
	require.NoError(t, dir.Remove())
	assert.FileExists(t, foreign)
}

// Rows that are missing, or there twice, are named instead of being lost.
func TestBrokenTables(t *testing.T) {
	var table store.Table[*thing]
	require.NoError(t, json.Unmarshal([]byte(`[{"id": 1}, {"id": 2}]`), &table))
	require.ErrorContains(t, json.Unmarshal([]byte(`[{"id": 1}, null]`), &table), "row 1 is null")
	require.ErrorContains(t, json.Unmarshal([]byte(`[{"id": 1}, {"id": 1}]`), &table), "two rows have the ID 1")
}
