"""Zip packages of connectors: what is used, and what is refused before anything of it is imported."""

from __future__ import annotations

import hashlib
import http.server
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd.config import MeshConfig
from meshd.connectors import zip_packages
from meshd.connectors.registry import ConnectorRegistry
from meshd.connectors.zip_packages import PackageRefused, use_package
from tests.support.packages.installed import install
from tests.unit.connectors.test_packages import good


class Place:
    """Zip files that are made here, and the folder that packages are kept in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.kept = root / "data" / "packages"

    def make(self, module: str, *, code: str | None = None, **more: str) -> tuple[Path, str]:
        """(the file, its sha256). more: further files by name, with `__` for a dot."""
        tree = self.root / "tree" / module
        tree.mkdir(parents=True)
        install(tree, module, good(module, id=f"{module.replace('_', '-')}.store.v1") if code is None else code)
        for name, text in more.items():
            (tree / name.replace("__", ".")).write_text(text)
        file = self.root / f"{module}.whl"
        with zipfile.ZipFile(file, "w") as archive:
            for each in sorted(tree.rglob("*")):
                archive.write(each, each.relative_to(tree))
        return file, hashlib.sha256(file.read_bytes()).hexdigest()

    def use(self, file: Path, sha256: str) -> None:
        use_package(sha256, str(file), None, self.kept)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(zip_packages, "data_dir", lambda: tmp_path / "data")
    before = set(sys.modules)
    yield Place(tmp_path)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def test_a_package_is_imported_from_the_copy_that_was_checked(place: Place) -> None:
    file, sha256 = place.make("zipped_one")
    registry = ConnectorRegistry()
    assert registry.find("zipped-one.store.v1") is None
    place.use(file, sha256)
    file.unlink()
    found = registry.find("zipped-one.store.v1")
    assert found is not None
    assert found.package == "zipped_one"
    assert registry.get_connector("zipped-one.store.v1").__name__ == "Store"
    (stored,) = place.kept.iterdir()
    assert stored.stat().st_mode & 0o777 == 0o600
    assert (sys.modules["zipped_one"].__file__ or "").startswith(str(stored))


def test_a_package_that_is_kept_needs_its_source_no_more(place: Place) -> None:
    file, sha256 = place.make("zipped_kept")
    place.use(file, sha256)
    sys.path.pop()
    file.unlink()
    place.use(file, sha256.upper())
    assert sys.path[-1].endswith(f"{sha256}.zip")


def test_a_kept_copy_that_changed_is_replaced(place: Place) -> None:
    file, sha256 = place.make("zipped_changed")
    place.kept.mkdir(parents=True)
    stored = place.kept / f"{sha256}.zip"
    stored.write_bytes(b"something else")
    place.use(file, sha256)
    assert stored.read_bytes() == file.read_bytes()


def test_another_content_is_refused(place: Place) -> None:
    file, _ = place.make("zipped_other")
    with pytest.raises(PackageRefused, match="has the sha256"):
        place.use(file, "0" * 64)
    assert "zipped_other" not in sys.modules
    assert not list(place.kept.iterdir())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"json__py": ""}, "the module json, which is already installed"),
        ({"meshd__py": ""}, "the module meshd, which is already installed"),
        ({"fast__so": ""}, "compiled modules"),
    ],
)
def test_what_would_replace_or_cannot_be_imported_is_refused(place: Place, more: dict[str, str], message: str) -> None:
    file, sha256 = place.make("zipped_bad", **more)
    with pytest.raises(PackageRefused, match=message):
        place.use(file, sha256)
    assert not sys.path[-1].endswith(".zip")


def test_a_file_without_connectors_is_refused(place: Place) -> None:
    file = place.root / "plain.zip"
    for content, message in ((b"nothing", "not a zip file"), (None, "offers no connectors")):
        if content is None:
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("plain_module.py", "")
        else:
            file.write_bytes(content)
        with pytest.raises(PackageRefused, match=message):
            place.use(file, hashlib.sha256(file.read_bytes()).hexdigest())


def test_another_version_waits_for_a_restart(place: Place) -> None:
    file, sha256 = place.make("zipped_twice")
    place.use(file, sha256)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("zipped_twice_more.py", "")
    with pytest.raises(PackageRefused, match="restart the daemon"):
        place.use(file, hashlib.sha256(file.read_bytes()).hexdigest())


def test_a_large_file_is_not_read_whole(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_packages, "MOST_BYTES", 100)
    file, sha256 = place.make("zipped_large")
    with pytest.raises(PackageRefused, match="larger than"):
        place.use(file, sha256)


def test_a_folder_that_others_can_change_keeps_no_packages(place: Place) -> None:
    file, sha256 = place.make("zipped_open")
    place.kept.mkdir(parents=True)
    place.kept.chmod(0o777)
    with pytest.raises(PackageRefused, match="others can change packages"):
        place.use(file, sha256)


def test_a_package_is_fetched_once(place: Place) -> None:
    file, sha256 = place.make("zipped_far")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, directory=str(place.root), **options)  # type: ignore[arg-type]

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/{file.name}"
    try:
        use_package(sha256, None, url, place.kept)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    sys.path.pop()
    use_package(sha256, None, url, place.kept)


@pytest.mark.parametrize("url", ["http://packages.example/a.zip", "file:///etc/passwd", "ftp://a/b"])
def test_only_safe_addresses_are_asked(place: Place, url: str) -> None:
    with pytest.raises(PackageRefused, match="https"):
        use_package("0" * 64, None, url, place.kept)


# -- in a configuration -----------------------------------------------------------------------------------


def configuration(place: Place, file: Path, sha256: str) -> Path:
    written = place.root / "mesh.yaml"
    written.write_text(
        f"connectors:\n  packages:\n    - {{path: {file.name}, sha256: {sha256}}}\n"
        "secrets: {store: zipped-named.store.v1}\n"
    )
    return written


def test_a_configuration_names_connectors_of_its_packages(place: Place) -> None:
    file, sha256 = place.make("zipped_named")
    written = configuration(place, file, sha256)
    assert MeshConfig.from_file(written, environ={}).validate(ConnectorRegistry()) == []


def test_a_package_in_a_file_that_others_can_change_is_not_imported(place: Place) -> None:
    file, sha256 = place.make("zipped_named", code=f"open({str(place.root / 'ran')!r}, 'w')\nCONNECTORS = ()\n")
    written = configuration(place, file, sha256)
    written.chmod(0o666)
    problems = [str(problem) for problem in MeshConfig.from_file(written, environ={}).validate(ConnectorRegistry())]
    assert any("mesh.yaml:3: connectors.packages[0]: is not used, because others can" in each for each in problems)
    assert not (place.root / "ran").exists()


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ({"path": "a.zip"}, "sha256: is missing"),
        ({"path": "a.zip", "sha256": "0"}, "expected a SHA-256"),
        ({"sha256": "0" * 64}, "expected a `path` or a `url`"),
        ({"path": "a", "url": "https://b/c", "sha256": "0" * 64}, "expected a `path` or a `url`"),
        ({"path": "gone.zip", "sha256": "0" * 64}, "gone.zip cannot be read"),
    ],
)
def test_mistakes_are_told_with_their_place(place: Place, package: dict[str, str], message: str) -> None:
    config = MeshConfig.from_dict({"connectors": {"packages": [package]}}, environ={})
    (problem,) = config.validate(ConnectorRegistry())
    assert problem.path.startswith("connectors.packages[0]")
    assert message in f"{problem.path}: {problem.message}"
