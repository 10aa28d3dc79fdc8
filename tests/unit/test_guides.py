"""What containers.md and kubernetes.md have one type is there: services, profiles, manifests, names, commands of ours."""

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import rich_click as click
import yaml

from orchestrator.cli import main
from tests.compose import asked, compose, mounts
from tests.docs.blocks import ROOT, Block, blocks
from tests.kustomize import containers, documents, kustomized
from tests.unit.test_deploy import TAG
from tests.unit.test_kubernetes import BASE, POSTGRES, everything
from worker_client.cli import main as worker

PAGES: Final = [ROOT / "docs/howto" / name for name in ("containers.md", "kubernetes.md")]
TRIED: Final = [block for page in PAGES for block in blocks(page) if block.kind == "tested"]
LINES: Final = [block for block in TRIED if block.language == "sh"]
ELSEWHERE: Final = {">", ">>", "<<END"}
INNER: Final = re.compile(r"\$\(([^()]*)\)")
MADE_BY_HAND: Final = {
    "task-orchestrator-secret",
    "task-orchestrator-tls",
    "task-orchestrator-monitoring",
    "task-orchestrator-worker",
}


def commands(text: str) -> Iterator[list[str]]:
    """Every command of a block, those in `$(...)` first, without what they read and write; `echo` keeps its words."""
    for line in text.replace("\\\n", " ").splitlines():
        outer = line
        while found := INNER.search(outer):
            yield from commands(found[1])
            outer = outer.replace(found[0], "X")
        words = shlex.split(outer, comments=True)
        while words and re.match(r"export$|\w+=", words[0]):
            words.pop(0)
        if any(word in ELSEWHERE for word in words):
            words = words[: next(at for at, word in enumerate(words) if word in ELSEWHERE)]
        if words and words != ["END"]:
            yield words


def ours(program: click.Group, words: list[str]) -> None:
    """These arguments are taken by a program of ours."""
    context, found, name, rest = click.Context(program), program, program.name, words
    command: click.Command = found
    while isinstance(command, click.Group):
        name, *rest = rest
        inner = command.get_command(context, name)
        assert inner is not None, f"no such command: {name}"
        command = inner
    command.make_context(name, rest, parent=context)


def parser(name: str, flags: str = "", valued: str = "") -> argparse.ArgumentParser:
    """Of a command of Docker or kubectl: the options that our pages may use of it, and the words after them."""
    found = argparse.ArgumentParser(name, add_help=False, allow_abbrev=False)
    for flag in flags.split():
        found.add_argument(flag, action="store_true")
    for option in valued.split():
        found.add_argument(option, action="append", default=[])
    found.add_argument("words", nargs=argparse.REMAINDER)
    return found


DOCKER: Final = {
    "build": parser("build", valued="-t -f"),
    "run": parser("run", "-d --rm --read-only", "-v -p -e --name --tmpfs --cap-drop --security-opt --user"),
    "exec": parser("exec", valued="-e"),
}
COMPOSE: Final = {
    "build": parser("build", "--pull"),
    "run": parser("run", "--rm -T"),
    "up": parser("up", "-d --wait"),
    "exec": parser("exec", valued="-e"),
    "logs": parser("logs", "-f"),
    "stop": parser("stop"),
    "down": parser("down"),
}


def docker(words: list[str]) -> None:
    name, *rest = words
    if name == "compose":
        composed(rest)
        return
    said = DOCKER[name].parse_args(rest)
    if name == "build":
        assert (said.t, said.words) == ([f"task-orchestrator:{TAG}"], ["."])
        return
    target, *rest = said.words
    assert target == ("task-orchestrator" if name == "exec" else f"task-orchestrator:{TAG}")
    if name == "exec":
        assert rest.pop(0) == "orchestrator"
    if rest:
        ours(main, rest)


