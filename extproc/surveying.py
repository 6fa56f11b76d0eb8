"""What telemetry settings mean for sessions: which headers, labels, rules and decisions a survey is made by.

Owns: turning the schema into a Surveyor. Must not know what becomes of what is surveyed.
"""

from __future__ import annotations

import fnmatch
import random
import re
import time
from collections.abc import Callable

from extproc.config.telemetry import CustomLabel, Override, Telemetry
from extproc.server.surroundings import LabelSource, Rule, Surveyor
from extproc.surroundings import TraceContext
from extproc.telemetry.rules import layers_of_rules
from extproc.trace_context import Sampling, format_b3, format_traceparent

# A decision for whoever exports no traces: where Envoy or a client traces, exemplars can name that trace.
_OTHERS_DECIDE = "parentbased_always_off"

# What a propagator writes for the upstream, by the header it goes into.
_WRITERS: dict[str, tuple[str, Callable[[TraceContext], str]]] = {
    "tracecontext": ("traceparent", format_traceparent),
    "b3": ("b3", format_b3),
}

_PLACEHOLDER = re.compile(r"\{[^/{}]*\}")


def build_surveyor(telemetry: Telemetry) -> Surveyor:
    """Return what collects of every exchange what these settings want to know."""
    has_traces = telemetry.exporters.send_traces
    layer = telemetry.layers.global_
    sampling = Sampling(telemetry.trace_sampler, telemetry.trace_sample_rate) if has_traces else None
    if sampling is None and telemetry.exemplars:
        sampling = Sampling(_OTHERS_DECIDE)
    writers = [_WRITERS[name] for name in telemetry.propagators if name in _WRITERS]
    return Surveyor(
        random_bits=random.Random(random.SystemRandom().getrandbits(256)).getrandbits,  # noqa: S311 - no secrets
        sampling=sampling,
        propagators=() if layer.disable_propagation else telemetry.propagators,
        inject=dict(writers) if telemetry.inject_context and has_traces and _has_call(telemetry) else None,
        labels=tuple(map(_label_source, telemetry.custom_labels)),
        is_reported=_find_reported(telemetry) if has_traces else None,
        skip_paths=tuple(map(_compile_skipped, filter(None, telemetry.skip_paths))),
        rules=tuple(_build_rule(override, sampling or Sampling()) for override in telemetry.overrides),
        clock=time.monotonic,
        follows_only=not has_traces,
    )


def _has_call(telemetry: Telemetry) -> bool:
    """Say whether there is a span of the call: nobody is told of one that is never sent."""
    backend = telemetry.layers.backend
    return not backend.disable_traces and not backend.traces.disable_stage


def compile_path(pattern: str) -> re.Pattern[str]:
    """Return what a glob of paths means; KrakenD's {placeholder} stands for one segment."""
    parts = _PLACEHOLDER.split(pattern)
    return re.compile("[^/]+".join(_translate(part) for part in parts), re.DOTALL)


def _translate(glob: str) -> str:
    """Return a glob as a regular expression, without the anchors that the standard library puts around it."""
    return fnmatch.translate(glob).removeprefix("(?s:").removesuffix(r")\Z").removesuffix(r")\z")


def _compile_skipped(path: str) -> re.Pattern[str]:
    """Return what a path to leave out means: itself, but for placeholders; with a slash at its end all below it."""
    literal = "[^/]+".join(map(re.escape, _PLACEHOLDER.split(path)))
    return re.compile(literal + (".*" if path.endswith("/") else ""), re.DOTALL)


def _build_rule(override: Override, sampling: Sampling) -> Rule:
    rate = override.exporters_override.trace_sample_rate
    authority = re.compile(fnmatch.translate(override.authority))
    own = sampling if rate is None else Sampling(sampling.sampler, rate)
    return Rule(authority, compile_path(override.path), own)


def _label_source(label: CustomLabel) -> LabelSource:
    if label.metadataKey is not None:
        return LabelSource(label.metadataNamespace, tuple(label.metadataKey.split(label.keyDelimiter)))
    if label.header is not None:
        return LabelSource(header=label.header, header_key=label.headerKey or "")
    return LabelSource(value=label.value or "")


def _find_reported(telemetry: Telemetry) -> Callable[[str], bool] | None:
    """Return what says whether any layer reports a header; None if none does."""
    skipped = [
        frozenset(map(str.lower, layer.skip_headers))
        for layers in layers_of_rules(telemetry).values()
        for layer in (layers.global_, layers.proxy, layers.backend.traces)
        if layer.report_headers
    ]
    if not skipped:
        return None
    by_all = frozenset.intersection(*skipped)
    return lambda name: name not in by_all
