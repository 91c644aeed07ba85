"""The AWS region of a provider.

Owns: where it is looked up, and checking that it can be part of a host name. Must never: contact a server.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from meshd.sdk.settings import ProviderSettings

PLACE = "${aws:region}"
"""The placeholder for it in the address of a catalogue row."""
_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
_REGION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_HOST = re.compile(r"https://bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws|api\.aws)")


def region_of(settings: ProviderSettings, environ: Mapping[str, str] = os.environ) -> str:
    """`auth.region`, else that of `base_url`, of the environment, or of the profile in AWS's own files. Raises
    ValueError if there is none."""
    named = _HOST.match(settings.base_url or "")
    given = [
        settings.auth.get("region"),
        named[1] if named else None,
        *(environ.get(name) for name in _VARIABLES),
    ]
    region = next((each for each in given if each), None) or _of_profile(settings.auth.get("profile"))
    if region is None:
        raise ValueError("set AWS_REGION in the daemon's environment, or auth.region or base_url in the configuration")
    if not _REGION.fullmatch(region):
        raise ValueError(f"{region[:40]!r} is not an AWS region")
    return region


def _of_profile(profile: str | None) -> str | None:
    """None also without botocore, since an API key needs no signature."""
    try:
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ImportError:
        return None
    try:
        region = Session(profile=profile).get_config_variable("region")
    except BotoCoreError as error:
        raise ValueError(str(error)) from None
    return region if isinstance(region, str) else None