def composed(words: list[str]) -> None:
    profiles = parser("compose", valued="--profile").parse_args(words)
    name, *rest = profiles.words
    assert set(profiles.profile) <= {one for said in compose()["services"].values() for one in said.get("profiles", [])}
    on = {
        key
        for key, said in compose()["services"].items()
        if not said.get("profiles") or set(said["profiles"]) & set(profiles.profile)
    }
    said = COMPOSE[name].parse_args(rest)
    if name in ("run", "exec"):
        service, *rest = said.words
        assert service in on
        if name == "exec":
            assert rest.pop(0) == "orchestrator"
        ours(main, rest)
    else:
        # What is asked for by its name needs no profile to be stopped or read.
        assert set(said.words) <= (on if name == "up" else compose()["services"].keys())


def kubectl(words: list[str]) -> None:
    there = {f"{kind.lower()}/{name}" for folder in (BASE, POSTGRES) for kind, name in everything(folder)}
    match words:
        case ["create", "secret", "generic", name, "--from-env-file=/dev/stdin"]:
            assert name in MADE_BY_HAND
        case ["create", "secret", "tls", name, "--cert=tasks.crt", "--key=tasks.key"]:
            assert name in MADE_BY_HAND
        case ["apply", "-k", folder]:
            assert (ROOT / folder / "kustomization.yaml").is_file()
        case ["rollout", "status" | "restart", target] | ["logs", "-f", target]:
            assert target in there
        case ["exec", target, "--", "orchestrator", *rest]:
            assert target in there
            ours(main, rest)
        case ["port-forward", target, ports]:
            assert target in there
            assert ports == "8080:80"
        case ["get", "pods", "-l", label]:
            assert f"deployment/{label.removeprefix('app=')}" in there
        case other:
            raise AssertionError(f"is that a command of kubectl? {other}")


def shell(words: list[str]) -> None:
    match words:
        case ["echo", said]:
            assert said.partition("=")[0] in asked(), f"nothing in docker-compose.yml asks for {said}"
        case ["openssl", "rand", "-hex", digits]:
            assert int(digits) >= 16
        case ["mkdir", "-p", "srv/shop"] | ["mkdir", "-m", "700", "-p", "secrets"] | ["id", "-u" | "-g"]:
            pass
        case ["touch", ".env"] | ["chmod", "600", ".env"]:
            pass
        case other:
            raise AssertionError(f"nobody looks after {other}")


@pytest.mark.parametrize("block", LINES, ids=str)
def test_what_one_types_is_there(block: Block) -> None:
    programs = {"docker": docker, "kubectl": kubectl}
    for first, *rest in commands(block.text):
        if first in programs:
            programs[first](rest)
        else:
            shell([first, *rest])


def test_a_wrong_word_is_found() -> None:
    for wrong in (
        "docker compose up -d --wait worker",
        "docker compose --profile workers up -d --wait",
        "docker build -t task-orchestrator:0.1.0 .",
        "docker exec task-orchestrator orchestrator keys make --name me",
        'echo "WORKER_TOKEN=$(docker compose run --rm -T task-orchestrator keys create --name w --scope work)" >> .env',
        'echo "WORKER_KEY=$(docker compose run --rm -T worker keys create --name w --scope work)" >> .env',
        "docker compose run --rm -T task-orchestrator keys create --name w --scope everything",
        "kubectl apply -k k8s/overlay/postgres",
        "kubectl logs -f deployment/orchestrator",
        "kubectl create secret generic task-orchestrator --from-literal=APP_AUTH_BOOTSTRAP_KEY=x",
    ):
        with pytest.raises((AssertionError, SystemExit, click.UsageError)):
            test_what_one_types_is_there(Block(PAGES[0], 1, "sh", "tested", "", wrong))


def test_files_that_are_asked_for_are_made_before() -> None:
    page = PAGES[0].read_text(encoding="utf-8")
    for secret in compose()["secrets"].values():
        assert f"> {secret['file'].removeprefix('./')}\n" in page


