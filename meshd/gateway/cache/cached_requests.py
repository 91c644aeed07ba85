"""Which requests the cache may answer, and the keys of their answers."""

from __future__ import annotations

from meshd.gateway.requests.request import InferenceRequest
from meshd.routing.request.cache_key import Lookup, lookup
from meshd.routing.table.access import takes_app_keys


def lookup_of(inference: InferenceRequest) -> Lookup | None:
    """The place in the cache for the request's answer; None if the answer may not be kept. Raises
    InvalidRequestError."""
    pool = inference.target.pool
    if pool.cache is None:
        return None
    request, needs = inference.request, inference.plan.needs
    uid, app, format = request.caller.uid, inference.identity.spec, inference.body.format
    beside = [dict(each) for each in inference.passed_on]
    if request.credential is not None and takes_app_keys(pool, app, inference.table):
        beside.append({"credential": request.credential.digest})
    return lookup(pool, inference.asked, needs, inference.fields, request.headers, app, uid, format, beside)
