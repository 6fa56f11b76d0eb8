"""Can answers be read as they come by?

Owns: what is found of filters that compress. Answers pass filters from the last to the first, so what stands behind
ext_proc has them before it. Must not know modes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from extproc.doctor.attached import Attached
from extproc.doctor.documents import message, obj
from extproc.doctor.findings import Finding, error, note
from extproc.doctor.sidecar import Expected

_MEND = """\
http_filters:
- name: envoy.filters.http.compressor     # before ext_proc: it compresses what has been read
- name: envoy.filters.http.ext_proc"""

# By the types of Envoy's libraries: the content codings they write.
_LIBRARIES = {"Gzip": "gzip", "Brotli": "br", "Zstd": "zstd"}


def check_compressors(attached: Sequence[Attached], expected: Expected) -> Iterator[Finding]:
    """Find compressors that the sidecar's answers have gone through."""
    for each in attached:
        for index, compressor in each.chain.find("Compressor"):
            if index < each.index or compressor.is_disabled:
                continue
            library = message(obj(compressor.config, "compressor_library").get("typed_config"))[0]
            coding = _LIBRARIES.get(library, "")
            if any(manager > each.index for manager, _ in each.chain.find("AiProtocolManager")):
                if index > max(manager for manager, _ in each.chain.find("AiProtocolManager")):
                    yield error(
                        "compressed-before-reading",
                        each.chain.where,
                        f"{compressor.name} compresses answers "
                        "before ai_protocol_manager sees them, which reads none that are compressed.",
                        _MEND,
                    )
            elif coding in expected.content_codings:
                yield note(
                    "compressed-before-reading",
                    each.chain.where,
                    f"{compressor.name} compresses answers before "
                    "the sidecar sees them, which then has to take that off again.",
                    _MEND,
                )
            else:
                yield error(
                    "compressed-before-reading",
                    each.chain.where,
                    f"{compressor.name} compresses answers before "
                    f"the sidecar sees them, which can't read {coding or library or 'what it writes'}.",
                    _MEND,
                )