def test_an_image_for_agents_is_ours_with_agents() -> None:
    (text,) = (block.text for block in TRIED if block.language == "dockerfile")
    hadolint = Path(sys.executable).with_name("hadolint")
    ran = subprocess.run([hadolint, "-"], input=text, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")
    assert text.startswith(f"FROM task-orchestrator:{TAG}\n")
    (added,) = (yaml.safe_load(block.text) for block in TRIED if block.language == "yaml" and "services:" in block.text)
    ((name, said),) = added["services"].items()
    before = compose()["services"][name]
    command = said["command"]
    ours(worker, command)
    assert f"USER {said['user']}" in text
    assert mounts(said).keys() == {"/home/agent"} == set(re.findall(r'VOLUME \["(.+)"\]', text))
    for variable in ("HOME", "ORCHESTRATOR_STATE_DIR"):
        assert variable in before["environment"]
        assert f"{variable}={said['environment'][variable]}" in text
    assert {source for source, _ in mounts(said).values()} == added["volumes"].keys()


def test_a_kustomization_of_ones_own_is_rendered() -> None:
    (text,) = (block.text for block in TRIED if block.language == "yaml" and "components:" in block.text)
    how = yaml.safe_load(text.replace("../task-orchestrator/", f"{ROOT}/"))
    resources = kustomized(ROOT, how)
    assert resources.keys() == everything(POSTGRES).keys()
    assert {container["image"] for container in containers(resources)} == {f"registry.example.org/task-orchestrator:{TAG}"}


def test_secrets_are_made_with_the_keys_that_manifests_ask_for() -> None:
    made = re.findall(r"(?s)create secret generic (\S+) [^\n]+<<END\n(.+?)END\n", PAGES[1].read_text(encoding="utf-8"))
    given = {(name, line.partition("=")[0]) for name, lines in made for line in lines.splitlines()}
    resources = everything(POSTGRES)
    wanted = [one["valueFrom"]["secretKeyRef"] for box in containers(resources) for one in box["env"] if "valueFrom" in one]
    wanted += [
        one["authorization"]["credentials"] for one in resources["ServiceMonitor", "task-orchestrator"]["spec"]["endpoints"]
    ]
    assert {(one["name"], one["key"]) for one in wanted} == given
    assert [tls["secretName"] for tls in resources["Ingress", "task-orchestrator"]["spec"]["tls"]] == ["task-orchestrator-tls"]
    assert {name for name, _ in given} | {"task-orchestrator-tls"} == MADE_BY_HAND


def test_components_are_all_told_of() -> None:
    page = PAGES[1].read_text(encoding="utf-8")
    for folder in (ROOT / "k8s/components").iterdir():
        assert f"| `{folder.name}` |" in page
        assert documents(folder / "kustomization.yaml")[0]["kind"] == "Component"


KEPT: Final = re.compile(r"(?:keys create|openssl rand)[^\n>]*\)?\"? >>? ?(\S+)")
CLOSED: Final = re.compile(r"^umask 077\b|^chmod 600 \S+$|^mkdir -m 700 ", re.MULTILINE)
TYPED: Final = re.compile(r"--from-literal=\S+|--secret \"?whsec\S+|--api-key \S+|://\w+:[^@\s/]+@\S+")


def exposed(text: str) -> list[str]:
    """Where a block leaves a secret: files that others of the machine can read, and the command line of a program."""
    files = [found[1] for found in KEPT.finditer(text) if not CLOSED.search(text[: found.start()])]
    lines = re.sub(r"(?s)<<END\n.*?\nEND$", "", text, flags=re.MULTILINE)
    return files + TYPED.findall(lines)


def test_no_secret_is_left_where_others_can_read_it() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = {str(block): exposed(block.text) for page in pages for block in blocks(page) if block.language in ("sh", "console")}
    assert {where: what for where, what in found.items() if what} == {}
    assert exposed("orchestrator keys create --name a --scope admin > admin.key\numask 077") == ["admin.key"]
    assert exposed('echo "A=$(openssl rand -hex 32)" >> .env') == [".env"]
    assert exposed("kubectl create secret generic x --from-literal=A=b") == ["--from-literal=A=b"]
    assert exposed("orchestrator serve --database postgresql://me:word@host/db") == ["://me:word@host/db"]
