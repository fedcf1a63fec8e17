"""Word lists as regular expressions that stay fast: a prefix tree, and boundaries that are ASCII ones.

In a list, `|` stands between words. A word begins where a word begins (`~` allows the middle of one), and goes on as
it likes (`_` ends it), so that stems do.
"""

import functools
import re
from collections.abc import Iterable
from typing import Final, TypeAlias

WIDE: Final = "\u2e80"
"""From here on characters are Chinese or Japanese."""

_Tree: TypeAlias = dict[str, "_Tree"]


def words_as_one(words: str, *, anywhere: bool = True) -> str:
    """The words as one expression. `anywhere`: in running text, so they must begin where a word begins."""
    starting: list[str] = []
    free: list[str] = []
    for word in filter(None, words.split("|")):
        bounded = anywhere and word[0].isascii() and word[0].isalnum()
        (starting if bounded else free).append(word.removeprefix("~"))
    return any_of([rf"\b{_tree(starting)}" if starting else "", _tree(free)])


def _tree(words: Iterable[str]) -> str:
    """An expression that finds the shortest of the words which begin at a place, in either case."""
    root: _Tree = {}
    for word in words:
        branch = root
        for letter in word:
            branch = branch.setdefault(letter, {})
        branch[""] = {}
    return _branches(root)


def _branches(tree: _Tree) -> str:
    if "" in tree:
        return ""
    return any_of([_letter(letter) + _branches(rest) for letter, rest in tree.items()])


@functools.cache
def _letter(letter: str) -> str:
    if letter == "_":
        return r"\b"
    lower, upper = letter.lower(), letter.upper()
    return f"[{lower}{upper}]" if upper != lower and len(upper) == 1 else re.escape(letter)


def any_of(expressions: Iterable[str]) -> str:
    """One of the expressions; those that are empty are none, and nothing is found where all are."""
    some = [expression for expression in expressions if expression]
    return some[0] if len(some) == 1 else f"(?:{'|'.join(some)})" if some else ""


def ascii_boundaries(expression: str) -> str:
    return expression.replace(r"\b", r"(?-u:\b)")


def in_script(words: str, *, wide: bool) -> str:
    """Those of the words that are written in Chinese characters or kana, or in letters."""
    return "|".join(word for word in words.split("|") if (max(word, default="") >= WIDE) is wide)
