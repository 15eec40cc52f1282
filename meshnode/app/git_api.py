"""Gives the services that read and make objects their parts: git's readers, workshops and this node's engine."""

from __future__ import annotations

from meshnode.app.parts import NodeParts
from meshnode.engine.operations import ApiOperations
from meshnode.engine.recipes import RecipeBook
from meshnode.engine.slots import KeyedLocks
from meshnode.engine.system import SystemEntropy
from meshnode.git.commit_sources import open_commits
from meshnode.git.contents import GitContents
from meshnode.git.diffs import GitDiffs
from meshnode.git.previews import GitMergePreviews
from meshnode.git.revisions import GitRevisions
from meshnode.git.trees import GitTrees
from meshnode.git.unpacker import GitUnpacker
from meshnode.ports import Revisions
from meshnode.rpc.answer_cache import AnswerCache
from meshnode.rpc.forward import Forwarder
from meshnode.rpc.forward_stream import StreamForwarder
from meshnode.rpc.git_api import GitApi
from meshnode.rpc.object_reads import ObjectReads


def make_git_api(parts: NodeParts, forwarder: Forwarder) -> GitApi:
    """What these services share."""
    config, engine, own = parts.config, parts.engine, parts.identity.node
    trees = GitTrees(parts.objects, parts.queries)
    commits = open_commits(parts.objects, parts.queries, trees)
    revisions = GitRevisions(parts.objects)
    return GitApi(
        object_reads=ObjectReads(
            own=own,
            reads=engine.reads,
            objects=parts.objects,
            revisions=revisions,
            cache=AnswerCache(),
        ),
        forwarder=forwarder,
        streams=StreamForwarder(
            own=own,
            router=engine.router,
            membership=engine.membership,
            remote=parts.peers,
            clock=parts.clock,
            entropy=SystemEntropy(),
        ),
        events=engine.feed,
        contents=GitContents(parts.queries),
        replicas=engine.world.disk.reader,
        clock=parts.clock,
        trees=trees,
        diffs=GitDiffs(parts.objects, parts.queries, parts.diffs),
        commits=commits,
        previews=GitMergePreviews(parts.objects, commits.ancestry, parts.workshops),
        operations=_make_operations(parts, revisions),
        imports=engine.imports,
        unpacker=GitUnpacker(parts.replicas, config.push),
        membership=engine.membership,
    )


def _make_operations(parts: NodeParts, revisions: Revisions) -> ApiOperations:
    config, engine = parts.config, parts.engine
    return ApiOperations(
        writer=engine.writer,
        workshops=parts.workshops,
        recipes=RecipeBook(revisions=revisions, settings=config.operations),
        supervisor=engine.supervisor,
        places=KeyedLocks(config.limits),
        on_damaged=engine.reads.report_damage,
    )
