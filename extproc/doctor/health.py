"""How does the sidecar fare, by its own account?

Owns: what is found in its readiness and its metrics. Must not know Envoy.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Final

from extproc.doctor.findings import Finding, error, note, warning
from extproc.doctor.sidecar import Sidecar
from extproc.errors import MENDS, Bound, Hindrance, Reason, Stage

_WHERE = "sidecar"

# All that is read here of its metrics: who has no text of them need not make one of the rest.
NAMES: Final = (
    "extproc_config_last_reload_successful",
    "extproc_envoy_misconfigured",
    "extproc_shedding",
    "extproc_bounds_hit_total",
    "extproc_extraction_errors_total",
    "extproc_streams_without_message_total",
    "extproc_label_values_dropped_total",
    "extproc_label_values_cut_total",
    "extproc_sink_errors_total",
    "extproc_telemetry_dropped_total",
    "extproc_usage_log_lines_total",
    "extproc_unpriced_exchanges_total",
    "extproc_worker_restarts_total",
    "extproc_tls_certificate_expiry_timestamp_seconds",
)

_MENDS: dict[str, str] = {problem.value: mend for problem, mend in MENDS.items()}

# How long before its end a certificate that nobody has renewed is told of.
_EXPIRY_SECONDS: Final = 7 * 86400.0

# What to do about exchanges that could not be read, where there is something.
_ADVICE: dict[str, str] = {
    Reason.CONTENT_ENCODING: "request_headers_to_remove: [accept-encoding]      # in Envoy, at the virtual host",
    Reason.TOO_LARGE: "max_body_bytes: 67108864\nmax_event_bytes: 67108864",
    Reason.NATIVE_FAILED: "limits: {max_json_body_size: 10485760, max_sse_event_size: 10485760}   "
    "# of ai_protocol_manager's token_usage",
    Reason.INTERNAL: "# a bug: report it, with the line in the sidecar's log",
}
# Models come from clients: more room for them is only needed if they are all meant.
_MODEL_ADVICE = "labels: {rules: {model: {allow: [...], pinned: [...]}}}      # or more: max_label_values: 1000"
_LABEL_ADVICE = dict.fromkeys(("model", "gen_ai_request_model", "gen_ai_response_model"), _MODEL_ADVICE)
_BOUNDS_OF_A_PROCESS = (Bound.STREAMS, Bound.STREAM_AGE, Bound.MEMORY)
_OTHER_ADVICE = "extproc replay CAPTURE.har      # says of a capture what could not be read"


def check_sidecar(sidecar: Sidecar) -> Iterator[Finding]:
    """Find what the sidecar says of itself that is not as it should be."""
    if sidecar.is_ready is None:
        yield error(
            "sidecar-unreachable",
            _WHERE,
            "Its admin port gives no answer; what is said of it here is from settings and defaults.",
            "extproc doctor --sidecar http://HOST:9092",
        )
        return
    if not sidecar.is_ready:
        yield error(
            "sidecar-not-ready",
            _WHERE,
            "/readyz says no: it starts, drains, or its workers keep failing.",
            "# see the sidecar's log",
        )
    yield from _check_configuration(sidecar)
    yield from _check_counters(sidecar)
    yield from _check_losses(sidecar)
    yield from _check_bounds(sidecar)
    yield from _check_certificate(sidecar)
    yield from _check_prices(sidecar)


def _check_configuration(sidecar: Sidecar) -> Iterator[Finding]:
    if any(value == 0 for _, value in sidecar.series("extproc_config_last_reload_successful")):
        yield error(
            "reload-failed",
            _WHERE,
            "The changed configuration has a mistake: the one before it still runs.",
            "extproc config check FILE      # and see the sidecar's log",
        )
    problems = {labels.get("problem", "") for labels, value in sidecar.series("extproc_envoy_misconfigured") if value}
    # Whether that mode is wanted shows in Envoy's configuration, which is looked at for it.
    for problem in sorted(problems - {"", Hindrance.OBSERVABILITY_MODE}):
        yield warning(
            "envoy-misconfigured",
            _WHERE,
            f"By what came over its streams, it warns of {problem}: {_MENDS.get(problem, 'see its log')}.",
            "# once it is mended, a restart of the sidecar forgets it",
        )


def _check_bounds(sidecar: Sidecar) -> Iterator[Finding]:
    if sidecar.total("extproc_shedding"):
        yield error(
            "shedding",
            _WHERE,
            "Memory is short: new exchanges pass unread.",
            "max_memory_bytes: 1073741824      # or a higher limit of the container",
        )
    for labels, value in sidecar.series("extproc_bounds_hit_total"):
        bound = labels.get("bound", "?")
        if value and bound in _BOUNDS_OF_A_PROCESS:  # the others show in what could not be read
            yield warning(
                "bounds-hit",
                _WHERE,
                f"{value:.0f} exchanges, or the rest of them, passed unread beyond {bound}.",
                f"{bound}: ...      # more, if they were meant well; or more workers",
            )


def _check_counters(sidecar: Sidecar) -> Iterator[Finding]:
    for labels, value in sidecar.series("extproc_extraction_errors_total"):
        if value and labels.get("stage") != Stage.ESTIMATE:  # of which nothing was read amiss
            stage, reason = labels.get("stage", "?"), labels.get("reason", "?")
            yield warning(
                "extraction-errors",
                _WHERE,
                f"{value:.0f} times something could not be read: {reason} in {stage}.",
                _ADVICE.get(reason, _OTHER_ADVICE),
            )
    if empty := sidecar.total("extproc_streams_without_message_total"):
        yield warning(
            "streams-without-message",
            _WHERE,
            f"{empty:.0f} streams were given up before a message was read: their exchanges went on unmetered.",
            "message_timeout: 5s      # in Envoy; and more CPU, or more workers, for the sidecar",
        )
    for labels, value in sidecar.series("extproc_label_values_dropped_total"):
        if value:
            label = labels.get("label", "?")
            yield warning(
                "label-values-dropped",
                _WHERE,
                f"{value:.0f} exchanges are counted under {label}=other, because there are too many values.",
                _LABEL_ADVICE.get(label, "max_label_values: 1000"),
            )
    for labels, value in sidecar.series("extproc_label_values_cut_total"):
        if value:
            label = labels.get("label", "?")
            yield warning(
                "label-values-cut",
                _WHERE,
                f"{value:.0f} exchanges are counted under a value of {label} whose end is missing.",
                'labels: {rules: {"*": {max_length: 256}}}',
            )


def _check_losses(sidecar: Sidecar) -> Iterator[Finding]:
    if errors := sidecar.total("extproc_sink_errors_total"):
        yield warning(
            "sink-errors",
            _WHERE,
            f"{errors:.0f} exchanges could not be taken into account.",
            "# a bug: report it, with the line in the sidecar's log",
        )
    if dropped := sidecar.total("extproc_telemetry_dropped_total"):
        yield warning(
            "telemetry-dropped",
            _WHERE,
            f"{dropped:.0f} items of telemetry were taken by no collector.",
            "# is the collector there? See the sidecar's log; telemetry.queue has room for a while",
        )
    lines = dict.fromkeys(("written", "dropped"), 0.0)
    for labels, value in sidecar.series("extproc_usage_log_lines_total"):
        lines[labels.get("outcome", "?")] = value
    if lines["dropped"]:
        yield error(
            "usage-log-dropped",
            _WHERE,
            f"{lines['dropped']:.0f} exchanges are missing in the usage log.",
            "# is there room on its disk, and does somebody read its pipe? See the sidecar's log",
        )
    if restarts := sidecar.total("extproc_worker_restarts_total"):
        yield warning(
            "workers-restarted",
            _WHERE,
            f"{restarts:.0f} times a worker has ended by itself: what was under way in it went on unmetered.",
            "# see the sidecar's log; exit code -9 is the system's, for want of memory",
        )


def _check_certificate(sidecar: Sidecar) -> Iterator[Finding]:
    for _, expires_at in sidecar.series("extproc_tls_certificate_expiry_timestamp_seconds"):
        left_seconds = expires_at - time.time()
        if expires_at and left_seconds < _EXPIRY_SECONDS:
            when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(expires_at))
            some, verb = (error, "has expired") if left_seconds < 0 else (warning, "expires")
            yield some(
                "certificate-expires",
                _WHERE,
                f"The certificate of the ext_proc port {verb} on {when}: Envoy refuses it then.",
                "# put new files in the place of listen_tls.cert_file and key_file: they are taken without a restart",
            )


def _check_prices(sidecar: Sidecar) -> Iterator[Finding]:
    series = sidecar.series("extproc_unpriced_exchanges_total")
    for labels, value in sorted(series, key=lambda one: -one[1]):
        if value:
            model = json.dumps(labels.get("model", "?"), ensure_ascii=False)
            yield note(
                "model-unpriced",
                _WHERE,
                f"{value:.0f} exchanges with {model} are missing in what is counted of cost: it has no price.",
                f"prices: {{models: [{{model: {model}, input: 1.25, output: 10}}]}}   # dollars for a million tokens",
            )
