"""What connecting or restoring would change, and doing it.

Owns: the order (backup first), and that only what was shown is written.
Must never: ask or print.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from meshd.cli import daemon
from meshd.cli.connect import backups, files
from meshd.cli.connect.backups import Saved
from meshd.cli.connect.edits import CannotEdit, edited, undone, writer_of
from meshd.cli.connect.files import Content
from meshd.cli.connect.mesh import NO_KEY, Mesh
from meshd.cli.connect.tools import File, Tool
from meshd.core.text.redaction import is_secret_key
from meshd.sdk.http.credentials import MASK

_SETTING = re.compile(
    r"""(["']?([\w.-]{1,100})["']?\s{0,20}[:=]\s{0,20})("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"',{}\[\]][^,}\]]*)"""
)
_HARMLESS = re.compile(rf"""["']?(?:\d+|{NO_KEY}|)["']?""")


class Change(msgspec.Struct, frozen=True):
    """One file. now: as it is; then: as it will be. saved: its entry in the backup. edited_since: it was changed after
    `meshctl` wrote it, and that would be lost."""

    path: Path
    now: Content
    then: Content
    saved: Saved
    edited_since: bool = False

    @property
    def is_none(self) -> bool:
        return self.now == self.then

    def diff(self) -> str:
        """For people: values of keys that hold secrets are masked."""
        before, after = (_lines(each.data) for each in (self.now, self.then))
        lines = difflib.unified_diff(before, after, str(self.path), str(self.path), lineterm="")
        return "\n".join(map(_masked, lines))


def path_of(file: File, folder: Path) -> Path:
    paths = [folder / name for name in file.paths]
    return next((path for path in paths if path.exists()), paths[-1])


def to_connect(tool: Tool, mesh: Mesh, environ: Mapping[str, str], home: Path) -> list[Change]:
    """Raises Refused."""
    earlier = {Path(each.path): each for each in backups.load(backups.folder(environ, home), tool.name)}
    folder = tool.folder(environ, home)
    return [_to_connect(file, path_of(file, folder), tool, mesh, earlier) for file in tool.files]


def _to_connect(file: File, path: Path, tool: Tool, mesh: Mesh, earlier: Mapping[Path, Saved]) -> Change:
    now, last = files.read(path), earlier.get(path)
    # What was written last time is undone first, since a pool may have been removed in the meantime.
    undoing = None if last is None or now.data is None else _to_restore(path, last)
    original = now if undoing is None or undoing.edited_since else undoing.then
    try:
        text = (original.data or b"").decode("utf-8")
        edits = file.edits(mesh)
        made = edited(text, file.format, edits).encode()
    except UnicodeDecodeError:
        raise daemon.Refused(f"{path} is not UTF-8 text; it is left as it is") from None
    except CannotEdit as error:
        raise daemon.Refused(f"{path} is left as it is: {error}") from None
    then = Content(made, files.mode_for(now, secret=bool(mesh.token) and tool.keeps_key))
    saved = backups.saved(path, original, made)
    if last is not None:
        saved.made = last.made
    if last is not None and undoing is not None and undoing.edited_since:
        # A restore goes back to the state before the first `connect`, and has to say what that would lose.
        saved.before, saved.mode, saved.after = last.before, last.mode, ""
    if all(isinstance(part, str) for edit in edits for part in edit.path):
        saved.format = file.format
        for edit in edits:
            (saved.heads if edit.only_new else saved.paths).append([str(part) for part in edit.path])
    return Change(path, now, then, saved)


def to_restore(tool: Tool, environ: Mapping[str, str], home: Path) -> list[Change]:
    """Empty if it is not connected."""
    return [_to_restore(Path(each.path), each) for each in backups.load(backups.folder(environ, home), tool.name)]


def _to_restore(path: Path, saved: Saved) -> Change:
    """The file as it was; or, if it was changed since, without what was written then, if that can be found."""
    now = files.read(path)
    if now.data is None or now == saved.content or saved.is_as_written(now):
        return Change(path, now, saved.content, saved)
    bare = _undone(now.data, saved, saved.paths + saved.heads)
    if bare is None:
        return Change(path, now, saved.content, saved, edited_since=True)
    nothing = saved.before is None and writer_of(saved.format).read(bare) in (None, {})
    # A file that did not exist before, but is not removed, keeps the keys that every such file needs.
    kept = _undone(now.data, saved, saved.paths) if saved.before is None else bare
    text = bare if kept is None else kept
    tightened = saved.mode is not None and saved.mode & ~0o077 == now.mode  # because of a token, which is removed now
    mode = saved.mode if tightened else now.mode
    return Change(path, now, Content(None) if nothing else Content(text.encode(), mode), saved)


def _undone(now: bytes, saved: Saved, paths: list[list[str]]) -> str | None:
    """None if that cannot be found."""
    if not paths:
        return None
    try:
        before = (saved.content.data or b"").decode()
        return undone(now.decode(), saved.format, map(tuple, paths), before)
    except (CannotEdit, UnicodeDecodeError, KeyError):
        return None


def connect(tool: Tool, changes: list[Change], environ: Mapping[str, str], home: Path) -> None:
    """Raises Refused if a file has changed since it was shown, OSError."""
    place = backups.folder(environ, home)
    _check(changes)
    backups.store(place, tool.name, [change.saved for change in changes])
    for change in changes:
        assert change.then.data is not None
        assert change.then.mode is not None
        change.saved.made += files.write(change.path, change.then.data, change.then.mode)
    backups.store(place, tool.name, [change.saved for change in changes])


def restore(tool: Tool, changes: list[Change], environ: Mapping[str, str], home: Path) -> list[Path]:
    """Returns the copies of files that had changed in the meantime. Raises Refused, OSError."""
    place, kept = backups.folder(environ, home), []
    _check(changes)
    for change in changes:
        if change.edited_since and change.now.data is not None:
            kept.append(backups.keep_replaced(place, tool.name, change.path, change.now.data))
        if change.then.data is None:
            files.remove(change.path, change.saved.made)
        elif not change.is_none:
            files.write(change.path, change.then.data, change.then.mode or files.PRIVATE)
    backups.drop(place, tool.name)
    return kept


def _check(changes: list[Change]) -> None:
    for change in changes:
        if files.read(change.path) != change.now:
            raise daemon.Refused(f"{change.path} was changed just now; run the command again")


def _lines(data: bytes | None) -> list[str]:
    return (data or b"").decode("utf-8", "replace").splitlines()


def _masked(line: str) -> str:
    return _SETTING.sub(_mask, line)


def _mask(setting: re.Match[str]) -> str:
    if not (is_secret_key(setting[2]) or setting[2].endswith("_HEADERS")) or _HARMLESS.fullmatch(setting[3].strip()):
        return setting[0]
    return f"{setting[1]}{MASK}"
