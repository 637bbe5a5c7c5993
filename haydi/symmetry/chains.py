"""Atoms that take places in a row, in any order, because each of them misses one atom of its own.

Let the least next row belong to several atoms of a cell, the *links*. In one cell, the same for all, each of them
misses one atom, its *mate*, all mates are different, and elsewhere all links miss the same. Take the first of
them in any order: its mate goes to the end of its cell. Then the others still have the least row, and so on.
Each order of the links gives the same rows, and leaves the mates in the opposite order at the end of their
cell. All orders at once are thus one state, with one cell of mates that has no order yet.

There is one thing that could come between: an atom of the cell of the links that agrees with them before the
cell of the mates, and misses nothing there that is no mate. Once these mates are split off it has a less row.
Then there is no chain, and the search has to find out which links make such an atom come first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Chain", "atoms_in", "chain_of"]


class Chain(NamedTuple):
    """Links and their mates, the order still open: the links stand in the opposite order of the mates."""

    links: tuple[int, ...]
    mates: tuple[int, ...]


def chain_of(cells: tuple[int, ...], links: list[int], near: list[int]) -> Chain | None:
    """The chain of some atoms, if they are one.

    Args:
        cells: Sets of atoms; the links are in the first.
        links: All atoms that have the least row, of twins one.
        near: The neighbours of each atom.
    """
    before: list[tuple[int, int]] = []
    mates: tuple[int, ...] | None = None
    mates_cell = 0
    for cell in cells:
        missed = [cell & ~near[link] & ~(1 << link) for link in links]
        if all(one == missed[0] for one in missed):
            if mates is None:
                before.append((cell, missed[0].bit_count()))
            continue
        if mates is not None or any(one & (one - 1) for one in missed) or len(set(missed)) < len(links):
            return None
        mates = tuple([one.bit_length() - 1 for one in missed])
        mates_cell = cell
    if mates is None:
        return None
    chosen = sum(1 << atom for atom in links)
    gone = sum(1 << atom for atom in mates)
    if chosen & gone:
        return None
    for atom in atoms_in(cells[0] & ~chosen & ~gone):
        missed_by = ~near[atom] & ~(1 << atom)
        if not mates_cell & missed_by & ~gone and all((c & missed_by).bit_count() == n for c, n in before):
            return None
    return Chain(tuple(links), mates)


def atoms_in(mask: int) -> Iterator[int]:
    """The atoms of a set, from the least on."""
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1
