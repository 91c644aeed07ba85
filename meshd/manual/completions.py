"""Completions for bash, zsh and fish.

Owns: the scripts and where shells look for them. What `meshctl` completes, it says itself when a shell asks it; the
few options of `meshd` are in its scripts.
Must never: write a file.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Final

from meshd.app.parser import parser_of_arguments
from meshd.manual.pages import choices_of, option, parser_options

_ASK: Final = "_MESHCTL_COMPLETE"  # the variable in which typer finds the shell's question

_BASH: Final = f"""\
_meshctl() {{
    local IFS=$'\\n'
    COMPREPLY=($(env COMP_WORDS="${{COMP_WORDS[*]}}" COMP_CWORD="$COMP_CWORD" {_ASK}=complete_bash "$1" 2>/dev/null))
}}
complete -o default -F _meshctl meshctl
"""
_ZSH: Final = f"""\
#compdef meshctl
_meshctl() {{
    eval "$(env _TYPER_COMPLETE_ARGS="${{words[1,$CURRENT]}}" {_ASK}=complete_zsh meshctl 2>/dev/null)"
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _meshctl "$@"
else
    compdef _meshctl meshctl
fi
"""
_FISH: Final = f"""\
function __meshctl_asked
    set -lx {_ASK} complete_fish
    set -lx _TYPER_COMPLETE_FISH_ACTION $argv[1]
    set -lx _TYPER_COMPLETE_ARGS (commandline -cp)
    meshctl 2>/dev/null
end
complete --command meshctl --no-files --arguments "(__meshctl_asked get-args)" --condition "__meshctl_asked is-args"
"""


def completions() -> Iterator[tuple[str, str]]:
    """(path below a `share` directory, text) of each script."""
    yield "bash-completion/completions/meshctl", _BASH
    yield "zsh/vendor-completions/_meshctl", _ZSH
    yield "fish/vendor_completions.d/meshctl.fish", _FISH
    actions = parser_options(parser_of_arguments())
    yield "bash-completion/completions/meshd", _bash(actions)
    yield "zsh/vendor-completions/_meshd", _zsh(actions)
    yield "fish/vendor_completions.d/meshd.fish", _fish(actions)


def _bash(actions: list[argparse.Action]) -> str:
    words = " ".join(word for action in actions for word in action.option_strings)
    cases = []
    for action in actions:
        if action.choices:
            values = " ".join(choices_of(action))
            cases.append(
                f"        {action.option_strings[-1]}) COMPREPLY=($(compgen -W '{values}' -- \"$2\")); return ;;"
            )
    lines = ["_meshd() {", '    case "$3" in', *cases, "    esac"]
    lines += [f"    [[ $2 == -* ]] && COMPREPLY=($(compgen -W '{words}' -- \"$2\"))", "}"]
    return "\n".join([*lines, "complete -o default -F _meshd meshd", ""])


def _zsh(actions: list[argparse.Action]) -> str:
    lines = []
    for action in actions:
        what = _plain(action).replace("[", "(").replace("]", ")").replace(":", ",")
        value = f":{str(action.metavar).lower()}:_files" if action.metavar else ""
        if action.choices:
            value = f":value:({' '.join(choices_of(action))})"
        lines += [f"    '{name}[{what}]{value}'" for name in action.option_strings]
    return "#compdef meshd\n_arguments \\\n" + " \\\n".join(lines) + "\n"


def _fish(actions: list[argparse.Action]) -> str:
    lines = []
    for action in actions:
        names = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in action.option_strings]
        value = " -r -F" if action.metavar else " -f"
        if action.choices:
            value = f" -x -a '{' '.join(choices_of(action))}'"
        lines.append(f"complete -c meshd {' '.join(names)}{value} -d '{_plain(action)}'")
    return "\n".join(lines) + "\n"


def _plain(action: argparse.Action) -> str:
    return option(action)[1].rstrip(".").replace("'", "")
