from pathlib import Path

import pytest
from tests.config.mutations import write_named_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with the files that the good configurations name."""
    write_named_files(tmp_path)
    return tmp_path
