"""`normwise configure`: what a data folder is like, and a recipe for it."""

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from normwise.cli.console import Format, output, print_json

if TYPE_CHECKING:
    from normwise.data.fingerprint import Fingerprint
    from normwise.workflows.configure import Configuration


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("configure")(configure)


def configure(
    data: Annotated[Path, typer.Argument(help="A data folder or .csv.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The recipe to write, for `normwise train`.")
    ] = Path("recipe.yaml"),
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Overrule a choice; may be repeated."),
    ] = None,
    budget: Annotated[
        str, typer.Option(help="The time that the training may take: 10min, 90s, 1h.")
    ] = "8min",
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="4GB",
            help="The memory that the training may use, of which half is planned for; by default "
            "what is free.",
        ),
    ] = None,
    preview: Annotated[
        Path | None, typer.Option(help="Draw patches as the network sees them: a .png file.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace these files.")] = False,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.text,
) -> None:
    """Look at a data folder, choose every setting with a reason, and write a recipe."""
    from normwise.workflows.configure import configure as workflow  # noqa: PLC0415 - light start-up

    found = workflow(
        data,
        settings=settings or (),
        out=out,
        budget=budget,
        memory=memory,
        preview=preview,
        overwrite=overwrite,
    )
    if format is Format.json:
        print_json(found.to_dict())
        return
    _print_fingerprint(found.fingerprint)
    _print_choices(found)
    if preview is not None:
        output.print(f"Patches drawn to {preview}", highlight=False, markup=False)
    output.print(f"Recipe written to {out}", highlight=False, markup=False)
    output.print(f"Next: normwise train {out}", highlight=False, markup=False)


def _print_fingerprint(found: "Fingerprint") -> None:
    splits = ", ".join(f"{count} {split}" for split, count in found.images.items())
    sizes = " to ".join(" x ".join(map(str, size)) for size in (found.smallest, found.largest))
    nodata = "" if found.nodata is None else f", nodata {found.nodata:g}"
    output.print(f"[bold]{found.task}[/], images: {splits}", highlight=False)
    output.print(f"{sizes} pixels, {found.dtype}{nodata}", highlight=False, markup=False)
    output.print(_channels(found))
    if found.classes:
        output.print(_classes(found))
    if found.targets:
        output.print(_targets(found))
    _print_relations(found)
    for note in found.notes:
        output.print(f"Note: {note}", highlight=False, markup=False)
    _print_leaks(found)


def _table(title: str, *heads: str) -> Any:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    for index, head in enumerate(heads):
        table.add_column(head, justify="left" if index == 0 else "right")
    return table


def _channels(found: "Fingerprint") -> Any:
    table = _table(
        "Channels (training images)",
        *("channel", "min", "1 %", "median", "99 %", "max", "mean", "std", "tails", "missing"),
        *("contrast", "between"),
    )
    for channel, exposure in zip(found.channels, found.exposure, strict=True):
        _, low, _, median, _, high, _ = channel.percentiles
        numbers = (channel.minimum, low, median, high, channel.maximum, channel.mean, channel.std)
        table.add_row(
            escape(channel.name),
            *(f"{number:.4g}" for number in numbers),
            "-" if channel.tails is None else f"{channel.tails:.1f}",
            f"{channel.missing:.1%}",
            "-" if exposure.contrast is None else f"{exposure.contrast:.1f}x",
            f"{exposure.between:.0%}",
        )
    table.caption = (
        "tails: the farther of the 0.1 and 99.9 percentiles from the median, in standard "
        "deviations by the quartiles (3.1 if normal); contrast: of images, 90th by 10th "
        "percentile; between: share of variance between images"
    )
    return table


def _classes(found: "Fingerprint") -> Any:
    table = _table(
        "Classes", "class", "pixels", "in images", "objects", "5 %", "median size", "95 %"
    )
    for part in found.classes:
        sizes = part.objects
        spread = (f"{n:.0f}" for n in (sizes.smallest, sizes.median, sizes.largest))
        table.add_row(
            escape(part.name), f"{part.share:.2%}", f"{sizes.images:.0%}", f"{sizes.count}", *spread
        )
    return table


def _targets(found: "Fingerprint") -> Any:
    table = _table(
        "Targets", "target", "min", "median", "max", "mean", "std", "missing", "goes with", "linear"
    )
    for target, said in zip(found.targets, found.relations, strict=True):
        numbers = (target.minimum, target.percentiles[3], target.maximum, target.mean, target.std)
        table.add_row(
            escape(target.name),
            *(f"{number:.4g}" for number in numbers),
            f"{target.missing:.1%}",
            f"{escape(said.channel)} (r {said.correlation:.2f})",
            f"{said.linear:.1%}",
        )
    return table


def _print_relations(found: "Fingerprint") -> None:
    names = [channel.name for channel in found.channels]
    pairs = [
        (abs(found.correlation[a][b]), names[a], names[b], found.correlation[a][b])
        for a in range(len(names))
        for b in range(a)
        if not isnan(found.correlation[a][b])
    ]
    if pairs:
        _, a, b, r = max(pairs)
        mean = sum(pair[0] for pair in pairs) / len(pairs)
        output.print(
            f"Correlation between channels: |r| {mean:.2f} on average, most {b} and {a} ({r:.2f})",
            highlight=False,
            markup=False,
        )


def _print_leaks(found: "Fingerprint") -> None:
    shown = 5
    for leak in found.leaks[:shown]:
        output.print(
            f"[yellow]Warning:[/] {escape(leak.first)} ({leak.splits[0]}) and "
            f"{escape(leak.second)} ({leak.splits[1]}) look like "
            f"{'the same image' if leak.kind == 'near-duplicate' else 'neighbours'} "
            f"(r {leak.likeness:.2f}): scores may be too good",
            highlight=False,
        )
    if len(found.leaks) > shown:
        output.print(f"  and {len(found.leaks) - shown} more such pairs", highlight=False)


def _print_choices(found: "Configuration") -> None:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, title="Choices", title_justify="left", title_style="bold")
    table.add_column("setting", no_wrap=True)
    table.add_column("value")
    table.add_column("reason")
    for choice in found.choices:
        value = list(choice.value) if isinstance(choice.value, tuple) else choice.value
        table.add_row(choice.key, escape(str(value)), escape(choice.reason))
    output.print(table)
