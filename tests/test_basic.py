from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections import namedtuple
from functools import cmp_to_key
from itertools import pairwise, permutations, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haydi.basic import Atom, Keys, Map, Set, compare, map_of_sorted, set_of_sorted, sort, sort_key
from haydi.domains.elementary import USet
from haydi.errors import ArgumentTypeError, ArgumentValueError

A = USet(3, "a")
B = USet(2, "b")
Point = namedtuple("Point", "x y")

atoms = st.sampled_from([*A, *B])
leaves = st.one_of(atoms, st.integers(-3, 3), st.sampled_from(["", "a", "b", "ab"]), st.booleans(), st.none())


def containers(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    few = st.lists(items, max_size=3)
    return st.one_of(
        few.map(tuple),
        few.map(Set),
        st.lists(st.tuples(items, items), max_size=3, unique_by=lambda pair: sort_key(pair[0])).map(Map),
    )


basics = st.recursive(leaves, containers, max_leaves=6)


def oracle(a: Any, b: Any) -> int:
    """The order as the manual tells it, case by case."""
    kinds: list[type] = [Atom, int, str, tuple, Map, Set, bool, type(None)]
    kind_a, kind_b = kinds.index(type(a)), kinds.index(type(b))
    if kind_a != kind_b:
        return -1 if kind_a < kind_b else 1
    if a is None:
        return 0
    if isinstance(a, Atom):
        a, b = (a.parent.name, a.parent.size, a.index), (b.parent.name, b.parent.size, b.index)
    if isinstance(a, Map):
        a, b = a.items(), b.items()
    if kind_a in (3, 4, 5):
        if len(a) != len(b):
            return -1 if len(a) < len(b) else 1
        for x, y in zip(a, b, strict=True):
            if c := oracle(x, y):
                return c
        return 0
    return (a > b) - (a < b)


class TestOrder:
    @given(basics, basics)
    def test_is_the_order_of_the_manual(self, a, b):
        assert compare(a, b) == oracle(a, b) == -compare(b, a)

    @given(basics, basics, basics)
    def test_is_transitive(self, a, b, c):
        a, b, c = sorted((a, b, c), key=cmp_to_key(compare))
        assert compare(a, b) <= 0 >= compare(b, c)
        assert compare(a, c) <= 0

    def test_types_stand_in_their_order(self):
        chain = [
            *A,
            *B,
            -5,
            0,
            7,
            "",
            "Z",
            "a",
            "aa",
            (),
            (5,),
            (0, 0),
            Map(),
            Map({9: 9}),
            Map({0: 0, 1: 0}),
        ]
        chain += [Set(), Set((4,)), Set((0, 1)), False, True, None]
        for (i, a), (j, b) in product(enumerate(chain), repeat=2):
            assert compare(a, b) == (i > j) - (i < j)

    def test_named_tuples_count_as_tuples(self):
        assert compare(Point(1, 2), (1, 2)) == 0
        assert compare(Point(1, 2), (1, 3)) == -1

    @pytest.mark.parametrize("stranger", [1.5, frozenset((1,)), [1], {1: 1}, b"x", object(), (1, 2.0)])
    def test_strangers_are_refused_by_name(self, stranger):
        name = "float" if isinstance(stranger, tuple) else type(stranger).__name__
        with pytest.raises(ArgumentTypeError, match=rf"^{name} objects have no place"):
            compare(stranger, 1)
        with pytest.raises(ArgumentTypeError, match=name):
            sort([1, stranger])
        with pytest.raises(ArgumentTypeError, match=name):
            Set((stranger,))
        with pytest.raises(ArgumentTypeError, match=name):
            Map([(stranger, 1)])

    @given(st.lists(basics, max_size=8))
    def test_sort_agrees_with_compare(self, items):
        ordered = sort(iter(items))
        assert len(ordered) == len(items)
        assert all(compare(a, b) <= 0 for a, b in pairwise(ordered))
        assert sorted(map(id, ordered)) == sorted(map(id, items))

    def test_sort_is_stable(self):
        one, other = Point(1, 2), (1, 2)
        assert [type(x) for x in sort([one, other])] == [Point, tuple]
        assert [type(x) for x in sort([other, one])] == [tuple, Point]

    def test_sort_names_what_is_not_iterable(self):
        with pytest.raises(ArgumentTypeError, match=r"sort: iterable must be iterable, not 3 of type int"):
            sort(3)  # type: ignore[arg-type]

    @given(basics, basics)
    def test_operators_follow_compare(self, a, b):
        if not isinstance(a, Atom | Map | Set) and not isinstance(b, Atom | Map | Set):
            return
        c = compare(a, b)
        assert (a < b, a <= b, a > b, a >= b) == (c < 0, c <= 0, c > 0, c >= 0)

    @pytest.mark.parametrize("one", [A[0], Set((1,)), Map({1: 2})])
    def test_operators_decline_strangers(self, one):
        for operation in ("<", "<=", ">", ">="):
            with pytest.raises(TypeError, match="not supported between"):
                eval(f"one {operation} 1.5", {"one": one})
        assert one != 1.5
        assert one != (1,)

    def test_is_the_same_in_every_process(self):
        items = [Map({"x": A[1]}), Set(("q", "p")), B[0], A[2], "z", (B[1], A[0]), None, True]
        program = "import pickle,sys;from haydi.basic import sort;d=sys.stdin.buffer.read();"
        program += "x,y=pickle.loads(d);assert sort(x)==y and len({*x,*y})==len(x);print('same')"
        data = pickle.dumps((items, sort(items)))
        run = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=False)
        assert run.stdout == b"same\n", run.stderr.decode()


