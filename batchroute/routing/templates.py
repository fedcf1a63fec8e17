"""Templates of prompts: compiled once a job, rendered once a record. Only the job's own text is ever a template.

They are sandboxed Jinja without globals, calls, attributes of objects or assignments; what remains is text,
fields, dotted paths through objects, conditions, loops and the filters listed here.
"""

import difflib
import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Final, Literal, Protocol, cast

import jinja2
import jinja2.filters
import jinja2.meta
from jinja2 import nodes
from jinja2.runtime import Context, LoopContext, StrictUndefined, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from markupsafe import escape
from msgspec import Struct, to_builtins

from batchroute.core.errors import JobError
from batchroute.core.records import Fault

MAX_TEXT = 4 << 20
"""Characters that one template may render to."""

_ABSENT = object()


class Template(Protocol):
    """A compiled template. `columns` are the fields that it may read, in the order in which it names them."""

    columns: tuple[str, ...]

    def render(self, fields: Mapping[str, Any]) -> str | Fault:
        """The text for one record, or why there is none: field_missing, field_null, field_type,
        value_nonfinite or template_limits.
        """


class Pieces:
    """A template of literal text and plain fields, which needs no interpreter."""

    def __init__(self, pieces: Sequence[nodes.Expr]) -> None:
        self._texts = [piece.data if isinstance(piece, nodes.TemplateData) else "" for piece in pieces]
        self._holes = [(at, piece.name) for at, piece in enumerate(pieces) if isinstance(piece, nodes.Name)]
        self.columns = tuple(dict.fromkeys(name for _, name in self._holes))

    def render(self, fields: Mapping[str, Any]) -> str | Fault:
        texts = self._texts.copy()
        for at, name in self._holes:
            value = fields.get(name, _ABSENT)
            if type(value) is not str:
                value = _hole(name, value)
                if isinstance(value, Fault):
                    return value
            texts[at] = value
        text = "".join(texts)
        return text if len(text) <= MAX_TEXT else _too_long()


def _hole(name: str, value: Any) -> str | Fault:
    if value is _ABSENT:
        return Fault("field_missing", f"the record has no field {name!r}")
    text = spelled(value)
    return Fault(text.error_type, f"{name!r}: {text.message}") if isinstance(text, Fault) else text


class Interpreted:
    """Any other template, by Jinja."""

    def __init__(self, template: jinja2.Template, columns: tuple[str, ...]) -> None:
        self._template = template
        self.columns = columns

    def render(self, fields: Mapping[str, Any]) -> str | Fault:
        try:
            return self._text(fields)
        except _Refused as refused:
            return refused.fault
        except (OverflowError, MemoryError, RecursionError) as error:
            return Fault("template_limits", f"rendering needs too much: {type(error).__name__}")
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, AssertionError) as error:
            nulls = [name for name in self.columns if fields.get(name, _ABSENT) is None]
            null = f"; {', '.join(map(repr, nulls))} is null" if nulls else ""
            return Fault("field_type", f"the template cannot use this record: {error}"[:500] + null)

    def _text(self, fields: Mapping[str, Any]) -> str | Fault:
        # Not Template.render, which rewrites tracebacks: dear for what is an ordinary row.
        context = self._template.new_context(dict(fields))
        parts: list[str] = []
        size = 0
        for part in self._template.root_render_func(context):
            size += len(part)
            if size > MAX_TEXT:
                return _too_long()
            parts.append(part)
        return "".join(parts)


def _too_long() -> Fault:
    return Fault("template_limits", f"the template renders to more than {MAX_TEXT:,} characters")


def compile_template(source: str, where: str) -> Template:
    """Compile what stands at `where` in the job file.

    Raises JobError with line and column for template_syntax and template_unsafe.
    """
    source = source.removeprefix("\ufeff")
    environment = _environment("\r\n" if 0 < source.count("\n") == source.count("\r\n") else "\n")
    try:
        tree = environment.parse(source)
        _refuse_unsafe(tree, _Place(where, source))
        _spell_joined(tree)
        if len(tree.body) <= 1 and (pieces := _pieces(tree)) is not None:
            return Pieces(pieces)
        used = jinja2.meta.find_undeclared_variables(tree)
        columns = dict.fromkeys(name.name for name in tree.find_all(nodes.Name) if name.name in used)
        _name_paths(tree)
        return Interpreted(environment.from_string(tree), tuple(columns))
    except jinja2.TemplateSyntaxError as error:
        raise _Place(where, source).wrong(
            error.lineno, "template_syntax", f"{(error.message or '').rstrip('.')}. {_RAW}"
        ) from error
    except (SyntaxError, RecursionError) as error:
        raise _Place(where, source).wrong(1, "template_syntax", "it is nested too deeply") from error


