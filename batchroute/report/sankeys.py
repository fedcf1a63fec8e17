"""Where the records went: bands from task to model to how they ended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from batchroute.report.cells import clipped, counted, share
from batchroute.report.shapes import WIDTH, band, rect, svg, text

COLUMNS = ("task", "model", "outcome")
MOST_NODES = 12
OTHERS = "(others)"

_HEIGHT = 260.0
_LEAST_SLOT = 17.0
_GAP = 5.0
_THICK = 12.0
_LEFTS = (0.0, (WIDTH - _THICK) * 0.5, WIDTH - _THICK)


@dataclass(frozen=True, kw_only=True)
class Node:
    """A name in a column of the chart: where its bar begins and how high it is."""

    name: str
    records: int
    top: float
    height: float


def sankey(flows: pl.DataFrame) -> str:
    """Records by task, model and outcome, as bands as thick as their number. Empty where there are none."""
    merged = _merged(flows)
    if merged.is_empty():
        return ""
    whole = int(merged["records"].sum())
    scale = _HEIGHT / whole
    columns = [_column(merged, column, scale) for column in COLUMNS]
    below = max(node.top + node.height for column in columns for node in column.values())
    drawn = [
        *_bands(merged, COLUMNS[:2], columns[:2], _LEFTS[0], scale),
        *_bands(merged, COLUMNS[1:], columns[1:], _LEFTS[1], scale),
        *(shape for place in range(3) for shape in _nodes(columns[place], place, whole)),
    ]
    return svg(below + 6, "Records from their task to their model to how they ended", drawn)


def _merged(flows: pl.DataFrame) -> pl.DataFrame:
    """The flows with the smallest names of a column, where there are many, under one name."""
    for column in COLUMNS:
        names = _ranked(flows, column)[column].to_list()
        if len(names) > MOST_NODES:
            kept = pl.col(column).is_in(names[: MOST_NODES - 1])
            flows = flows.with_columns(pl.when(kept).then(column).otherwise(pl.lit(OTHERS)).alias(column))
    return flows.group_by(COLUMNS).agg(pl.col("records").sum()).sort(*COLUMNS)


def _ranked(flows: pl.DataFrame, column: str) -> pl.DataFrame:
    """The names of a column by their records, those without a name of their own last."""
    counted = flows.group_by(column).agg(pl.col("records").sum())
    return counted.sort(pl.col(column) == OTHERS, -pl.col("records"), column)


def _column(flows: pl.DataFrame, column: str, scale: float) -> dict[str, Node]:
    """The nodes of a column, the largest at the top, each with room enough for its name."""
    ranked = _ranked(flows, column)
    nodes, top = dict[str, Node](), 0.0
    for name, records in ranked.iter_rows():
        height = max(1.0, records * scale)
        slot = max(height, _LEAST_SLOT)
        nodes[name] = Node(name=name, records=records, top=top + (slot - height) / 2, height=height)
        top += slot + _GAP
    return nodes


def _bands(
    flows: pl.DataFrame, names: Sequence[str], nodes: Sequence[dict[str, Node]], left: float, scale: float
) -> Iterator[str]:
    """The bands between two columns, in the order of both, so that they cross as little as they must."""
    pairs = {
        (source, target): records
        for source, target, records in flows.group_by(names).agg(pl.col("records").sum()).iter_rows()
    }
    right = left + (WIDTH - _THICK) / 2
    begun, ended = ({name: node.top for name, node in column.items()} for column in nodes)
    for source in nodes[0]:
        for target in nodes[1]:
            records = pairs.get((source, target))
            if records:
                tall, said = records * scale, f"{source} to {target}: {counted(records, 'record')}"
                kind = target if names[1] == "outcome" else ""
                yield band(left + _THICK, begun[source], right, ended[target], tall, kind, said)
                begun[source] += tall
                ended[target] += tall


def _nodes(column: dict[str, Node], place: int, whole: int) -> Iterator[str]:
    left, last = _LEFTS[place], place == len(COLUMNS) - 1
    for node in column.values():
        said = f"{node.name}: {counted(node.records, 'record')} ({share(node.records, whole)})"
        x, anchor = (left - 5, "end") if last else (left + _THICK + 5, "start")
        yield rect(left, node.top, _THICK, node.height, f"node {node.name if last else ''}", said)
        label = f"{clipped(node.name, 17)} {node.records:,}"
        yield text(x, node.top + node.height / 2 + 4.5, label, "label", anchor=anchor, title=said)
