"""What others wrote is printed as words: no order to a terminal is in it, and ours still are."""

from __future__ import annotations

import io

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from conformance.errors import EnvironmentProblem, harmless
from conformance.machine import terminal

# Clear the screen, set the title, ask for an answer, colour, write over the line or over a letter,
# turn the text around.
ORDERS = (
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x1b[6n",
    "\x9b31m",
    "\rall is well",
    "\x08",
    "\u202eedoc",
)


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_is_spelt_out(order: str) -> None:
    told = harmless(f"before {order} after\tand\nnext")
    assert order[0] not in told and f"\\x{ord(order[0]):02x}" in told
    assert told.startswith("before ") and told.endswith(" after\tand\nnext")
    assert str(EnvironmentProblem(f"it said {order}")) == harmless(f"it said {order}")


@pytest.mark.parametrize("order", ORDERS)
def test_whatever_is_printed(order: str) -> None:
    table = Table()
    table.add_column(order)
    table.add_row(Text(order, style="red"))
    for one in (order, Text(order), table, Panel(order)):
        sink = io.StringIO()
        terminal.console(file=sink, width=100).print(one, markup=False)
        assert order[0] not in sink.getvalue()
        # What moves the cursor back rich itself leaves out.
        assert order[0] in "\r\x08" or f"\\x{ord(order[0]):02x}" in sink.getvalue()


def test_its_own_colours_are_orders_all_the_same() -> None:
    sink = io.StringIO()
    terminal.console(file=sink, force_terminal=True).print(Text("good", style="green"))
    assert "\x1b[32mgood\x1b[0m" in sink.getvalue()