def _pieces(tree: nodes.Template) -> list[nodes.Expr] | None:
    outputs = [node.nodes if isinstance(node, nodes.Output) else None for node in tree.body]
    found = outputs[0] if outputs else []
    if found is None or not all(isinstance(node, nodes.TemplateData | nodes.Name) for node in found):
        return None
    return found


class _Place(Struct, frozen=True):
    """Where a template stands in the job file, and its text, to point at what is wrong."""

    where: str
    source: str

    def wrong(self, line: int | None, code: str, message: str) -> JobError:
        """The column is that of the line's first tag: the parser tells lines only, and not for every node."""
        line = line or 1
        lines = re.split(r"\r\n|\r|\n", self.source)
        tag = re.search(r"\{[{%#]", lines[min(line, len(lines)) - 1])
        column = tag.start() + 1 if tag else 1
        return JobError(f"{self.where}: line {line}, column {column}: {message} [{code}]")


_RAW = "Braces that are no template stand between {% raw %} and {% endraw %}"
_SAFE_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem,
    nodes.Slice, nodes.Filter, nodes.Test, nodes.If, nodes.For, nodes.CondExpr, nodes.And, nodes.Or, nodes.Not,
    nodes.Compare, nodes.Operand, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod,
    nodes.Pow, nodes.Concat, nodes.Neg, nodes.Pos, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Keyword,
)  # fmt: skip


def _refuse_unsafe(tree: nodes.Template, place: _Place) -> None:
    for node in _walk(tree):
        reason = _unsafe(node)
        if reason is not None:
            raise place.wrong(node.lineno, "template_unsafe", reason)


def _spell_joined(tree: nodes.Template) -> None:
    """Let `a ~ b` spell its parts as `{{ a }}{{ b }}` does, where Jinja would write None and True."""
    for joined in list(tree.find_all(nodes.Concat)):
        joined.nodes = [
            nodes.Filter(part, "string", [], [], None, None, lineno=part.lineno) for part in joined.nodes
        ]


def _name_paths(tree: nodes.Template) -> None:
    """Have a path be named that is missing, null or of another kind where a text or a list is meant."""
    filters = list(tree.find_all(nodes.Filter))  # outer ones first: what they are given is as it was written
    for output in tree.find_all(nodes.Output):
        output.nodes = [_named(node, _TEXT) for node in output.nodes]
    for filtered in filters:
        if filtered.node is not None and filtered.name not in _OF_ANYTHING:
            filtered.node = _named(filtered.node, _SEQUENCE if filtered.name in _OF_SEQUENCES else _TEXT)
    for loop in tree.find_all(nodes.For):
        loop.iter = _named(cast("nodes.Expr", loop.iter), _SEQUENCE)


def _named(node: nodes.Expr, wanted: str) -> nodes.Expr:
    """The same expression, but that what is wrong with the value of a path is told with the path."""
    if isinstance(node, nodes.CondExpr):
        node.expr1 = _named(node.expr1, wanted)
        node.expr2 = node.expr2 and _named(node.expr2, wanted)
    path = _path(node)
    if path is None:
        return node
    return nodes.Filter(node, wanted, [nodes.Const(path)], [], None, None, lineno=node.lineno)


def _path(node: nodes.Node) -> str | None:
    """How a template writes a path to a value; None for what is computed."""
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr() if (base := _path(node.node)) is not None:
            return f"{base}.{node.attr}"
        case nodes.Getitem(arg=nodes.Const(value=key)) if (base := _path(node.node)) is not None:
            return f"{base}[{key!r}]"
        case nodes.Filter(name="first" | "last") if node.node and (base := _path(node.node)) is not None:
            return f"{base} | {node.name}"
        case _:
            return None


