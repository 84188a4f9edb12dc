"""`bgit completion`: what makes a shell complete bgit's words.

The shell hands over the words up to the cursor, and gets back what may stand there: a candidate a
line, with what it is behind a tab. Where nothing comes back, it completes files.

A name may hold what a shell would run: zsh and fish quote what they insert, in bash the script
does.
"""

from __future__ import annotations

import click

from bakery.errors import ConfigError
from bakery.spelling import nearest

SCRIPTS = {
    "bash": """\
_bgit_completion() {
    local word what
    COMPREPLY=()
    while IFS=$'\\t' read -r word what; do
        [ -n "$word" ] && COMPREPLY+=("$(printf '%q' "$word")")
    done < <("$1" completion --answer -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -o bashdefault -F _bgit_completion bgit
""",
    "zsh": """\
#compdef bgit
_bgit() {
    local line
    local -a described
    for line in "${(@f)$("${words[1]}" completion --answer -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ -n $line ]] && described+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}")
    done
    if (( ${#described} )); then
        _describe -V 'bgit' described
    else
        _files
    fi
}
if [[ ${funcstack[1]} == _bgit ]]; then
    _bgit "$@"
else
    compdef _bgit bgit
fi
""",  # noqa: E501 - lines of a shell
    "fish": """\
function __bgit_complete
    set -l typed (commandline -opc)
    bgit completion --answer -- $typed[2..-1] (commandline -ct) 2>/dev/null
end
complete -c bgit -a '(__bgit_complete)'
""",
}


@click.command()
@click.option("--answer", is_flag=True, help="Answer a shell: what may come next of these words?")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="bash|zsh|fish")
def completion(answer: bool, words: tuple[str, ...]) -> None:
    """Print what makes a shell complete bgit's words."""
    if answer:
        from bakery.cli import candidates
        from bakery.ui.harmless import harmless

        for word, what in candidates.following(words).items():
            if harmless(word) == word:  # a shell would type it as it is
                click.echo(f"{word}\t{harmless(what)}" if what else word)
        return
    if len(words) != 1 or words[0] not in SCRIPTS:
        near = nearest(words[0], SCRIPTS) if words else []
        told = f"{' '.join(words)} is not one of" if words else "name a shell:"
        raise ConfigError(
            f"{told} {', '.join(SCRIPTS)}",
            hint=f"did you mean `{near[0]}`?" if near else "`bgit help completion` says how.",
        )
    click.echo(SCRIPTS[words[0]], nl=False)
