"""A plan in words, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from simpletuner.assemble.planning.figures import (
    Alternative,
    RunPlan,
    SeeingFigures,
    SizeFigures,
    StepFigures,
)
from simpletuner.core.disk import shown_bytes
from simpletuner.observe.progress import plural, printable

Pairs = Iterator[tuple[str, str]]

_SHOWN_SHAPES = 40
_LABEL = 14
_NOT_FIT = "does not fit"


def show(console: Console, plan: RunPlan, others: Sequence[Alternative], now: datetime) -> None:
    """Print every shape, the whole run in lines, and what else was tried."""
    console.print(Group("", Text(_where(plan), style="dim"), "", _shapes(plan)))
    for found in plan.shapes:
        if found.said:
            console.print(Text(f"  {printable(found.shape.name)}: {printable(found.said)}", style="yellow"))
    console.print()
    for label, text in lines(plan, now):
        console.print(_pair(label, text))
    if others:
        console.print(
            Group(
                "",
                Text(f"instead, for the largest shape ({plan.shapes[0].shape.size}):"),
                _others(others, plan.shapes[0].seconds),
            )
        )
    if not plan.fits:
        told = "nothing of this run fits" if plan.nothing_fits else "not every shape fits: this run would end at one"
        console.print(_pair("verdict", told, "bold red"))


def _where(plan: RunPlan) -> str:
    machine = plan.machine
    memory = f", {shown_bytes(machine.memory)}" if machine.memory else ""
    beside = ""
    if machine.processes > 1:
        beside = f"; one of {machine.processes} processes, without what they exchange"
    return f"measured on {machine.device}{memory}{beside}; peak is {_peak_is(plan)}"


def _peak_is(plan: RunPlan) -> str:
    return "what torch had in use on the card" if plan.machine.kind == "cuda" else "the whole process in memory"


def _shapes(plan: RunPlan) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), header_style="dim")
    for name in ("data set", "size"):
        table.add_column(name, no_wrap=True)
    for name in ("batch", "updates", "an epoch", "tokens", "peak", "s/step"):
        table.add_column(name, justify="right", no_wrap=True)
    for found in plan.shapes[:_SHOWN_SHAPES]:
        table.add_row(*_row(found))
    if len(plan.shapes) > _SHOWN_SHAPES:
        table.add_row("...", f"{len(plan.shapes) - _SHOWN_SHAPES} smaller")
    return table


def _row(found: StepFigures) -> tuple[str, ...]:
    shape = found.shape
    slices = -(-shape.pictures // shape.micro_batch)
    batch = f"{shape.micro_batch}" if slices == 1 else f"{shape.micro_batch} x {slices}"
    peak = shown_bytes(found.peak.used) if found.fits else _NOT_FIT
    seconds = "" if found.seconds is None else f"{found.seconds:.3g}"
    counts = f"{shape.updates:,}", f"{shape.per_epoch:,}", f"{shape.longest_tokens:,}"
    return printable(shape.dataset), shape.size, batch, *counts, peak, seconds


def lines(plan: RunPlan, now: datetime) -> Pairs:
    """The run as a whole, each line with its label; ``now`` is when it would begin."""
    yield "run", f"{plural(plan.steps, 'update')}, {plural(plan.epochs, 'epoch')} of {plan.updates_per_epoch:,}"
    if plan.saving is None:
        # Only updates were measured.
        return
    parts = ", ".join(f"{what} {_span(seconds)}" for what, seconds in plan.seconds.items() if seconds >= 1)
    yield "time", parts or "less than a second"
    yield "", f"about {_span(plan.total)}; ends about {_clock(now + timedelta(seconds=plan.total), now)}"
    caching, saving = plan.caching, plan.saving
    yield "cache", f"{plural(caching.latents, 'latent')} missing, {shown_bytes(caching.bytes)} with captions"
    yield "checkpoints", f"{plural(saving.count, 'save')} of {shown_bytes(saving.each)}, {saving.kept:,} kept"
    free = "" if saving.free is None else f"; {shown_bytes(saving.free)} are free in {saving.folder}"
    yield "disk", f"about {shown_bytes(caching.bytes + saving.bytes)}{free}"
    yield from _seen("validation", "picture", plan.validation)
    yield from _seen("evaluation", "measured picture", plan.evaluation)


def _seen(label: str, noun: str, found: SeeingFigures) -> Pairs:
    for number, size in enumerate(found.sizes):
        what = f"{plural(size.count, noun)} of {size.size}"
        told = f"{size.each:.3g} s each, peak {shown_bytes(size.peak.used)}" if size.peak else _NOT_FIT
        yield "" if number else label, f"{what}: {told}"


def _others(others: Sequence[Alternative], now: float | None) -> Table:
    """``now`` are the seconds of an update as the run is."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("options", overflow="fold")
    for name in ("peak", "s/step", "times"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for one in others:
        peak = shown_bytes(one.peak) if one.fits and one.peak is not None else _NOT_FIT if one.peak is not None else "-"
        seconds = "" if one.seconds is None else f"{one.seconds:.3g}"
        times = f"{one.seconds / now:.2f}" if one.seconds and now else ""
        table.add_row(Text("\n".join(one.words)), peak, seconds, times, Text(printable(one.said)))
    return table


def _pair(label: str, text: str, style: str = "") -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=_LABEL, style="dim", no_wrap=True)
    grid.add_column(overflow="fold", style=style)
    grid.add_row(Text(f"  {label}"), Text(printable(text)))
    return grid