class TestAtom:
    def test_knows_where_it_is_from(self):
        atom = Atom(2, A)
        assert (atom.index, atom.parent, repr(atom)) == (2, A, "a2")

    def test_equality_is_by_value(self):
        assert Atom(1, USet(3, "a")) == A[1]
        assert hash(Atom(1, USet(3, "a"))) == hash(A[1])
        assert len({A[0], A[1], B[0], USet(4, "a")[0], USet(3, "a")[0]}) == 4
        assert A[0] != 0

    def test_cannot_be_changed(self):
        for attribute in ("index", "parent", "other"):
            with pytest.raises(AttributeError):
                setattr(A[0], attribute, 1)

    def test_pickle_is_the_same_atom_and_keeps_its_order(self):
        first, second = pickle.loads(pickle.dumps(A[0])), pickle.loads(pickle.dumps(A[1]))
        assert first == A[0]
        assert hash(first) == hash(A[0])
        assert first < A[1] < pickle.loads(pickle.dumps(A[2]))
        assert first < second
        assert copy.deepcopy(A[1]) == A[1]


class TestSet:
    @given(st.lists(basics, max_size=6))
    def test_is_sorted_and_free_of_repetition(self, items):
        made = Set(items)
        assert all(compare(a, b) < 0 for a, b in pairwise(made))
        assert all(any(compare(x, y) == 0 for y in made) for x in items)
        assert all(x in made for x in items)
        assert Set(reversed(items)) == made
        assert hash(Set(reversed(items))) == hash(made)
        assert Set(made) == made
        assert len(made) == len(tuple(made))

    @given(basics, basics)
    def test_equality_is_that_of_the_order(self, a, b):
        assert (Set((a,)) == Set((b,))) == (compare(a, b) == 0)
        assert (b in Set((a,))) == (compare(a, b) == 0)
        assert (Map({1: a}.items()) == Map([(1, b)])) == (compare(a, b) == 0)
        assert (b in Map([(a, 1)])) == (compare(a, b) == 0)
        assert (Map([(a, 1)]) == Map([(b, 1)])) == (compare(a, b) == 0)

    def test_keeps_bools_and_ints_apart(self):
        both = Set((False, 0))
        assert list(map(repr, both)) == ["0", "False"]
        assert len(both) == 2
        assert 0 in both
        assert False in both
        assert True not in both
        assert False not in Set((0,))
        assert Set(((0, 1),)) != Set(((0, True),))
        assert (0, True) not in Set(((0, 1),))
        assert len({Set((0,)), Set((False,))}) == 2

    def test_items(self):
        made = Set(("c", "a", "b"))
        assert (made[0], made[-1], made[1:]) == ("a", "c", ("b", "c"))
        assert (made.to_set(), made.to_frozenset()) == ({"a", "b", "c"}, frozenset("abc"))
        assert repr(made) == "{'a', 'b', 'c'}"
        assert repr(Set()) == "{}"
        assert [] not in made
        with pytest.raises(IndexError):
            made[3]

    def test_cannot_be_changed(self):
        with pytest.raises(AttributeError):
            Set((1,)).items = (2,)  # type: ignore[attr-defined]
        with pytest.raises(TypeError):
            Set((1,))[0] = 2  # type: ignore[index]

    def test_needs_an_iterable(self):
        with pytest.raises(ArgumentTypeError, match="Set: items must be iterable, not 3 of type int"):
            Set(3)  # type: ignore[arg-type]

    @given(st.lists(basics, max_size=5))
    def test_pickles(self, items):
        made = Set(items)
        assert pickle.loads(pickle.dumps(made)) == made
        assert set_of_sorted(tuple(made)) == made


