"""BUILD files list exactly the Python files on disk, and their deps are in the house.

BUILD files are read as what they are, a subset of Python: a list of calls with
literal keyword arguments.
"""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
CODE = ("spjax", "experiments", "launch", "tests")
# What each room may import; the guide's table, arrows downwards only.
LOWER = {
    "genomes": set(),
    "pruning": set(),
    "analysis": set(),
    "data": set(),
    "networks": {"genomes"},
    "training": {"networks", "pruning", "data", "genomes"},
    "deploy": {"analysis", "networks", "genomes"},
    "search": {
        *("genomes", "pruning", "analysis", "data", "networks", "training", "deploy"),
    },
    "report": set(),
}


def read_build(path):
    """The targets of a BUILD file: a list of (rule, keyword arguments)."""
    targets = []
    for statement in ast.parse(path.read_text()).body:
        call = statement.value
        assert isinstance(call, ast.Call), f"{path}: only calls are expected"
        arguments = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
        if call.func.id not in ("load", "exports_files"):
            targets.append((call.func.id, arguments))
    return targets


def build_files():
    found = [ROOT / "BUILD"]
    for top in CODE:
        found += sorted((ROOT / top).rglob("BUILD"))
    return found


def packages():
    """Folders that hold Python files, relative to the root."""
    return sorted(
        {
            path.parent.relative_to(ROOT)
            for top in CODE
            for path in (ROOT / top).rglob("*.py")
        }
    )


def label_exists(label, package):
    if label.startswith("//"):
        folder, _, name = label[2:].partition(":")
        name = name or folder.rpartition("/")[2]
    else:
        folder, name = str(package), label.lstrip(":")
    path = ROOT / folder / "BUILD"
    return path.exists() and any(a.get("name") == name for _, a in read_build(path))


@pytest.mark.parametrize("package", packages(), ids=str)
def test_sources_are_the_files_on_disk(package):
    targets = read_build(ROOT / package / "BUILD")
    listed = [s for _, a in targets for s in a.get("srcs", []) if s[:2] != "//"]
    on_disk = sorted(p.name for p in (ROOT / package).glob("*.py"))
    assert sorted(listed) == on_disk


@pytest.mark.parametrize("path", build_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_dependencies_exist(path):
    package = path.parent.relative_to(ROOT)
    for _, arguments in read_build(path):
        for label in arguments.get("deps", []) + arguments.get("actual", "").split():
            assert label_exists(label, package), f"{label} in {path}"


def imported_rooms(path):
    """Rooms of spjax that a file imports, whatever the form of the import."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        parts = [name.split(".") for name in names]
        rooms |= {p[1] for p in parts if p[0] == "spjax" and len(p) > 1}
    return rooms & set(LOWER)


@pytest.mark.parametrize("room", LOWER)
def test_rooms_import_downwards_only(room):
    allowed = LOWER[room] | {room}
    for path in (ROOT / "spjax" / room).rglob("*.py"):
        assert imported_rooms(path) <= allowed, path


@pytest.mark.parametrize("room", LOWER)
def test_build_dependencies_of_rooms_go_downwards(room):
    for rule, arguments in read_build(ROOT / "spjax" / room / "BUILD"):
        assert rule == "py_library"
        for label in arguments.get("deps", []):
            if label.startswith("//spjax/"):
                assert label.split("/")[3].split(":")[0] in LOWER[room], label


def test_every_test_file_is_run_by_a_target_of_its_own():
    runner = "//tests:pytest_main.py"
    for package in packages():
        if package.parts[0] != "tests":
            continue
        tests = [a for r, a in read_build(ROOT / package / "BUILD") if r == "py_test"]
        for target in tests:
            # Without the runner a target would import its tests and run none.
            assert target["main"] == runner
            assert target["srcs"] == [f"{target['name']}.py", runner]
            assert target["args"] == [f"$(location {target['name']}.py)"]
        names = {f"{target['name']}.py" for target in tests}
        assert names == {p.name for p in (ROOT / package).glob("test_*.py")}