def _span(seconds: float) -> str:
    """``45 s``, ``12 min``, ``5 h 50 min``, ``3 d 4 h``."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours = round(seconds / 3600)
    return f"{minutes // 60} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _clock(end: datetime, now: datetime) -> str:
    """The hour, with the day of the week, or of the month where a week is not enough."""
    return f"{end:%a %H:%M}" if end - now < timedelta(days=6) else f"{end:%d %b %H:%M}"


def plan_json(plan: RunPlan, others: Sequence[Alternative]) -> dict[str, Any]:
    """Everything for scripts, with units in the names; what was not measured is null or empty."""
    machine, saving = plan.machine, plan.saving
    return {
        "name": plan.name,
        "device": machine.device,
        "device_kind": machine.kind,
        "memory_bytes": machine.memory,
        "peak_is": _peak_is(plan),
        "processes": machine.processes,
        "steps": plan.steps,
        "epochs": plan.epochs,
        "updates_per_epoch": plan.updates_per_epoch,
        "problems": list(plan.problems),
        "fits": plan.fits,
        "shapes": [_shape_json(found) for found in plan.shapes],
        "caching": {
            "latents_missing": plan.caching.latents,
            "bytes": plan.caching.bytes,
            "bytes_by_folder": {str(folder): size for folder, size in plan.caching.by_folder.items()},
            "sizes": [_size_json(size) for size in plan.caching.sizes],
        },
        "validation": _seen_json(plan.validation),
        "evaluation": _seen_json(plan.evaluation),
        "checkpoints": None
        if saving is None
        else {
            "count": saving.count,
            "kept": saving.kept,
            "bytes_each": saving.each,
            "bytes_final": saving.final,
            "bytes": saving.bytes,
            "seconds_each": saving.seconds_each,
            "folder": str(saving.folder),
            "free_bytes": saving.free,
        },
        "seconds": {**plan.seconds, "total": plan.total},
        "alternatives": [_other_json(one) for one in others],
    }


def _shape_json(found: StepFigures) -> dict[str, Any]:
    shape = found.shape
    return {
        "dataset": shape.dataset,
        "bucket": shape.bucket,
        "size": shape.size,
        "micro_batch": shape.micro_batch,
        "pictures_per_update": shape.pictures,
        "updates": shape.updates,
        "updates_per_epoch": shape.per_epoch,
        "longest_prompt_tokens": shape.longest_tokens,
        "reference_pictures": shape.references,
        "fits": found.fits,
        "pictures_at_once": found.at_once,
        "peak_bytes": found.peak.used,
        "peak_reserved_bytes": found.peak.reserved,
        "seconds_per_step": found.seconds,
        "first_step_seconds": found.first,
        "steps_timed": found.timed,
        "said": found.said,
    }


def _seen_json(found: SeeingFigures) -> dict[str, Any]:
    return {"times": found.times, "seconds": found.seconds, "sizes": [_size_json(size) for size in found.sizes]}


def _size_json(size: SizeFigures) -> dict[str, Any]:
    peak = None if size.peak is None else size.peak.used
    return {"size": size.size, "pictures": size.count, "seconds_each": size.each, "peak_bytes": peak}


def _other_json(one: Alternative) -> dict[str, Any]:
    return {
        "options": list(one.words),
        "fits": one.fits,
        "peak_bytes": one.peak,
        "seconds_per_step": one.seconds,
        "pictures_at_once": one.at_once,
        "said": one.said,
    }
