"""Turns scrub reports and loss plans into messages. Nothing is read back: operators read them."""

from __future__ import annotations

from typing import Final

from meshnode.base.ids import NodeId
from meshnode.core.scrub import Verdict
from meshnode.ports import LossPlan, ScrubReport, UpkeepReport
from meshnode.v1 import maintenance_pb2 as pb

TEXT_CHARS_MAX: Final = 500
FINDINGS_MAX: Final = 50
REFS_MAX: Final = 50
"""References that one lost round names; a mirror push changes thousands."""

_VERDICTS: Final = {
    Verdict.SOUND: pb.ReplicaScrub.VERDICT_SOUND,
    Verdict.UNFINISHED: pb.ReplicaScrub.VERDICT_UNFINISHED,
    Verdict.DAMAGED: pb.ReplicaScrub.VERDICT_DAMAGED,
}


def scrub_message(report: ScrubReport) -> pb.ReplicaScrub:
    """What a node found of its replica."""
    return pb.ReplicaScrub(
        node=report.node,
        verdict=_VERDICTS[report.verdict],
        findings=[_text(finding) for finding in report.findings[:FINDINGS_MAX]],
        action=_text(report.action),
        kept=_text(report.kept),
        generation=report.generation,
    )


def upkeep_message(node: NodeId, report: UpkeepReport) -> pb.ReplicaUpkeep:
    """What a node did to its replica's packs."""
    return pb.ReplicaUpkeep(
        node=node,
        packs_before=report.packs_before,
        packs_after=report.packs_after,
        removed=report.removed,
        note=_text(report.note),
    )


def loss_message(plan: LossPlan) -> pb.AcceptDataLossResponse:
    """What making a replica the truth means, or meant."""
    return pb.AcceptDataLossResponse(
        name=plan.name,
        node=plan.chosen,
        generation=plan.record.generation,
        chosen_generation=plan.chosen_generation,
        new_generation=plan.new_generation,
        members=[
            pb.MemberAccount(
                node=member.node,
                believed=member.is_believed,
                generation=member.generation,
                trouble=_text(member.trouble),
            )
            for member in plan.members
        ],
        lost=[
            pb.LostRound(
                round_id=lost.round_id,
                generation=lost.generation,
                actor=lost.actor,
                refs=lost.refs[:REFS_MAX],
                known_to=lost.known_to,
            )
            for lost in plan.lost
        ],
        obstacle=plan.obstacle,
    )


def _text(text: str) -> str:
    return text[:TEXT_CHARS_MAX].encode("utf-8", "backslashreplace").decode()
