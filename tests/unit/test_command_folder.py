"""The folder of commands: what is read, what is written, and what is not."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands import folder as folders
from orchestrator.commands.folder import Folder
from orchestrator.commands.keeper import Keeper
from worker_client.contract.commands import Argument, CreateCommand, UpdateCommand
from worker_client.errors import Conflict, NotFound, OrchestratorError, PayloadTooLarge, ValidationFailed

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "commands"


@pytest.fixture
def keeper(root: Path) -> Keeper:
    return Keeper(root, lambda _: None)


def place(root: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = root / f"{name.replace('__', '/')}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def aged(root: Path) -> None:
    """As if nothing had changed for long."""
    for path in root.rglob("*.md"):
        os.utime(path, ns=(10**18, 10**18))


def everything(root: Path) -> list[Path]:
    return sorted(root.rglob("*"))


def problems(folder: Folder) -> dict[str, str]:
    return {name: one.problem for name, one in folder.commands.items() if one.problem is not None}


def test_it_reads_files_in_folders(root: Path) -> None:
    assert not Folder(root).look()
    place(root, review="R", git__fix="---\ndescription: F\n---\nG", a__b__c="D", Big="x", _hidden="x", empty="")
    place(root, **{".dot": "x", "git__.dot": "x"})
    (root / "notes.txt").write_text("x")
    folder = Folder(root)
    assert folder.look()
    assert sorted(folder.commands) == ["Big", "_hidden", "a/b/c", "empty", "git/fix", "review"]
    assert folder.commands["git/fix"].description == "F"
    assert sorted(problems(folder)) == ["Big", "_hidden", "empty"]


def test_a_change_is_seen_and_nothing_is_read_twice(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(root, a="A", b="B")
    aged(root)
    folder, reads = Folder(root), []
    read = folders._text

    def counted(path: str) -> str:
        reads.append(Path(path).stem)
        return read(path)

    monkeypatch.setattr(folders, "_text", counted)
    assert folder.look()
    assert reads == ["a", "b"]
    assert not folder.look()
    assert reads == ["a", "b"]
    place(root, a="other")
    assert folder.look()
    assert folder.commands["a"].body == "other"
    # Of the same size, and so soon after that its time may be the same.
    place(root, a="again")
    assert folder.look()
    assert folder.commands["a"].body == "again"
    (root / "b.md").unlink()
    assert folder.look()
    assert list(folder.commands) == ["a"]
    assert "b" not in reads[2:]


def test_links_that_lead_out_are_not_followed(root: Path, tmp_path: Path) -> None:
    place(root, real="x", sub__real="y")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.md").write_text("secret")
    (root / "out.md").symlink_to(tmp_path / "outside" / "secret.md")
    (root / "away").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root)
    (root / "within.md").symlink_to(root / "real.md")
    (root / "broken.md").symlink_to(root / "nowhere.md")
    (root / "beside").symlink_to(f"{root}-other")
    Path(f"{root}-other").mkdir()
    folder = Folder(root)
    folder.look()
    assert sorted(folder.commands) == ["away", "beside", "out", "real", "sub/real", "within"]
    assert folder.commands["within"].body == "x"
    assert sorted(problems(folder)) == ["away", "beside", "out"]
    assert "secret" not in str(folder.commands)
    for name in ("out", "away/new", "loop/new", "within"):
        with pytest.raises(OSError, match="is a link"):
            folder.write(name, "evil", fresh=False)
    with pytest.raises(OSError, match="is a link"):
        folder.drop("away/secret")
    assert (tmp_path / "outside" / "secret.md").read_text() == "secret"
    assert sorted(path.name for path in (tmp_path / "outside").iterdir()) == ["secret.md"]


def test_a_folder_that_is_a_link_is_the_folder_itself(root: Path, tmp_path: Path) -> None:
    place(root, a="A")
    (tmp_path / "link").symlink_to(root)
    folder = Folder(tmp_path / "link")
    folder.look()
    assert folder.commands["a"].problem is None


def test_what_cannot_be_read_says_why(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(root, big="x" * 1_000_001, a="x" * 300, b="x" * 300, c="x")
    (root / "latin.md").write_bytes(b"caf\xe9")
    os.mkfifo(root / "pipe.md")
    (root / os.fsdecode(b"caf\xe9.md")).write_text("x")
    (root / "folder.md").mkdir()
    monkeypatch.setattr(folders, "MOST_BYTES", 500)
    folder = Folder(root)
    folder.look()
    said = problems(folder)
    assert "more than 1,000,000 bytes" in said["big"]
    assert "more than 500 bytes" in said["b"]
    assert "UTF-8" in said["latin"]
    assert "no file" in said["pipe"]
    assert "its name" in said["caf\ufffd"]
    assert folder.commands["c"].body == "x"
    monkeypatch.setattr(folders, "MOST_FILES", 2)
    folder.look()
    assert len(folder.commands) == 2


def test_a_file_that_may_not_be_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(root, a="A", b="B")
    really = os.open

    def refused(path: Any, flags: int, *more: Any) -> int:
        if Path(path).name == "a.md":
            # As root, who may run these tests, one may read everything.
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return really(path, flags, *more)

    monkeypatch.setattr(os, "open", refused)
    folder = Folder(root)
    folder.look()
    assert "Permission denied" in problems(folder)["a"]
    assert folder.commands["b"].body == "B"


async def test_what_is_kept_is_in_force_at_once(root: Path) -> None:
    told: list[list[str]] = []
    keeper = Keeper(root, lambda commands: told.append(sorted(commands)))
    made = await keeper.create(
        CreateCommand(name="git/fix", body="\n\nFix $1\n", description="Fixes", settings={"model": "opus"})
    )
    assert (made.name, made.body, made.settings) == ("git/fix", "Fix $1", {"model": "opus"})
    assert (root / "git" / "fix.md").read_text() == "---\ndescription: Fixes\nmodel: opus\n---\nFix $1\n"
    assert told == [["git/fix"]]
    with pytest.raises(Conflict, match="there is a command 'git/fix'"):
        await keeper.create(CreateCommand(name="git/fix", body="x"))
    changed = await keeper.change("git/fix", UpdateCommand(body="Other"))
    assert (changed.body, changed.description, changed.settings) == ("Other", "Fixes", {"model": "opus"})
    await keeper.delete("git/fix")
    assert told[-1] == []
    for call in (keeper.delete("git/fix"), keeper.change("git/fix", UpdateCommand(body="x"))):
        with pytest.raises(NotFound):
            await call
    assert everything(root) == [root / "git"]


async def test_a_file_that_somebody_changed_is_changed_as_it_is_now(root: Path, keeper: Keeper) -> None:
    await keeper.create(CreateCommand(name="a", body="x", description="old"))
    place(root, a="---\ndescription: theirs\n---\ntheir body")
    assert (await keeper.change("a", UpdateCommand(body="mine"))).description == "theirs"
    place(root, a="---\nbroken")
    await keeper.look()
    assert keeper.named("a").problem
    assert (await keeper.change("a", UpdateCommand(body="mended"))).problem is None


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/../../x", "A", "a b", ".a", "a/", "", "a\\b", "é", "x" * 65, "a.md"])
async def test_no_name_leaves_the_folder(root: Path, keeper: Keeper, name: str, tmp_path: Path) -> None:
    place(root, a="A")
    before = everything(tmp_path)
    await keeper.look()
    with pytest.raises(OrchestratorError):
        await keeper.change(name, UpdateCommand(body="x"))
    with pytest.raises(OrchestratorError):
        await keeper.delete(name)
    assert everything(tmp_path) == before


async def test_what_has_no_room_is_refused(keeper: Keeper) -> None:
    with pytest.raises(PayloadTooLarge):
        await keeper.create(CreateCommand(name="a", body="é" * 600_000))
    with pytest.raises(ValidationFailed, match="field of its own"):
        await keeper.create(CreateCommand(name="a", body="x", settings={"description": "y"}))
    with pytest.raises(ValidationFailed, match="twice"):
        await keeper.create(CreateCommand(name="a", body="x", arguments=[Argument(name="b"), Argument(name="b")]))


async def test_a_folder_that_cannot_be_written_says_so(root: Path) -> None:
    place(root.parent, commands="a file")
    keeper = Keeper(root.with_suffix(".md"), lambda _: None)
    with pytest.raises(Conflict, match="cannot be written"):
        await keeper.create(CreateCommand(name="a", body="x"))


def test_two_writers_leave_one_whole_file(root: Path) -> None:
    texts = [letter * 20_000 for letter in "abcd"]
    begin = threading.Barrier(len(texts))
    made: list[bool] = []

    def write(text: str) -> None:
        folder = Folder(root)
        begin.wait()
        try:
            folder.write("sub/x", text, fresh=True)
            made.append(True)
        except FileExistsError:
            made.append(False)
        for _ in range(20):
            folder.write("sub/x", text, fresh=False)
            assert (root / "sub" / "x.md").read_text() in texts

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False, False, False, True]
    assert [path.name for path in (root / "sub").iterdir()] == ["x.md"]


KILLED = """
import os, sys
from pathlib import Path
from orchestrator.commands import writing
def die(*_, **__):
    os._exit(9)
where = sys.argv[2]
if where == "before the rename":
    Path.replace = die
elif where == "before it is on disk":
    os.fsync = die
writing.put(Path(sys.argv[1]), "a.md", "new", fresh=False)
"""


@pytest.mark.parametrize("where", ["before it is on disk", "before the rename"])
def test_a_writer_that_is_killed_leaves_the_old_one_whole(root: Path, where: str) -> None:
    place(root, a="old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(root), where], check=False)
    assert done.returncode == 9
    folder = Folder(root)
    folder.look()
    assert {name: one.body for name, one in folder.commands.items()} == {"a": "old"}
    drafts = [path for path in root.iterdir() if path.name != "a.md"]
    assert len(drafts) == 1
    # What it left is taken away by a later one.
    folder.write("a", "newer", fresh=False)
    assert drafts[0].exists()
    os.utime(drafts[0], (0, 0))
    folder.write("a", "newest", fresh=False)
    assert [path.name for path in root.iterdir()] == ["a.md"]
    folder.look()
    assert folder.commands["a"].body == "newest"
