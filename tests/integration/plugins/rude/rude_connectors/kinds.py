"""Each raises what its interface does not allow."""

from meshd.sdk.discovery import Discovery
from meshd.sdk.observability import Sink
from meshd.sdk.provider import Provider
from meshd.sdk.secrets import SecretStore
from meshd.sdk.storage import Storage
from meshd.sdk.strategy import Strategy


class RudeProvider(Provider):
    async def execute(self, call):
        raise ZeroDivisionError

    def stream(self, call):
        raise ZeroDivisionError

    async def list_models(self):
        raise ZeroDivisionError

    def describe(self):
        raise ZeroDivisionError


class RudeStrategy(Strategy):
    def order(self, request, candidates, now, random):
        raise ZeroDivisionError("no order today")


class RudeStore(SecretStore):
    def get(self, name):
        raise ZeroDivisionError("the secret is swordfish")

    def files(self, name):
        return 7

    def refresh(self):
        raise ZeroDivisionError


class RudeStorage(Storage):
    def __init__(self, settings, directory):
        pass

    def load(self, key):
        raise ZeroDivisionError

    def save(self, key, value):
        raise ZeroDivisionError

    def delete(self, key):
        raise ZeroDivisionError

    def list(self, prefix=""):
        raise ZeroDivisionError

    def stat(self, key):
        raise ZeroDivisionError

    def lost(self):
        raise ZeroDivisionError

    def close(self):
        raise ZeroDivisionError


class RudeSink(Sink):
    def __init__(self, settings):
        raise ZeroDivisionError

    def write(self, entry):
        raise ZeroDivisionError


class RudeDiscovery(Discovery):
    def look(self):
        yield "a server"
        raise ZeroDivisionError


class Unfinished(Strategy):
    pass
