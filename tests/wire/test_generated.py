from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_committed_wire_code_is_what_the_generator_writes(root: Path, tmp_path: Path) -> None:
    """Whoever changes proto/ runs `make proto` and commits the result."""
    subprocess.run([sys.executable, root / "tools/generate_proto.py", "--output", tmp_path], check=True)
    generated = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*_pb2.py*")}
    committed = {path.relative_to(root): path.read_text() for path in (root / "extproc").rglob("*_pb2.py*")}
    committed = {path: text for path, text in committed.items() if "__pycache__" not in path.parts}
    assert generated == committed
    assert len(generated) == 8