class TestMap:
    @pytest.mark.parametrize("order", list(permutations(["b", (1,), 0, A[0]])))
    def test_is_sorted_by_key(self, order):
        made = Map((key, repr(key)) for key in order)
        assert made.keys() == (A[0], 0, "b", (1,))
        assert made == Map({key: repr(key) for key in order})
        assert hash(made) == hash(Map({key: repr(key) for key in order}))
        assert all(made[key] == repr(key) for key in order)

    def test_access(self):
        made = Map({2: "y", 1: "x"})
        assert (list(made), made.values(), made.items()) == ([1, 2], ("x", "y"), ((1, "x"), (2, "y")))
        assert (len(made), 1 in made, 3 in made, [] in made) == (2, True, False, False)
        assert (made.get(2), made.get(3), made.get(3, "z")) == ("y", None, "z")
        assert made.to_dict() == dict(made) == {1: "x", 2: "y"}
        assert Map(made) == made
        assert (repr(made), repr(Map())) == ("{1: 'x', 2: 'y'}", "{:}")
        with pytest.raises(KeyError, match="3"):
            made[3]

    def test_keeps_bools_and_ints_apart(self):
        made: Map[Any, str] = Map([(False, "no"), (0, "zero"), (True, "yes")])
        assert (made[0], made[False], made[True], len(made)) == ("zero", "no", "yes", 3)
        assert 1 not in made
        assert Map({0: 0}) != Map({0: False})
        assert Map({0: 0}) != Map({False: 0})
        assert False not in Map({0: 0})

    def test_refuses_what_is_no_mapping(self):
        with pytest.raises(ArgumentValueError, match=r"key 1 occurs twice"):
            Map([(1, 2), (1, 2)])
        with pytest.raises(ArgumentValueError, match=r"must be \(key, value\) pairs, but one is 5"):
            Map([5])  # type: ignore[arg-type]
        with pytest.raises(ArgumentValueError, match="but one is 'ab'"):
            Map(["ab"])  # type: ignore[arg-type]
        with pytest.raises(ArgumentTypeError, match="Map: items must be iterable, not 5"):
            Map(5)  # type: ignore[arg-type]

    def test_cannot_be_changed(self):
        with pytest.raises(AttributeError):
            Map({1: 2}).other = 3  # type: ignore[attr-defined]
        with pytest.raises(TypeError):
            Map({1: 2})[1] = 3  # type: ignore[index]

    def test_maps_that_share_keys_share_them_in_the_pickle(self):
        keys = Keys(tuple(f"key number {i}" for i in range(50)))
        maps = [map_of_sorted(keys, (i,) * 50) for i in range(20)]
        data = pickle.dumps(maps)
        assert len(data) < 2 * len(pickle.dumps(keys)) + 20 * 150
        back = pickle.loads(data)
        assert back == maps
        assert [hash(m) for m in back] == [hash(m) for m in maps]
