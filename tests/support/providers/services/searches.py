"""Web search as its providers document it, read on 2026-11-28; the pages and their words are ours.

Tavily: https://docs.tavily.com/documentation/api-reference/endpoint/search
Serper: https://serper.dev/playground
Brave: https://api-dashboard.search.brave.com/app/documentation/web-search/responses
Google: https://developers.google.com/custom-search/v1/reference/rest/v1/Search
Bing: https://learn.microsoft.com/bing/search-apis/bing-web-search/reference/response-objects
Jina: https://github.com/jina-ai/reader
Firecrawl: https://docs.firecrawl.dev/api-reference/endpoint/search
SearXNG: https://docs.searxng.org/dev/search_api.html
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.support.providers.services.server import LocalService

ALL = 45
"""Pages that there are."""


def page(number: int) -> tuple[str, str, str]:
    """(title, address, words) of one."""
    return f"Lighthouse {number}", f"https://lights.example/{number}", f"The lamp of lighthouse {number} turns."


# -- Tavily -------------------------------------------------------------------------------------------


async def _tavily(request: web.Request) -> web.Response:
    asked = await request.json()
    rows = []
    for number in range(asked.get("max_results", 5)):
        title, url, words = page(number)
        raw = f"# {title}" if asked.get("include_raw_content") else None
        rows.append({"title": title, "url": url, "content": words, "score": 0.9 - number / 100, "raw_content": raw})
    return web.json_response(
        {
            "query": asked["query"],
            "answer": None,
            "images": [],
            "results": rows,
            "response_time": 1.2,
            "request_id": "r",
        }
    )


async def _tavily_usage(request: web.Request) -> web.Response:
    return web.json_response({"key": {"usage": 150, "limit": 1000}, "account": {"current_plan": "Bootstrap"}})


def _tavily_failure(status: int) -> web.Response:
    said = {
        401: "Unauthorized: missing or invalid API key.",
        429: "Your request has been blocked due to excessive requests. Please reduce rate of requests.",
        432: "This request exceeds your plan's set usage limit. Please upgrade your plan or contact support@tavily.com",
        433: "This request exceeds the pay-as-you-go limit. You can increase your limit on the Tavily dashboard",
    }
    headers = {"retry-after": "1"} if status == 429 else {}
    told = {"detail": {"error": said.get(status, "Internal Server Error")}}
    return web.json_response(told, status=status, headers=headers)


TAVILY = LocalService("tavily", {"POST /search": _tavily, "GET /usage": _tavily_usage}, _tavily_failure)

# -- Serper -------------------------------------------------------------------------------------------


async def _serper(request: web.Request) -> web.Response:
    asked = await request.json()
    wanted = asked.get("num", 10)
    rows = []
    for number in range(min(wanted, ALL)):
        title, url, words = page(number)
        rows.append({"title": title, "link": url, "snippet": words, "date": "Mar 3, 2026", "position": number + 1})
    credits = 1 if wanted <= 10 else 2
    return web.json_response({"searchParameters": {"q": asked["q"]}, "organic": rows, "credits": credits})


async def _serper_account(request: web.Request) -> web.Response:
    return web.json_response({"balance": 2499, "rateLimit": 5})


def _serper_failure(status: int) -> web.Response:
    said = {403: "Unauthorized.", 400: "Not enough credits", 429: "Rate limit exceeded"}
    return web.json_response(
        {"message": said.get(status, "Internal server error"), "statusCode": status}, status=status
    )


SERPER = LocalService(
    "serper",
    {"POST /search": _serper, "GET /account": _serper_account},
    _serper_failure,
    header="X-API-KEY",
    scheme="",
    unauthorized=403,
)

# -- Brave --------------------------------------------------------------------------------------------


async def _brave(request: web.Request) -> web.Response:
    count, offset = int(request.query.get("count", 20)), int(request.query.get("offset", 0))
    assert count <= 20
    assert offset <= 9
    rows = []
    for number in range(count * offset, min(count * (offset + 1), ALL)):
        title, url, words = page(number)
        rows.append(
            {
                "type": "search_result",
                "title": title,
                "url": url,
                "description": words,
                "page_age": "2026-03-03T10:00:00",
            }
        )
    web_results: dict[str, Any] = {"web": {"type": "search", "results": rows}} if rows else {}
    return web.json_response({"type": "search", "query": {"original": request.query["q"]}, **web_results})


def _brave_failure(status: int) -> web.Response:
    code = {429: "RATE_LIMITED", 422: "SUBSCRIPTION_TOKEN_INVALID", 402: "QUOTA_LIMITED"}.get(status, "INTERNAL")
    detail = {
        429: "Request rate limit exceeded for plan",
        422: "The provided subscription token is invalid.",
        402: "Monthly request quota exceeded",
    }.get(status, "Internal error")
    error = {"id": "e1", "status": status, "code": code, "detail": detail, "meta": {}}
    return web.json_response({"type": "ErrorResponse", "error": error, "time": 1}, status=status)


BRAVE = LocalService(
    "brave",
    {"GET /web/search": _brave},
    _brave_failure,
    header="X-Subscription-Token",
    scheme="",
    unauthorized=422,
    headers={
        "X-RateLimit-Limit": "50, 15000",
        "X-RateLimit-Policy": "50;w=1, 15000;w=2592000",
        "X-RateLimit-Remaining": "49, 14523",
        "X-RateLimit-Reset": "1, 1419704",
    },
)

# -- Google -------------------------------------------------------------------------------------------


async def _google(request: web.Request) -> web.Response:
    count, start = int(request.query.get("num", 10)), int(request.query.get("start", 1))
    if not request.query.get("cx"):
        return google_failure(400)
    assert count <= 10
    rows = []
    for number in range(start - 1, min(start - 1 + count, ALL)):
        title, url, words = page(number)
        tags = {"metatags": [{"article:published_time": "2026-03-03T10:00:00Z"}]}
        rows.append({"kind": "customsearch#result", "title": title, "link": url, "snippet": words, "pagemap": tags})
    items: dict[str, Any] = {"items": rows} if rows else {}
    return web.json_response({"kind": "customsearch#search", "searchInformation": {"totalResults": str(ALL)}, **items})


def google_failure(status: int) -> web.Response:
    """As all of Google's APIs answer."""
    message, reason, state = {
        400: ("Request contains an invalid argument.", "badRequest", "INVALID_ARGUMENT"),
        403: ("The request is missing a valid API key.", "forbidden", "PERMISSION_DENIED"),
        429: (
            "Quota exceeded for quota metric 'Queries' and limit 'Queries per day' of service",
            "rateLimitExceeded",
            "RESOURCE_EXHAUSTED",
        ),
    }.get(status, ("Internal error encountered.", "backendError", "INTERNAL"))
    errors = [{"message": message, "domain": "global", "reason": reason}]
    error = {"code": status, "message": message, "errors": errors, "status": state}
    return web.json_response({"error": error}, status=status)


