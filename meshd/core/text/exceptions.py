"""Describes an exception that third-party code raised."""


def one_line(error: BaseException) -> str:
    """Its class and text, without line breaks and of bounded length."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")[:300]
