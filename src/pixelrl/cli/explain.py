"""``pixelrl explain``: what every pixel did, why, and what it was worth, as a page, a sheet or an animation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pixelrl.cli.common import DEVICE_OPTION, PATH, STANDARD, check_file, complain, parse_region, read_reference
from pixelrl.cli.outputs import check_apart, check_place, make_folder
from pixelrl.errors import UsageError
from pixelrl.policy_files import find_policy, shipped_policies

if TYPE_CHECKING:
    from pixelrl.agent import Agent
    from pixelrl.trace import Trace

_ENDINGS = (".html", ".png", ".gif", ".webp")


@click.command()
@click.argument("trace", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="report.html; or a strip.png, film.gif or film.webp.")
@click.option("--reference", type=PATH, help="The clean picture, if there is one: adds PSNRs, rewards and worth.")
@click.option("--policy", help="The policy that chose: a name or a file. Default: found by the name in the trace.")
@click.option(
    "--region",
    callback=parse_region,
    metavar="X0,Y0,X1,Y1",
    help="What to show pixel by pixel, in pixels as they are stored, which the page counts, too.",
)
@DEVICE_OPTION
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
def explain(
    trace: Path,
    output: Path,
    reference: Path | None,
    policy: str | None,
    region: tuple[int, int, int, int] | None,
    device: str,
    overwrite: bool,
) -> None:
    """Explain a TRACE: one HTML page to look into, or (by the ending of -o) a sheet or an animation."""
    check_file(trace, "trace", "a trace, as --trace writes it")
    ending = output.suffix.lower()
    if output != STANDARD and ending not in _ENDINGS:
        raise UsageError(f"{output}: the ending {output.suffix!r} is not known; {', '.join(_ENDINGS)} can be written")
    if output != STANDARD and ending != ".html":
        for name, value in {"--policy": policy, "--region": region}.items():
            if value is not None:
                raise UsageError(f"{name} is for the page; leave it out, or give -o a name that ends in .html")
    check_place(output, overwrite=overwrite)
    if reference is not None:
        check_file(reference, "--reference", "the clean picture")
    beside = [] if reference is None else [("the reference", reference)]
    if policy is not None:
        beside.append(("the policy", find_policy(policy)))
    check_apart([("-o", output)], [("the trace", trace), *beside])

    from pixelrl.agent import load
    from pixelrl.pictures.atomic import written_whole
    from pixelrl.report.animation import draw
    from pixelrl.report.asked import chooser
    from pixelrl.report.page import report_html
    from pixelrl.trace import load_trace

    recorded = load_trace(trace)
    clean = None if reference is None else read_reference(reference, recorded)
    if ending != ".html":
        make_folder(output.parent)
        draw(output, recorded, clean, overwrite=overwrite)
    else:
        known = policy or (recorded.policy if recorded.policy in shipped_policies() else None)
        agent = None if known is None else load(known, device)
        if policy is not None and agent is not None:
            _check_chose(policy, recorded, agent)
        try:
            chooser(recorded, agent)
        except UsageError as error:
            complain(f"{output}: the policy's probabilities are not shown: {error}")
        page = report_html(recorded, clean, agent, region)
        make_folder(output.parent)
        try:
            with written_whole(output) as temporary:
                temporary.write_text(page, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{output} cannot be written: {error.strerror}") from error
    click.echo(str(output))


def _check_chose(policy: str, trace: Trace, agent: Agent) -> None:
    """Refuse a policy that a person named and that cannot have made the trace; say so if it is another than that says.

    Raises:
        UsageError: it cannot.
    """
    from pixelrl.report.asked import fitting

    try:
        fitting(trace, agent)
    except UsageError as error:
        raise UsageError(
            f"--policy {policy} cannot have chosen here (the trace says {trace.policy}): {error}"
        ) from error
    if agent.name != trace.policy:
        complain(
            f"the trace says that {trace.policy} chose, and not {agent.name}, of which --policy shows what it thinks"
        )
