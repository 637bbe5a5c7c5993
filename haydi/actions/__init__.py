"""How the elements of a pipeline become its result: see :mod:`haydi.actions.base` for the one law."""

from haydi.actions.base import Action, FoldAgain, check_callable, check_limit
from haydi.actions.choosing import Collect, First, Max, Min
from haydi.actions.folding import MISSING, Count, OrderedReduce, Reduce, Sum
from haydi.actions.grouping import Frequencies, Groups, GroupsCounts

__all__ = [
    "MISSING",
    "Action",
    "Collect",
    "Count",
    "First",
    "FoldAgain",
    "Frequencies",
    "Groups",
    "GroupsCounts",
    "Max",
    "Min",
    "OrderedReduce",
    "Reduce",
    "Sum",
    "check_callable",
    "check_limit",
]
