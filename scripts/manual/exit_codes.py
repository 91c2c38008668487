"""The page of exit codes, made from the codes themselves.

`python -m scripts.manual.exit_codes` prints docs/reference/exit-codes.md; a test compares.
"""

import sys
from typing import Final

from msys_track.cli.exits import ExitCode

_INTRODUCTION: Final = """\
# Exit codes

Made from the commands' codes by `python -m scripts.manual.exit_codes`; change it there. All
commands of `msys-track` end with one of these:

| code | it means |
| --- | --- |
"""
_NOTES: Final = """
What a command writes to standard error is one line for each fault, and what to do.

Commands that look for something have no fault to report if they find nothing. These find faults:

| command | 1 | 2 |
| --- | --- | --- |
| `msys-track check` | the installation has a fault; a warning is none | the configuration is faulty |
| `msys-track config check`, `config import` | a file can't be read | the configuration has a fault |
| `msys-track demo` | an expectation does not hold | |
| `msys-track explain` | the mail would be refused | the configuration is faulty |
| `msys-track webhook test` | the answer is not 2xx | the configuration is faulty |

So a deployment can ask before it reloads a server:

```sh
msys-track config check msys-track.toml && echo good
```
"""  # noqa: E501 - a row of a table is a line


def write_markdown() -> str:
    """Write all exit codes as one Markdown page."""
    return (
        _INTRODUCTION
        + "".join(f"| {code.value} | {code.meaning} |\n" for code in ExitCode)
        + _NOTES
    )


if __name__ == "__main__":
    sys.stdout.write(write_markdown())
