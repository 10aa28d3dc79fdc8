"""`make release` refuses what is not ready, and says what to do."""

from datetime import date
from pathlib import Path

import pytest

from release import readiness
from tests.installed import commit, git

TODAY = date(2030, 6, 15)
READY = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2030-06-15\n\n- New.\n\n## [1.2.2] - 2030-01-01\n"


def checkout(root: Path, version: str = "1.2.3", changelog: str = READY) -> Path:
    (root / "orchestrator").mkdir()
    (root / "orchestrator/__init__.py").write_text(f'__version__ = "{version}"\n')
    (root / "CHANGELOG.md").write_text(changelog)
    (root / "Dockerfile").write_text('LABEL org.opencontainers.image.version="1.2.3"\n')
    (root / "docker-compose.yml").write_text("services:\n  server:\n    image: task-orchestrator:1.2.3\n")
    (root / "migrations/sqlite").mkdir(parents=True)
    (root / "migrations/sqlite/0001_queue.sql").write_text("SELECT 1;\n")
    pinned = "b4e0497804e46e0a0b0b8c31975b062152d551bac49c3c2e80932567b4085dcd"
    (root / "migrations/released.toml").write_text(f'[sqlite]\n0001_queue = {{ release = "1.2.3", sha256 = "{pinned}" }}\n')
    git(root, "init", "-q", "-b", "main")
    commit(root)
    return root


def test_a_checkout_is_ready(tmp_path: Path) -> None:
    assert readiness.problems(checkout(tmp_path), TODAY) == []


@pytest.mark.parametrize(
    ("version", "changelog", "told"),
    [
        ("1.2", READY, "__version__ in orchestrator/__init__.py is '1.2': expected MAJOR.MINOR.PATCH"),
        ("1.3.0", READY, "CHANGELOG.md begins with ['Unreleased', '1.2.3']: expected Unreleased, then 1.3.0"),
        ("1.2.3", READY.replace("## [Unreleased]\n", ""), "expected Unreleased, then 1.2.3"),
        ("1.2.3", READY.replace("[Unreleased]\n", "[Unreleased]\n\n- More.\n"), "has lines below Unreleased: move them"),
        ("1.2.3", READY.replace("- New.\n", ""), "has nothing below 1.2.3: say what has changed"),
        ("1.2.3", READY.replace(" - 2030-06-15", ""), "says None of 1.2.3: expected a date, as in `## [1.2.3] - 2030-06-15`"),
        ("1.2.3", READY.replace("2030-06-15", "soon"), "says 'soon' of 1.2.3: expected a date"),
        ("1.2.3", READY.replace("2030-06-15", "2030-06-16"), "1.2.3 is of 2030-06-16, which is yet to come"),
    ],
)
def test_what_is_not_ready_is_refused(tmp_path: Path, version: str, changelog: str, told: str) -> None:
    assert told in "\n".join(readiness.problems(checkout(tmp_path, version, changelog), TODAY))


def test_what_git_does_not_know_is_named(tmp_path: Path) -> None:
    (checkout(tmp_path) / "orchestrator/stray.py").touch()
    assert readiness.problems(tmp_path, TODAY) == ["the checkout is not clean: commit or remove orchestrator/stray.py"]


def test_a_version_is_released_once(tmp_path: Path) -> None:
    git(checkout(tmp_path), "tag", "v1.2.3")
    assert readiness.problems(tmp_path, TODAY) == []
    (tmp_path / "more").touch()
    commit(tmp_path)
    assert readiness.problems(tmp_path, TODAY) == ["the tag v1.2.3 is on another commit: raise __version__"]


def test_the_image_is_of_this_version(tmp_path: Path) -> None:
    checkout(tmp_path)
    (tmp_path / "Dockerfile").write_text('LABEL org.opencontainers.image.version="1.2.2"\n')
    (tmp_path / "docker-compose.yml").write_text("services:\n  server:\n    image: task-orchestrator:latest\n")
    commit(tmp_path)
    assert readiness.problems(tmp_path, TODAY) == [
        "Dockerfile names the image of 1.2.2: expected 1.2.3",
        "docker-compose.yml names the image of latest: expected 1.2.3",
    ]


def test_migrations_are_pinned(tmp_path: Path) -> None:
    checkout(tmp_path)
    (tmp_path / "migrations/sqlite/0001_queue.sql").write_text("SELECT 2;\n")
    (tmp_path / "migrations/sqlite/0002_more.sql").write_text("SELECT 3;\n")
    commit(tmp_path)
    told = readiness.problems(tmp_path, TODAY)
    assert [line.split(" is ")[0] for line in told] == ["migrations/sqlite/0001_queue.sql", "migrations/sqlite/0002_more.sql"]
    (tmp_path / "migrations/sqlite/0001_queue.sql").unlink()
    commit(tmp_path)
    told = readiness.problems(tmp_path, TODAY)
    assert told[0] == "migrations/sqlite/0001_queue.sql was released and is not there: bring it back"
