"""The results of tests as JUnit XML: what continuous integration shows.

A test that the prompted model fails, too, is `skipped` there, with the reason: it says something of
the prompt, nothing of the bake.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

from bakery.app.testing import Results, Row
from bakery.errors import ConfigError, StageError
from bakery.paths import expanded
from bakery.records import write_atomic


def check(file: Path) -> Path:
    """Return where results will be written; ConfigError where no file can be, before any test."""
    path = expanded(file)
    if path.is_dir():
        raise ConfigError(f"--junit {file} is a folder", hint="Name a file: --junit results.xml.")
    if path.exists() and not path.is_file():
        raise ConfigError(f"--junit {file} is no file that can be replaced", hint="Name another.")
    parents = path.absolute().parents
    there = next(parent for parent in parents if parent.exists())
    if not there.is_dir():
        raise ConfigError(f"--junit {file}: {there} is no folder", hint="Name another place.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"--junit {file}: {there} may not be written to", hint="Name another.")
    return path


def write(path: Path, results: Results) -> None:
    """Write the results, and the folders that the file lies in."""
    try:
        write_atomic(path, text(results))
    except OSError as error:
        raise StageError(f"{path} cannot be written: {error.strerror}") from error


def text(results: Results) -> str:
    """Return the XML."""
    lost, of_prompt = results.of_state("lost"), results.of_state("prompt")
    counts = {
        "tests": str(len(results.rows)),
        "failures": str(len(lost)),
        "errors": "0",
        "skipped": str(len(of_prompt)),
    }
    top = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(top, "testsuite", {"name": _fit(results.model), **counts})
    for row in results.rows:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": _fit(results.file), "name": _fit(row.name)}
        )
        _add(case, row)
    ElementTree.indent(top)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        + ElementTree.tostring(top, encoding="unicode")
        + "\n"
    )


def _add(case: ElementTree.Element, row: Row) -> None:
    """Add what became of a test, and what was said to it."""
    if row.state == "lost":
        told = "; ".join(f"{one.check}: {one.why}" for one in row.lost)
        ElementTree.SubElement(case, "failure", {"message": _fit(told)}).text = _fit(_said(row))
    elif row.state == "prompt":
        told = "; ".join(f"{one.check}: {one.why}" for one in row.of_prompt)
        what = f"the prompted model fails it, too: {told}"
        ElementTree.SubElement(case, "skipped", {"message": _fit(what)})
        ElementTree.SubElement(case, "system-out").text = _fit(_said(row))


def _said(row: Row) -> str:
    asked = "question" if len(row.case.turns) == 1 else "user"
    talk = row.talk(list(row.answers))
    return "\n".join(f"{asked if who == 'user' else who}: {said}" for who, said in talk)


_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML has no way to write."""


def _fit(text: str) -> str:
    return _UNFIT.sub("�", text)
