"""One target under the fuzzer, in a process of its own: `python -m fuzz.child TARGET FOLDER SECONDS`.

What a target raises is kept as a finding, one for each place it is raised at, and the run goes on. What ends the
process, and what does not come to an end, libFuzzer keeps by itself.
"""

from __future__ import annotations

import hashlib
import sys
import time
import traceback
from functools import partial
from pathlib import Path

import atheris
from fuzz.mutating import mutate_json
from fuzz.target import Target
from fuzz.targets import load

# What an input may take: so much in any case, and for each of its bytes. Instrumented code is a few times slower than
# it is by itself, and other processes share the machine.
_MAX_SECONDS = 0.5
_MAX_SECONDS_A_BYTE = 0.0005
_STUCK_SECONDS = 20
_MAX_MIB = 3000


class SlowError(Exception):
    """An input that takes too long for its length."""


class Findings:
    """The inputs that showed something, in a folder: the shortest for each place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shortest: dict[str, int] = {}

    def keep(self, data: bytes, error: BaseException) -> None:
        """Keep an input, unless a shorter one showed the same."""
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{type(error).__name__}-{Path(frames[-1].filename).stem}-{frames[-1].lineno}"
        if len(data) >= self._shortest.get(place, sys.maxsize):
            return
        self._shortest[place] = len(data)
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / place).write_bytes(data)
        text = "".join(traceback.format_exception(error))
        (self._folder / f"{place}.txt").write_text(f"{hashlib.sha256(data).hexdigest()[:12]}\n{text}")


def run(target: Target, findings: Findings, data: bytes) -> None:
    """Check one input."""
    try:
        started = time.process_time()
        target.check(data)
        if time.process_time() - started > _limit_seconds(data):
            _check_again(target, data)
    except Exception as error:  # noqa: BLE001 - any of them is a finding
        findings.keep(data, error)


def _check_again(target: Target, data: bytes) -> None:
    """Raise SlowError if an input takes long, and did not only happen to."""
    for _ in range(3):
        started = time.process_time()
        target.check(data)
        if time.process_time() - started <= _limit_seconds(data):
            return
    raise SlowError


def _limit_seconds(data: bytes) -> float:
    return _MAX_SECONDS + _MAX_SECONDS_A_BYTE * len(data)


def main(name: str, folder: Path, seconds: int) -> None:
    """Run the target, for so long."""
    with atheris.instrument_imports(include=["extproc"]):
        target = load(name)
    seeds, corpus, words = folder / "seeds", folder / "corpus", folder / "words.dict"
    for each in (seeds, corpus):
        each.mkdir(parents=True, exist_ok=True)
    for old in seeds.iterdir():
        old.unlink()
    for number, seed in enumerate(target.seeds()):
        (seeds / f"{number:04}").write_bytes(seed)
    quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
    words.write_text("".join(f'"{word}"\n' for word in quoted))
    names = tuple(word.decode().strip('"') for word in target.words if word[:1] == b'"' and word[-1:] == b'"')
    arguments = [
        sys.argv[0],
        str(corpus),
        str(seeds),
        f"-max_total_time={seconds}",
        f"-max_len={target.max_input_bytes}",
        f"-artifact_prefix={folder / 'findings'}/",
        f"-timeout={_STUCK_SECONDS}",
        f"-rss_limit_mb={_MAX_MIB}",
        "-print_final_stats=1",
    ]
    if target.words:
        arguments.append(f"-dict={words}")
    (folder / "findings").mkdir(exist_ok=True)
    one_input = partial(run, target, Findings(folder / "findings"))
    if not target.is_json:
        atheris.Setup(arguments, one_input)
    else:

        def mutate(data: bytes, max_bytes: int, seed: int) -> bytes:
            return mutate_json(data, max_bytes, seed, atheris.Mutate, names or ("a",))

        atheris.Setup(arguments, one_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
