"""A report as plain text and as Markdown."""

from collections.abc import Iterator

from batchroute.core.excerpts import printable
from batchroute.report.reports import Report
from batchroute.report.sections import Section, headline, sections

_MARKED = str.maketrans({each: f"\\{each}" for each in r"\`*_{}[]()<>#+!|~&"})


def text(report: Report) -> str:
    """As a terminal shows it, with columns as wide as they need."""
    return "\n".join(_text_lines(report)) + "\n"


def markdown(report: Report) -> str:
    """As GitHub-flavoured Markdown; what stands in the ledger is escaped."""
    return "\n".join(_markdown_lines(report)) + "\n"


def title(report: Report) -> str:
    """What it is a report of."""
    return printable(f"batchroute report: {', '.join(report.jobs)}")


def _text_lines(report: Report) -> Iterator[str]:
    yield title(report)
    yield ""
    yield from headline(report)
    for section in sections(report):
        note = f" ({section.note})" if section.note else ""
        yield ""
        yield f"{section.title}{note}"
        yield from _columns(section)
    if report.notes:
        yield ""
        yield from map(printable, report.notes)


def _columns(section: Section) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(section.head, *section.rows, strict=True)]
    for row in (section.head, *section.rows):
        cells = [
            one.ljust(width) if number < section.words else one.rjust(width)
            for number, (one, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()


def _markdown_lines(report: Report) -> Iterator[str]:
    yield f"# {_marked(title(report))}"
    yield ""
    for line in headline(report):
        yield _marked(line)
    for section in sections(report):
        yield from ("", f"## {section.title}", "")
        if section.note:
            yield from (f"{_marked(section.note)}", "")
        yield _piped(section.head)
        aligned = ("---" if number < section.words else "---:" for number in range(len(section.head)))
        yield f"| {' | '.join(aligned)} |"
        yield from map(_piped, section.rows)
    for note in report.notes:
        yield from ("", _marked(printable(note)))


def _piped(row: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(_marked, row))} |"


def _marked(text: str) -> str:
    return text.translate(_MARKED)
