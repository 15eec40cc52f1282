"""Archives, bundles, searches and counts: byte for byte what stock git gives for the same repository."""

from __future__ import annotations

import fnmatch
import hashlib
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from google.protobuf.message import Message

from meshnode.base.errors import InvalidRequest, NotFound, RepositoryNotFound
from meshnode.v1 import repository_pb2 as pb
from tests.e2e.api.caller import Api
from tests.e2e.api.conftest import HISTORY, ODDITIES
from tests.e2e.api.oddities import HUGE_ENTRIES, ODD_PATHS, make_oddities
from tests.e2e.cluster import Cluster, git, list_refs

SERVICE = "RepositoryService"


def run(path: Path, *args: str, code: int = 0) -> bytes:
    done = subprocess.run(["git", *args], cwd=path, capture_output=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


def archive(api: Api, request: pb.GetArchiveRequest) -> bytes:
    first, *rest = api.stream(f"{SERVICE}/GetArchive", request, pb.GetArchiveResponse)
    assert first.position.generation > 0
    return b"".join(message.data for message in rest)


@pytest.mark.parametrize("revision", ["main", "v1.0", "octopus", "main~3", "tree-tag"])
@pytest.mark.parametrize("form", [("tar", pb.GetArchiveRequest.FORMAT_TAR), ("zip", pb.GetArchiveRequest.FORMAT_ZIP)])
def test_archive_is_the_one_git_makes(api: Api, oddities: Path, revision: str, form: tuple[str, int]) -> None:
    name, number = form
    request = pb.GetArchiveRequest(name=ODDITIES, revision=revision, prefix="a b/", format=number)  # type: ignore[arg-type]
    ours = archive(api, request)
    theirs = run(oddities, "archive", f"--format={name}", "--prefix=a b/", revision)
    if revision != "tree-tag":  # without a commit, git writes the time of day
        assert hashlib.sha1(ours).digest() == hashlib.sha1(theirs).digest()
    else:
        assert len(ours) == len(theirs)


def test_archive_of_some_paths_and_its_formats(api: Api, oddities: Path) -> None:
    assert oddities
    request = pb.GetArchiveRequest(name=ODDITIES, paths=[b"src", b'quo"te.txt', b":colon.txt", b"*star?.txt"])
    with tarfile.open(fileobj=io.BytesIO(archive(api, request)), mode="r:gz") as tar:
        names = {name.encode(errors="surrogateescape") for name in tar.getnames()}
    assert {b'quo"te.txt', b":colon.txt", b"*star?.txt", b"src/numbers.txt"} <= names
    assert not any(name.startswith((b"bin", b"-dash")) for name in names)
    request.format = pb.GetArchiveRequest.FORMAT_ZIP
    with zipfile.ZipFile(io.BytesIO(archive(api, request))) as packed:
        assert packed.testzip() is None


def test_archive_that_cannot_be_made_is_refused(api: Api, oddities: Path) -> None:
    assert oddities
    refused: list[tuple[pb.GetArchiveRequest, type[Exception]]] = [
        (pb.GetArchiveRequest(name=ODDITIES, revision="nothing"), NotFound),
        (pb.GetArchiveRequest(name=ODDITIES, paths=[b"src", b"no/such"]), NotFound),
        (pb.GetArchiveRequest(name=ODDITIES, paths=[b"../x"]), InvalidRequest),
        (pb.GetArchiveRequest(name=ODDITIES, prefix="/etc/"), InvalidRequest),
        (pb.GetArchiveRequest(name=ODDITIES, prefix="../"), InvalidRequest),
        (pb.GetArchiveRequest(name=ODDITIES, prefix="a\n"), InvalidRequest),
        (pb.GetArchiveRequest(name=ODDITIES, revision="main:empty.txt"), InvalidRequest),
        (pb.GetArchiveRequest(name="no/such"), RepositoryNotFound),
    ]
    for request, error in refused:
        with pytest.raises(error):
            archive(api, request)


def bundle(api: Api, request: pb.GetBundleRequest, file: Path) -> Path:
    first, *rest = api.stream(f"{SERVICE}/GetBundle", request, pb.GetBundleResponse)
    assert first.position.generation > 0
    file.write_bytes(b"".join(message.data for message in rest))
    return file


@pytest.mark.parametrize("name", [ODDITIES, HISTORY])
def test_bundle_of_everything_is_cloned_by_git(
    api: Api, oddities: Path, history: Path, name: str, tmp_path: Path
) -> None:
    source = oddities if name == ODDITIES else history
    file = bundle(api, pb.GetBundleRequest(name=name), tmp_path / "all.bundle")
    git("clone", "--quiet", "--mirror", str(file), str(tmp_path / "clone"))
    assert list_refs(tmp_path / "clone") == list_refs(source)
    run(tmp_path / "clone", "-c", "fsck.badTimezone=ignore", "fsck", "--connectivity-only")


def test_bundle_on_top_of_what_is_known(api: Api, history: Path, tmp_path: Path) -> None:
    known = run(history, "rev-parse", "main~20").decode().strip()
    request = pb.GetBundleRequest(name=HISTORY, references=["refs/heads/main"], known_oids=[known, "f" * 40])
    file = bundle(api, request, tmp_path / "some.bundle")
    git("clone", "--quiet", "--mirror", str(history), str(tmp_path / "clone"))
    run(tmp_path / "clone", "update-ref", "refs/heads/main", known)
    assert b"main" in run(tmp_path / "clone", "bundle", "list-heads", str(file))
    run(tmp_path / "clone", "fetch", "--quiet", str(file), "+refs/heads/*:refs/heads/*")
    assert run(tmp_path / "clone", "rev-parse", "main") == run(history, "rev-parse", "main")
    whole = bundle(api, pb.GetBundleRequest(name=HISTORY, references=["refs/heads/main"]), tmp_path / "whole.bundle")
    assert file.stat().st_size < whole.stat().st_size


def test_bundle_of_a_sha256_repository(api: Api, cluster: Cluster, name: str, tmp_path: Path) -> None:
    source = make_oddities(tmp_path / "source.git", object_format="sha256")
    cluster.meshnode("repo", "create", name, "--object-format", "sha256")
    git("push", "--quiet", "--mirror", cluster.url(1, name), cwd=source)
    file = bundle(api, pb.GetBundleRequest(name=name, references=["refs/heads/"]), tmp_path / "all.bundle")
    git("clone", "--quiet", "--mirror", str(file), str(tmp_path / "clone"))
    assert run(tmp_path / "clone", "rev-parse", "main") == run(source, "rev-parse", "main")


def test_bundle_of_nothing_is_refused(api: Api, oddities: Path, name: str) -> None:
    assert oddities
    api.call(f"{SERVICE}/Create", pb.CreateRequest(name=name), pb.CreateResponse)
    refused: list[tuple[pb.GetBundleRequest, type[Exception]]] = [
        (pb.GetBundleRequest(name=name), InvalidRequest),
        (pb.GetBundleRequest(name=ODDITIES, references=["refs/heads/no-such"]), NotFound),
        (pb.GetBundleRequest(name=ODDITIES, references=["refs/nothing/"]), InvalidRequest),
        (pb.GetBundleRequest(name=ODDITIES, known_oids=["xyz"]), InvalidRequest),
    ]
    for request, error in refused:
        with pytest.raises(error):
            api.stream(f"{SERVICE}/GetBundle", request, pb.GetBundleResponse)


def search(api: Api, request: pb.SearchContentRequest) -> list[pb.ContentMatch]:
    answers = api.stream(f"{SERVICE}/SearchContent", request, pb.SearchContentResponse)
    assert answers[0].position.generation > 0
    return [match for answer in answers for match in answer.matches]


@pytest.mark.parametrize(
    ("pattern", "options", "flags"),
    [
        (b"line 1", {}, ["-F"]),
        (b"LINE 1", {"ignore_case": True}, ["-F", "-i"]),
        (b"lin[ed] 1+$", {"is_regex": True}, ["-E"]),
        (b"one", {"whole_word": True}, ["-F", "-w"]),
        (b"hello", {"context_lines": 1}, ["-F", "-C1"]),
        (b"-e", {}, ["-F"]),
        (b"line", {"limit_per_file": 3}, ["-F", "-m3"]),
        (b"no such words", {}, ["-F"]),
    ],
)
def test_lines_are_those_git_grep_finds(
    api: Api, oddities: Path, pattern: bytes, options: dict[str, bool], flags: list[str]
) -> None:
    found = search(api, pb.SearchContentRequest(name=ODDITIES, revision="main", pattern=pattern, **options))  # type: ignore[arg-type]
    args = ["grep", "-I", "-z", "-n", "--column", "--no-color", *flags, "-e", pattern.decode(), "main", "--"]
    theirs = run(oddities, *args, code=0 if found else 1).replace(b"--\n", b"")
    ours = b"".join(
        b"main:%s\0%d\0%s%s\n" % (one.path, one.line_number, b"%d\0" % one.column if one.column else b"", one.line)
        for one in found
    )
    assert ours == theirs


def test_search_is_bounded_below_paths_and_honest(api: Api, oddities: Path) -> None:
    assert oddities
    request = pb.SearchContentRequest(name=ODDITIES, pattern=b"line", paths=[b"src/numbers.txt"], limit=10)
    answers = api.stream(f"{SERVICE}/SearchContent", request, pb.SearchContentResponse)
    assert sum(len(answer.matches) for answer in answers) == 10
    assert answers[-1].truncated
    request.limit = 10_000
    whole = api.stream(f"{SERVICE}/SearchContent", request, pb.SearchContentResponse)
    assert not whole[-1].truncated
    assert {match.path for answer in whole for match in answer.matches} == {b"src/numbers.txt"}
    for bad in (b"", b"a\nb", b"x" * 2_000):
        with pytest.raises(InvalidRequest):
            search(api, pb.SearchContentRequest(name=ODDITIES, pattern=bad))
    with pytest.raises(InvalidRequest):
        search(api, pb.SearchContentRequest(name=ODDITIES, pattern=b"(", is_regex=True))


def search_files(api: Api, request: pb.SearchFilesRequest) -> tuple[list[bytes], bool]:
    answers = api.stream(f"{SERVICE}/SearchFiles", request, pb.SearchFilesResponse)
    return [path for answer in answers for path in answer.paths], answers[-1].truncated


def test_files_are_found_by_parts_of_paths_and_globs(api: Api, oddities: Path) -> None:
    every = [path for path in run(oddities, "ls-tree", "-r", "-z", "--name-only", "main").split(b"\0") if path]
    files = [path for path in every if path != b"vendor/module"]
    assert set(ODD_PATHS) <= set(files)
    ours, is_truncated = search_files(api, pb.SearchFilesRequest(name=ODDITIES, revision="main", pattern=b"txt"))
    assert (ours, is_truncated) == ([path for path in files if b"txt" in path], False)
    glob = pb.SearchFilesRequest(name=ODDITIES, revision="main", pattern=b"src/*.TXT", is_glob=True, ignore_case=True)
    assert search_files(api, glob)[0] == [path for path in files if fnmatch.fnmatchcase(path.lower(), b"src/*.txt")]


def test_huge_tree_is_searched_up_to_the_limit(api: Api, oddities: Path) -> None:
    assert oddities
    request = pb.SearchFilesRequest(name=ODDITIES, revision="huge", pattern=b"many/", limit=20_000)
    paths, is_truncated = search_files(api, request)
    assert (len(paths), is_truncated) == (20_000, True)
    request.limit = 50_000
    paths, is_truncated = search_files(api, request)
    assert (len(paths), is_truncated) == (HUGE_ENTRIES, False)


def test_license_and_languages_of_a_tree(api: Api, oddities: Path) -> None:
    assert oddities
    found = api.call(f"{SERVICE}/FindLicense", pb.FindLicenseRequest(name=ODDITIES), pb.FindLicenseResponse)
    assert (found.spdx_id, found.path) == ("MIT", b"LICENSE")
    request = pb.FindLicenseRequest(name=ODDITIES, revision="unrelated")
    found = api.call(f"{SERVICE}/FindLicense", request, pb.FindLicenseResponse)
    assert (found.spdx_id, found.path) == ("", b"")
    for _ in range(2):
        languages = api.call(f"{SERVICE}/GetLanguages", pb.GetLanguagesRequest(name=ODDITIES), pb.GetLanguagesResponse)
        assert {one.name for one in languages.languages} == {"Python", "Bash"}


def test_stats_count_what_git_counts(api: Api, history: Path) -> None:
    stats = api.call(f"{SERVICE}/GetStats", pb.GetStatsRequest(name=HISTORY), pb.GetStatsResponse)
    refs = [ref for ref in list_refs(history) if ref != "HEAD" and not ref.endswith("^{}")]
    assert stats.references == len(refs)
    assert stats.branches == sum(ref.startswith("refs/heads/") for ref in refs)
    assert stats.tags == sum(ref.startswith("refs/tags/") for ref in refs)
    objects = len(run(history, "rev-list", "--objects", "--all").splitlines())
    assert stats.packed_objects + stats.loose_objects == objects
    assert stats.packs >= 1
    assert stats.pack_bytes > 0


def test_sound_repository_has_no_problems(api: Api, history: Path) -> None:
    assert history
    answer = api.call(f"{SERVICE}/Fsck", pb.FsckRequest(name=HISTORY), pb.FsckResponse)
    assert list(answer.problems) == []


def test_every_question_about_what_is_not_there_is_not_found(api: Api) -> None:
    unary: list[tuple[str, Message]] = [
        ("GetStats", pb.GetStatsRequest(name="no/such")),
        ("Fsck", pb.FsckRequest(name="no/such")),
        ("FindLicense", pb.FindLicenseRequest(name="no/such")),
        ("GetLanguages", pb.GetLanguagesRequest(name="no/such")),
    ]
    for method, request in unary:
        assert isinstance(api.error(f"{SERVICE}/{method}", request), RepositoryNotFound)
