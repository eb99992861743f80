"""The outlook of a run in words, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.table import Table

from simpletuner.adapters.lokr.planner import FactorPlan
from simpletuner.assemble.adapter_plan import AdapterPlan
from simpletuner.assemble.room_plan import Need
from simpletuner.cli.outlook import Outlook

Pairs = list[tuple[str, str]]
_SHOWN = "`simpletuner check --lokr` shows those of factor 4 to 64"
IDLE_ALPHA = "linear_alpha has no effect: both factors of every layer are whole matrices"


def outlook_lines(outlook: Outlook) -> Pairs:
    """For the terminal, each with its label; further lines under one label have none."""
    parts = {
        "adapter": [] if outlook.adapter is None else list(_adapter_lines(outlook.adapter, outlook.lokr)),
        "disk": [need.line() for need in outlook.needs if need.wanted],
    }
    return [("" if number else label, text) for label, texts in parts.items() for number, text in enumerate(texts)]


def factor_rule(plans: Sequence[FactorPlan]) -> str:
    """Which factor makes a small adapter; in narrow layers the second matrix grows as the first one shrinks."""
    smallest = min(plans, key=lambda plan: plan.parameters, default=None)
    if smallest is None or smallest is plans[-1]:
        return "a larger factor is a smaller adapter"
    return f"this model is narrow: factor {smallest.factor} is the smallest adapter, larger factors are larger ones"


def _adapter_lines(plan: AdapterPlan, lokr: Sequence[FactorPlan]) -> Iterator[str]:
    yield f"{plan.method}: {plan.parameters:,} values, {plan.file_bytes / 1e6:,.1f} MB"
    for share in plan.shares:
        part = share.parameters / plan.parameters if plan.parameters else 0
        factors = plan.factors.get(share.class_name)
        split = f", factor {' and '.join(map(str, factors))}" if factors else ""
        yield f"{share.line()} ({part:.0%}){split}"
    if plan.method == "lokr":
        yield f"{factor_rule(lokr)}; {_SHOWN}"
    if plan.alpha_is_idle:
        yield IDLE_ALPHA


def lokr_table(plans: Sequence[FactorPlan], width: int = 2) -> Table:
    """For each factor the values of each class and their share, their sum, and megabytes of ``width`` bytes a value."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), header_style="dim")
    classes = [f"{size.class_name} ({size.layers})" for size in plans[0].classes] if plans else []
    for name in ("factor", *classes, "values", "MB"):
        table.add_column(name, justify="right", no_wrap=name in ("factor", "MB"))
    for plan in plans:
        cells = [f"{size.parameters:,} {plan.share(size):.0%}" for size in plan.classes]
        table.add_row(str(plan.factor), *cells, f"{plan.parameters:,}", f"{plan.parameters * width / 1e6:,.1f}")
    return table


def outlook_json(outlook: Outlook) -> dict[str, Any]:
    """The same for scripts; what is not known is null."""
    return {"adapter": _adapter_json(outlook), "disk": [_need_json(need) for need in outlook.needs]}


def _need_json(need: Need) -> dict[str, Any]:
    return {"what": need.what, "folder": str(need.folder), "bytes": need.wanted, "free": need.free}


def _adapter_json(outlook: Outlook) -> dict[str, Any]:
    plan = outlook.adapter
    known = (
        {}
        if plan is None
        else {
            "method": plan.method,
            "parameters": plan.parameters,
            "bytes": plan.file_bytes,
            "classes": [
                {
                    "class": share.class_name,
                    "adapted": share.adapted,
                    "linears": share.linears,
                    "parameters": share.parameters,
                }
                for share in plan.shares
            ],
            "alpha_is_idle": plan.alpha_is_idle,
        }
    )
    return {**known, "lokr": [_factor_json(made) for made in outlook.lokr]}


def _factor_json(plan: FactorPlan) -> dict[str, Any]:
    classes = [
        {"class": size.class_name, "parameters": size.parameters, "share": plan.share(size)} for size in plan.classes
    ]
    return {"factor": plan.factor, "parameters": plan.parameters, "classes": classes}
