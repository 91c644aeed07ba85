"""The process of an embedded language model: llama.cpp's own server on a UNIX socket.

Owns: the server's parameters.
Must never: open a TCP port.
"""

from __future__ import annotations

import sys

from meshd.connectors.providers.embedded import child

_ERRORS_ONLY = 1


def main(arguments: list[str] | None = None) -> int:
    parser = child.parser("serve a GGUF file on a UNIX socket")
    parser.add_argument("--model", required=True, help="path of the GGUF file")
    parser.add_argument("--context", type=int, required=True, help="tokens of context for each request")
    parser.add_argument("--parallel", type=int, default=2, help="requests answered in parallel")
    given = parser.parse_args(arguments)
    confined = child.settle(given.socket, given.model)

    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = given.model
    parameters.model_alias = {given.alias}
    parameters.hostnames = [given.socket]
    parameters.n_parallel = given.parallel
    # One cache for all slots halves the memory: one request may fill the whole window, but two rarely do.
    parameters.n_ctx = given.context
    parameters.kv_unified = True
    parameters.cpuparams.n_threads = child.threads(given.threads)
    parameters.cpuparams_batch.n_threads = child.threads(given.threads)
    parameters.n_gpu_layers = 0
    parameters.ui = False
    parameters.warmup = False
    parameters.verbosity = _ERRORS_ONLY
    server = xllamacpp.Server(parameters)
    if not server.listening_address.startswith("unix:"):
        print(f"listening on {server.listening_address} instead of the socket", file=sys.stderr)
        return 1
    child.announce(confined)
    child.wait_for_ever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
