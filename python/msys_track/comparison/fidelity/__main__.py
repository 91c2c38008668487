"""`make fidelity`: what each way does to mails, as the tables of `docs/fidelity.md`.

```sh
python -m msys_track.comparison.fidelity                  # the tables, to the terminal
python -m msys_track.comparison.fidelity --every 20       # of each twentieth item of the corpus
```

It ends with 1 if a way of ours has done damage, and with 2 if there is no corpus or something else
is missing.
"""

import sys

from msys_track.errors import TrackingError
from msys_track.extras import needed_extra

UNUSABLE = 2


def main() -> int:
    """Make the report; return the exit code."""
    try:
        with needed_extra("bench", "the fidelity report"):
            from msys_track.comparison.fidelity.report import run_report  # noqa: PLC0415
        return run_report()
    except (TrackingError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return UNUSABLE


if __name__ == "__main__":
    raise SystemExit(main())
