"""`meshnode repo scrub` and `meshnode repo accept-data-loss`: look for damage, and decide where only people may.

Rule: giving up writes shows first what is known to be lost, and asks; nothing here does it by default.
"""

from __future__ import annotations

from typing import Any, Final

import click

from meshnode.base.ids import parse_node_id, parse_repository_name
from meshnode.cli.client import ask
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.cli.output import print_facts, print_json, print_note, print_table, progress, yes_no
from meshnode.cli.target import Target, json_option, target_options
from meshnode.v1 import maintenance_pb2 as pb

_SERVICE: Final = "/mesh.v1.MaintenanceService/"
_SCRUB_MS: Final = 3_600_000
"""Reading a large repository takes minutes; the node's own limit is usually shorter, and it says so then."""
_LOSS_MS: Final = 60_000
_VERDICTS: Final = {
    pb.ReplicaScrub.VERDICT_SOUND: "sound",
    pb.ReplicaScrub.VERDICT_UNFINISHED: "unfinished",
    pb.ReplicaScrub.VERDICT_DAMAGED: "damaged",
}
_REFS_SHOWN: Final = 3


@click.command()
@click.argument("name")
@target_options
@json_option
@click.pass_context
def scrub(ctx: click.Context, target: Target, name: str, *, is_json: bool) -> None:
    """Have every replica read all it holds; damaged ones take themselves out. Exit code 1 unless all are sound."""
    request = pb.ScrubRepositoryRequest(name=parse_repository_name(name))
    with progress(f"scrubbing the replicas of {name}"):
        answer = ask(target, _SERVICE + "ScrubRepository", request, pb.ScrubRepositoryResponse, timeout_ms=_SCRUB_MS)
    replicas = [_describe_scrub(replica) for replica in answer.replicas]
    if is_json:
        print_json({"name": answer.name, "ok": answer.ok, "replicas": replicas})
    else:
        print_table(
            ["node", "verdict", "generation", "found", "done", "damaged copy"],
            [
                [
                    replica["node"],
                    replica["verdict"],
                    str(replica["generation"]),
                    "; ".join(replica["findings"]) or "nothing",
                    replica["action"] or "nothing",
                    replica["kept"] or "-",
                ]
                for replica in replicas
            ],
        )
        click.echo("ok: every replica is sound" if answer.ok else "NOT ok: see what was found")
    ctx.exit(ExitCode.OK if answer.ok else ExitCode.CHECK_FAILED)


@click.command()
@click.argument("name")
@target_options
@json_option
@click.pass_context
def optimize(ctx: click.Context, target: Target, name: str, *, is_json: bool) -> None:
    """Have every replica combine its packs now, one after the other. Exit code 1 unless all did."""
    request = pb.OptimizeRepositoryRequest(name=parse_repository_name(name))
    with progress(f"optimising the replicas of {name}"):
        answer = ask(
            target,
            _SERVICE + "OptimizeRepository",
            request,
            pb.OptimizeRepositoryResponse,
            is_write=True,
            timeout_ms=_SCRUB_MS,
        )
    replicas = [
        {
            "node": replica.node,
            "packs_before": replica.packs_before,
            "packs_after": replica.packs_after,
            "note": replica.note,
        }
        for replica in answer.replicas
    ]
    if is_json:
        print_json({"name": answer.name, "ok": answer.ok, "replicas": replicas})
    else:
        rows = [[str(value) or "-" for value in replica.values()] for replica in replicas]
        print_table(["node", "packs before", "packs after", "note"], rows)
    ctx.exit(ExitCode.OK if answer.ok else ExitCode.CHECK_FAILED)


@click.command("accept-data-loss")
@click.argument("name")
@click.option("--node", required=True, help="Whose replica becomes the truth.")
@click.option("--dry-run", is_flag=True, help="Say what would be lost; change nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@target_options
@json_option
def accept_data_loss(target: Target, name: str, node: str, *, dry_run: bool, yes: bool, is_json: bool) -> None:
    """Make one replica the truth where no consistent one is left.

    Writes that only other replicas had are lost for good. Refused while a consistent replica answers.
    """
    request = pb.AcceptDataLossRequest(name=parse_repository_name(name), node=parse_node_id(node), dry_run=True)
    plan = _ask_loss(target, request, is_write=False)
    if dry_run or plan.obstacle:
        _print_plan(plan, is_json=is_json)
    if plan.obstacle:
        raise CommandError(
            "nothing may be given up here",
            reason=plan.obstacle,
            advice="`meshnode repo show` tells who has what",
            exit_code=ExitCode.REFUSED,
        )
    if dry_run:
        return
    if not yes:
        _print_plan(plan, is_json=False)
        click.confirm(f"Make {node}'s replica of {name} the truth for good?", abort=True, err=True)
    request.dry_run = False
    done = _ask_loss(target, request, is_write=True)
    _print_plan(done, is_json=is_json)
    if not is_json:
        click.echo(f"{node}'s replica of {name} is the truth now, as generation {done.new_generation}")


def _ask_loss(target: Target, request: pb.AcceptDataLossRequest, *, is_write: bool) -> pb.AcceptDataLossResponse:
    return ask(
        target,
        _SERVICE + "AcceptDataLoss",
        request,
        pb.AcceptDataLossResponse,
        is_write=is_write,
        timeout_ms=_LOSS_MS,
    )


def _print_plan(plan: pb.AcceptDataLossResponse, *, is_json: bool) -> None:
    if is_json:
        print_json(_describe_plan(plan))
        return
    gone = max(0, plan.generation - plan.chosen_generation)
    print_facts(
        [
            ("name", plan.name),
            ("becomes the truth", plan.node),
            ("published last", f"generation {plan.generation}"),
            (f"{plan.node} has", f"generation {plan.chosen_generation}"),
            ("given up", f"{gone} published writes, {len(plan.lost)} of them known"),
        ]
    )
    print_table(
        ["node", "believed", "generation", "trouble"],
        [[one.node, yes_no(one.believed), str(one.generation), one.trouble or "none"] for one in plan.members],
    )
    if plan.lost:
        print_table(
            ["generation", "round", "by", "references", "known to"],
            [
                [str(lost.generation), lost.round_id, lost.actor, _some(list(lost.refs)), lost.known_to]
                for lost in plan.lost
            ],
        )
    if plan.obstacle:
        print_note(f"refused: {plan.obstacle}")


def _some(names: list[str]) -> str:
    more = len(names) - _REFS_SHOWN
    return ", ".join(names[:_REFS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _describe_scrub(replica: pb.ReplicaScrub) -> dict[str, Any]:
    return {
        "node": replica.node,
        "verdict": _VERDICTS.get(replica.verdict, "unknown"),
        "generation": replica.generation,
        "findings": list(replica.findings),
        "action": replica.action,
        "kept": replica.kept,
    }


def _describe_plan(plan: pb.AcceptDataLossResponse) -> dict[str, Any]:
    return {
        "name": plan.name,
        "node": plan.node,
        "generation": plan.generation,
        "chosen_generation": plan.chosen_generation,
        "new_generation": plan.new_generation,
        "obstacle": plan.obstacle,
        "members": [
            {"node": one.node, "believed": one.believed, "generation": one.generation, "trouble": one.trouble}
            for one in plan.members
        ],
        "lost": [
            {
                "round_id": lost.round_id,
                "generation": lost.generation,
                "actor": lost.actor,
                "refs": list(lost.refs),
                "known_to": lost.known_to,
            }
            for lost in plan.lost
        ],
    }