GOOGLE = LocalService(
    "google-search",
    {"GET /customsearch/v1": _google},
    google_failure,
    header="X-Goog-Api-Key",
    scheme="",
    unauthorized=403,
)

# -- Bing ---------------------------------------------------------------------------------------------


async def _bing(request: web.Request) -> web.Response:
    rows = []
    for number in range(int(request.query.get("count", 10))):
        title, url, words = page(number)
        rows.append({"id": f"#{number}", "name": title, "url": url, "snippet": words, "language": "en"})
    return web.json_response({"_type": "SearchResponse", "webPages": {"value": rows, "totalEstimatedMatches": ALL}})


def _bing_failure(status: int) -> web.Response:
    error = {"code": str(status), "message": "Access denied due to invalid subscription key or wrong API endpoint."}
    if status != 401:
        error["message"] = "Rate limit is exceeded. Try again in 1 seconds." if status == 429 else "Internal error"
    return web.json_response({"error": error}, status=status)


BING = LocalService("bing", {"GET /search": _bing}, _bing_failure, header="Ocp-Apim-Subscription-Key", scheme="")

# -- Jina ---------------------------------------------------------------------------------------------


async def _jina(request: web.Request) -> web.Response:
    asked = await request.json()
    bare = request.headers.get("X-Respond-With") == "no-content"
    rows = []
    for number in range(asked.get("num", 5)):
        title, url, words = page(number)
        content = {} if bare else {"content": f"# {title}", "usage": {"tokens": 900}}
        rows.append({"title": title, "url": url, "description": words, "date": "Mar 3, 2026", **content})
    return web.json_response({"code": 200, "status": 20000, "data": rows, "meta": {"usage": {"tokens": 10000}}})


