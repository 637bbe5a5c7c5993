"""Up to isomorphism: canonical forms, exact counts, and one representative per class.

Two basic objects are *isomorphic* when a renaming of atoms, inside each ``USet``, turns one into the other;
the *canonical form* of a class is its least element in the order of :mod:`haydi.order`. A domain is *strict*
when it holds, with an element, all elements isomorphic to it.

The rooms, from the bottom to the top:

* ``renaming``: renaming atoms inside an object, and which atoms it holds;
* ``effective``: how many atoms of a USet one element can hold at all;
* ``alphabet``, ``structure``, ``layout``: a strict domain as a set of vectors, renamings as moves of
  positions;
* ``group``, ``trie``, ``watch``: all renamings as rows, and kernel W, which looks at each of them only while
  it matters;
* ``tester``: test C, for groups that are too large to be listed;
* ``branching``, ``orderly``: the walk over the tree of canonical prefixes, to be cut at any place;
* ``addresses``: these places, numbered, so that work can be divided;
* ``tree``: a tree with its addresses, whoever walks through it;
* ``runs``, ``generate``, ``cnf_values``: from a domain to its representatives, and back;
* ``words``, ``partition``, ``rules``, ``twins``, ``search``, ``canon``: canonical forms of single objects;
* ``species``, ``counting``, ``uniform``: numbers of classes, and random classes, without a list of them.
"""
