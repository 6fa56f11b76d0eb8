#!/usr/bin/env python3
"""Generate the wire code from proto/; the work behind `make proto`.

The generated modules are committed, so that nobody needs the generator to run the project; a test generates them again
and fails if they differ.
"""

from __future__ import annotations

import argparse
import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent


def generate(output: Path) -> None:
    """Write the modules of every .proto file below proto/ to `output`, laid out as their packages are."""
    proto = ROOT / "proto"
    sources = sorted(str(path.relative_to(proto)) for path in proto.rglob("*.proto"))
    well_known = files("grpc_tools") / "_proto"
    flags = [f"--proto_path={proto}", f"--proto_path={well_known}", f"--python_out={output}", f"--pyi_out={output}"]
    if protoc.main(["protoc", *flags, *sources]) != 0:
        sys.exit("proto: protoc failed")


def main() -> None:
    """Generate into the tree, or where --output says."""
    parser = argparse.ArgumentParser(description="Generate the wire code from proto/.")
    parser.add_argument("--output", type=Path, default=ROOT)
    generate(parser.parse_args().output)


if __name__ == "__main__":
    main()