async def _jina_rerank(request: web.Request) -> web.Response:
    asked = await request.json()
    rows = [{"index": at, "relevance_score": 1 / (at + 1)} for at in range(len(asked["documents"]))]
    return web.json_response({"model": asked["model"], "usage": {"total_tokens": 20}, "results": rows})


def _jina_failure(status: int) -> web.Response:
    name = {401: "AuthenticationFailedError", 402: "InsufficientBalanceError", 429: "RateLimitTriggeredError"}
    told = {"code": status, "status": status * 100, "name": name.get(status, "InternalServerError"), "data": None}
    words = {401: "Invalid API key", 402: "Account balance not enough to run this query, please recharge."}
    said = words.get(status, "Per key rate limit triggered" if status == 429 else "Unknown error")
    return web.json_response({**told, "message": said, "readableMessage": f"{told['name']}: {said}"}, status=status)


JINA = LocalService("jina", {"POST /": _jina, "POST /rerank": _jina_rerank}, _jina_failure)

# -- Firecrawl ----------------------------------------------------------------------------------------


async def _firecrawl(request: web.Request) -> web.Response:
    asked = await request.json()
    wanted = asked.get("limit", 5)
    rows = []
    for number in range(wanted):
        title, url, words = page(number)
        text = {"markdown": f"# {title}"} if asked.get("scrapeOptions") else {}
        rows.append({"title": title, "url": url, "description": words, "position": number + 1, **text})
    return web.json_response({"success": True, "data": {"web": rows}, "creditsUsed": -(-wanted // 10) * 2, "id": "f"})


async def _firecrawl_credits(request: web.Request) -> web.Response:
    return web.json_response({"success": True, "data": {"remainingCredits": 900, "planCredits": 1000}})


def _firecrawl_failure(status: int) -> web.Response:
    said = {
        401: "Unauthorized: Invalid token",
        402: "Payment required to access this resource.",
        429: "Request rate limit exceeded. Please wait and try again later.",
    }
    return web.json_response(
        {"success": False, "error": said.get(status, "An unexpected error occurred")}, status=status
    )


FIRECRAWL = LocalService(
    "firecrawl",
    {"POST /v2/search": _firecrawl, "GET /v2/team/credit-usage": _firecrawl_credits},
    _firecrawl_failure,
)

# -- SearXNG ------------------------------------------------------------------------------------------


async def _searxng(request: web.Request) -> web.Response:
    if request.query.get("format") != "json":
        return _searxng_failure(403)
    if "SILENCE" in request.query["q"]:
        return web.json_response({"query": "", "results": [], "unresponsive_engines": [["brave", "too many requests"]]})
    rows = []
    for number in range(10):
        title, url, words = page(number)
        rows.append(
            {"title": title, "url": url, "content": words, "engine": "ours", "score": 1.0, "publishedDate": None}
        )
    return web.json_response({"query": request.query["q"], "number_of_results": ALL, "results": rows})


async def _searxng_health(request: web.Request) -> web.Response:
    return web.Response(text="OK")


def _searxng_failure(status: int) -> web.Response:
    return web.Response(text=f"<!doctype html><title>{status}</title>", status=status, content_type="text/html")


SEARXNG = LocalService(
    "searxng",
    {"GET /search": _searxng, "GET /healthz": _searxng_health},
    _searxng_failure,
    keyless=True,
)

SEARCHES = (TAVILY, SERPER, BRAVE, GOOGLE, BING, JINA, FIRECRAWL, SEARXNG)