def _walk(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _walk(child)


def _unsafe(node: nodes.Node) -> str | None:
    if type(node) not in _SAFE_NODES:
        return f"{type(node).__name__.lower()} is not available in prompts"
    if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        return _unknown("filter", node.name, _FILTERS)
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        return _unknown("test", node.name, _TESTS)
    name = _spoken_name(node)
    if name is not None and (name.startswith("__") or (isinstance(node, nodes.Name) and name == "self")):
        return f"the name {name!r} is not available in prompts"
    return None


def _spoken_name(node: nodes.Node) -> str | None:
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        return node.attr
    if (
        isinstance(node, nodes.Getitem)
        and isinstance(node.arg, nodes.Const)
        and isinstance(node.arg.value, str)
    ):
        return node.arg.value
    return None


def _unknown(kind: str, name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3) or sorted(known)
    return f"there is no {kind} {name!r}. There is {', '.join(near)}"


# Values as text


def spelled(value: Any) -> str | Fault:
    """A value as it stands in a prompt: text as it is, numbers and switches as JSON spells them, dates,
    times and durations by ISO 8601. Null, objects, lists and numbers that are none have no spelling.
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):
        if not math.isfinite(value):
            return Fault("value_nonfinite", f"{value} is no number that a prompt can carry")
        return f"{value:f}" if isinstance(value, Decimal) else repr(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(to_builtins(value))
    return _unspeakable(value)


def _unspeakable(value: Any) -> Fault:
    if value is None:
        return Fault(
            "field_null", "a field that the template uses is null. Give it a default: {{ x | default('') }}"
        )
    kind = (
        "an object"
        if isinstance(value, dict)
        else "a list"
        if isinstance(value, list)
        else type(value).__name__
    )
    return Fault("field_type", f"{kind} stands where text is meant. Use a path to a text, or | tojson")


def _json_default(value: Any) -> Any:
    text = spelled(value)
    if isinstance(text, Fault):
        raise _Refused(text)
    return text


def plain(value: Any) -> str:
    """A value as text for reading, whatever it is."""
    text = spelled(value)
    if isinstance(text, Fault):
        return json.dumps(value, ensure_ascii=False, default=str)
    return text


# The sandbox


class _Refused(jinja2.TemplateRuntimeError):
    """Carries a fault out of Jinja."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _FieldMissing(_Refused):
    def __init__(self, message: str) -> None:
        super().__init__(Fault("field_missing", message))


class _NoPath(_Refused):
    def __init__(self, message: str) -> None:
        super().__init__(Fault("field_type", message))


class _Missing(StrictUndefined):
    """What a template gets for a name that is not there. Any use of it but a test or a default is refused.

    A path may end where an object lacks the name; through null, a list or a text there is no path.
    """

    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: Any = missing, name: Any = None, exc: type[_Refused] | None = None
    ) -> None:
        absent = obj is missing or isinstance(obj, dict)
        super().__init__(hint, obj, name, exc or (_FieldMissing if absent else _NoPath))


