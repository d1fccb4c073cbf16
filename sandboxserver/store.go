package sandboxserver

import (
	"cmp"
	"slices"
	"time"
)

// meta is what every stored thing has.
type meta struct {
	id      string // never changes
	name    string // unique within its kind
	seq     uint64 // order of creation
	created time.Time
	updated time.Time
}

func (m *meta) self() *meta { return m }

type entity interface {
	comparable
	self() *meta
}

// store indexes things of one kind by id and by name. Its owner does the
// locking.
type store[T entity] struct {
	kind   string
	byID   map[string]T
	byName map[string]T
	marks  map[string]bool // ids of what is to be saved; nil saves nothing
}

func newStore[T entity](kind string) store[T] {
	return store[T]{kind: kind, byID: map[string]T{}, byName: map[string]T{}}
}

func (s store[T]) get(name string) (T, error) {
	t, ok := s.byName[name]
	if !ok {
		return t, notFound(s.kind, name)
	}
	return t, nil
}

// find also takes an id; names win, as they are what people chose.
func (s store[T]) find(nameOrID string) (T, error) {
	if t, ok := s.byName[nameOrID]; ok {
		return t, nil
	}
	t, ok := s.byID[nameOrID]
	if !ok {
		return t, notFound(s.kind, nameOrID)
	}
	return t, nil
}

func (s store[T]) free(name string) error {
	if _, ok := s.byName[name]; ok {
		return nameTaken(s.kind, name)
	}
	return nil
}

// mark notes a change that is to be saved.
func (s store[T]) mark(t T) {
	if s.marks != nil {
		s.marks[t.self().id] = true
	}
}

// changed is mark, and the time of it.
func (s store[T]) changed(t T) {
	t.self().updated = time.Now().UTC()
	s.mark(t)
}

func (s store[T]) add(t T) {
	m := t.self()
	s.byID[m.id], s.byName[m.name] = t, t
	s.mark(t)
}

func (s store[T]) remove(t T) {
	s.drop(t)
	s.mark(t)
}

// drop is remove where the records have forgotten it before.
func (s store[T]) drop(t T) {
	m := t.self()
	delete(s.byID, m.id)
	delete(s.byName, m.name)
}

// rename gives a thing a free name; its own name is free to it, and an empty
// one changes nothing.
func (s store[T]) rename(t T, name string) error {
	m := t.self()
	if name == "" || name == m.name {
		return nil
	}
	if err := s.free(name); err != nil {
		return err
	}
	delete(s.byName, m.name)
	m.name = name
	s.byName[name] = t
	s.mark(t)
	return nil
}

// all returns everything, oldest first.
func (s store[T]) all() []T {
	list := make([]T, 0, len(s.byID))
	for _, t := range s.byID {
		list = append(list, t)
	}
	slices.SortFunc(list, bySeq[T])
	return list
}

func bySeq[T entity](a, b T) int { return cmp.Compare(a.self().seq, b.self().seq) }
