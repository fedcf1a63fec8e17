"""SQL expressions in a job file: parsed by polars, which reads nothing and runs nothing for it."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import polars as pl

_SUBQUERY: Final = "_POLARS_TMP_SQL"  # what polars calls the column that a subquery would be
_EXAMPLE: Final = "Write one expression, such as CASE WHEN length(text) > 2000 THEN 'hard' END"


def parsed(sql: str) -> "pl.Expr":
    """The expression over the input's columns. It sees one record at a time, so that batches change nothing.

    Raises ValueError for what polars cannot read, and for what looks beyond its record: aggregates, windows, subqueries.
    """
    import polars as pl  # noqa: PLC0415  only a job that has such a stage loads it to be checked

    try:
        expression = pl.sql_expr(sql)
    except (pl.exceptions.PolarsError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it cannot be read"
        raise ValueError(f"is not an SQL expression: {reason}. {_EXAMPLE}") from error
    if any(name.startswith(_SUBQUERY) for name in expression.meta.root_names()):
        raise ValueError("asks for other records by a subquery. Use the columns of the record alone")
    if not _is_alone(expression):
        raise ValueError(
            "looks at several records at once. Use no aggregate, window or subquery: each record is judged alone"
        )
    if not expression.meta.root_names():
        raise ValueError(f"names no column, so that it says the same of every record. {_EXAMPLE}")
    return expression


def _is_alone(expression: "pl.Expr") -> bool:
    """Whether it says of a record what it would say without the others: polars tells of the outermost step only."""
    from polars.exceptions import ColumnNotFoundError, InvalidOperationError  # noqa: PLC0415  as above

    if expression.meta.is_literal():
        return True
    inputs = expression.meta.pop()
    if not inputs:
        return expression.meta.is_column()
    try:
        alone = expression.meta.is_row_separable()
    except ColumnNotFoundError:  # IN with a list: it would need the input's schema, and looks at one record
        alone = True
    except InvalidOperationError:  # a subquery
        return False
    return alone and all(map(_is_alone, inputs))


def columns_of(*expressions: str | None) -> set[str]:
    """The columns that the expressions name; None names none."""
    return {name for sql in expressions if sql is not None for name in parsed(sql).meta.root_names()}
