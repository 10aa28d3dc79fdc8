"""What kustomize makes of a folder, of its features those that are used here: resources, components, patches, images."""

from pathlib import Path
from typing import Any, Final

import yaml

Resources = dict[tuple[str, str], Any]
MERGED_BY: Final = {"containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath"}


def documents(path: Path) -> list[dict[str, Any]]:
    """Those of a file."""
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one is not None]


def identity(resource: dict[str, Any]) -> tuple[str, str]:
    """What tells a resource from others."""
    return resource["kind"], resource["metadata"]["name"]


def rendered(folder: Path) -> Resources:
    """All that a folder says, by kind and name."""
    (how,) = documents(folder / "kustomization.yaml")
    return kustomized(folder, how)


def kustomized(folder: Path, how: dict[str, Any]) -> Resources:
    """What a kustomization says that stands in a folder."""
    assert how.keys() <= {"apiVersion", "kind", "resources", "components", "patches", "images"}
    assert how.get("kind", "Kustomization") == "Kustomization"
    found: Resources = {}
    for name in how["resources"]:
        path = (folder / name).resolve()
        more = rendered(path) if path.is_dir() else {identity(one): one for one in documents(path)}
        assert not found.keys() & more.keys()
        found |= more
    for name in how.get("components", []):
        _add(found, (folder / name).resolve())
    _patch(found, folder, how)
    for image in how.get("images", []):
        assert image.keys() <= {"name", "newName", "newTag"}
        for container in containers(found):
            name, _, tag = container["image"].rpartition(":")
            if name == image["name"]:
                container["image"] = f"{image.get('newName', name)}:{image.get('newTag', tag)}"
    return found


def containers(resources: Resources) -> list[dict[str, Any]]:
    """Those of all pods."""
    pods = [one["spec"]["template"]["spec"] for one in resources.values() if "template" in one.get("spec", {})]
    return [container for pod in pods for container in pod["containers"]]


def _add(found: Resources, folder: Path) -> None:
    (how,) = documents(folder / "kustomization.yaml")
    assert (how["kind"], how["apiVersion"]) == ("Component", "kustomize.config.k8s.io/v1alpha1")
    assert how.keys() <= {"apiVersion", "kind", "resources", "patches"}
    for name in how["resources"]:
        more = {identity(one): one for one in documents(folder / name)}
        assert not found.keys() & more.keys()
        found |= more
    _patch(found, folder, how)


def _patch(found: Resources, folder: Path, how: dict[str, Any]) -> None:
    for patch in how.get("patches", []):
        assert patch.keys() == {"path"}
        for change in documents(folder / patch["path"]):
            merged = merge(found.pop(identity(change)), change)
            if merged is not None:
                found[identity(change)] = merged


def merge(value: Any, change: Any, key: str = "") -> Any:
    """A value after a strategic merge patch; None when it is gone."""
    if isinstance(change, list) and isinstance(value, list) and key in MERGED_BY:
        by = MERGED_BY[key]
        kept = {one[by]: one for one in value}
        changed = {one[by]: merge(kept.pop(one[by], {}), one) for one in change}
        return [one for one in (changed | kept).values() if one is not None]
    if not isinstance(change, dict):
        return change
    if "$patch" in change:
        assert change["$patch"] == "delete"
        return None
    result = dict(value) if isinstance(value, dict) else {}
    for name, part in change.items():
        result[name] = merge(result.get(name), part, name)
    return {name: part for name, part in result.items() if part is not None}