class _Sandbox(ImmutableSandboxedEnvironment):
    """Objects have no attributes here: a dot is a look-up in an object's members."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext) and attribute in _LOOP:
            return getattr(obj, attribute)
        if isinstance(obj, Undefined):
            return obj
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Undefined):
            return obj
        if isinstance(obj, dict | list | tuple | str):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                pass
        return self.undefined(obj=obj, name=argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if not numbers or _digits(operator, left, right) > MAX_DIGITS:
            raise _Refused(
                Fault("template_limits", f"{operator} takes numbers, and not to astronomic results")
            )
        return super().call_binop(context, operator, left, right)


MAX_DIGITS = 4_300
"""Of an integer that a template computes, as of one that is read."""


def _digits(operator: str, left: float, right: float) -> float:
    """About how many digits the result has at most."""
    if not isinstance(left, int) or not isinstance(right, int) or operator == "%":
        return 0
    bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
    return bits * math.log10(2)


_LOOP = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length"})


@cache
def _environment(newline: Literal["\n", "\r\n"]) -> _Sandbox:
    """Jinja writes one kind of line end; a template keeps its own."""
    environment = _Sandbox(
        undefined=_Missing, keep_trailing_newline=True, newline_sequence=newline, finalize=_text
    )
    environment.globals.clear()
    environment.filters = {**_FILTERS, **_MARKS}
    environment.tests = {name: environment.tests[name] for name in _TESTS}
    return environment


_TESTS = (
    "defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string", "mapping",
    "sequence", "iterable", "in", "odd", "even", "divisibleby", "lower", "upper", "eq", "ne", "lt", "le", "gt",
    "ge", "==", "!=", "<", "<=", ">", ">=", "equalto", "lessthan", "greaterthan",
)  # fmt: skip


# Filters: as in Jinja's documentation, but null is refused and nothing is taken for HTML


def _text(value: Any) -> str:
    text = spelled(_there(value))
    if isinstance(text, Fault):
        raise _Refused(text)
    return text


def _there(value: Any) -> Any:
    """The value; raises what a missing one raises on any use."""
    if isinstance(value, Undefined):
        str(value)
    return value


def _number(value: Any) -> Any:
    text = _text(value)
    return value if isinstance(value, int | float) else text


def _sequence(value: Any) -> Any:
    return value if isinstance(value, list | tuple | dict) else _text(value)


def _text_at(value: Any, path: str) -> Any:
    """The value of this path, which is to be shown; what cannot be is refused by the path."""
    if type(value) is str:
        return value
    try:
        _text(value)
    except _Refused as refused:
        word, said = refused.fault.error_type, refused.fault.message
        if word == "field_missing":
            raise _Refused(Fault(word, f"the record has no field {path!r}")) from None
        raise _Refused(Fault(word, f"{path!r}: {said}")) from None
    return value


def _sequence_at(value: Any, path: str) -> Any:
    return value if isinstance(value, list | tuple | dict) else _text_at(value, path)


def _default(value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    absent = value is None or isinstance(value, Undefined)
    return default_value if absent or (boolean and not value) else value


def _join(value: Any, separator: str = "") -> str:
    return _bounded_join([_text(part) for part in _sequence(value)], _text(separator))


def _bounded_join(parts: Sequence[str], separator: str) -> str:
    if sum(map(len, parts)) + len(separator) * len(parts) > MAX_TEXT:
        raise _Refused(_too_long())
    return separator.join(parts)


def _replace(value: Any, old: str, new: str, count: int = -1) -> str:
    text, old, new = _text(value), _text(old), _text(new)
    hits = text.count(old) if count < 0 else min(count, text.count(old))
    if len(text) + hits * (len(new) - len(old)) > MAX_TEXT:
        raise _Refused(_too_long())
    return text.replace(old, new, count)


@jinja2.pass_environment
def _truncate(
    environment: _Sandbox, value: Any, length: int = 255, killwords: bool = False, end: str = "..."
) -> str:
    return jinja2.filters.do_truncate(environment, _text(value), length, killwords, _text(end))


def _tojson(value: Any, indent: int | None = None) -> str:
    if indent is not None and not 0 <= indent <= _MAX_INDENT:
        raise _Refused(Fault("template_limits", f"indent is at most {_MAX_INDENT}"))
    try:
        return json.dumps(
            _there(value), ensure_ascii=False, allow_nan=False, indent=indent, default=_json_default
        )
    except ValueError as error:
        raise _Refused(Fault("value_nonfinite", f"there is no JSON for it: {error}")) from error


_MAX_INDENT = 8


def _end(value: Any, at: int, which: str) -> Any:
    found = _sequence(value)
    parts = list(found) if isinstance(found, dict) else found
    return parts[at] if parts else _Missing(f"there is no {which} of nothing")


def _round(value: Any, precision: int = 0, method: Literal["common", "ceil", "floor"] = "common") -> Any:
    if abs(precision) > _MAX_PRECISION:
        raise _Refused(Fault("template_limits", f"numbers are rounded to at most {_MAX_PRECISION} places"))
    return jinja2.filters.do_round(_number(value), precision, method)


_MAX_PRECISION = 15

_FILTERS: Mapping[str, Callable[..., Any]] = {
    "upper": lambda value: _text(value).upper(),
    "lower": lambda value: _text(value).lower(),
    "title": lambda value: jinja2.filters.do_title(_text(value)),
    "capitalize": lambda value: _text(value).capitalize(),
    "trim": lambda value, chars=None: _text(value).strip(chars),
    "truncate": _truncate,
    "replace": _replace,
    "join": _join,
    "length": lambda value: len(_sequence(value)),
    "first": lambda value: _end(value, 0, "first"),
    "last": lambda value: _end(value, -1, "last"),
    "default": _default,
    "tojson": _tojson,
    "string": _text,
    "int": lambda value, default=0, base=10: jinja2.filters.do_int(_number(value), default, base),
    "float": lambda value, default=0.0: jinja2.filters.do_float(_number(value), default),
    "round": _round,
    "e": lambda value: str(escape(_text(value))),
}

_OF_ANYTHING: Final = frozenset({"default", "tojson"})
_OF_SEQUENCES: Final = frozenset({"join", "length", "first", "last"})

# No template can name these: they have blanks in their names.
_TEXT: Final = "text at"
_SEQUENCE: Final = "sequence at"
_MARKS: Final[Mapping[str, Callable[..., Any]]] = {_TEXT: _text_at, _SEQUENCE: _sequence_at}
