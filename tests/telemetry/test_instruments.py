from __future__ import annotations

import pytest
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics, http_metrics

from extproc.config.forms import checked_label_name
from extproc.config.telemetry import Telemetry
from extproc.errors import SettingsError
from extproc.telemetry import instruments, names
from extproc.telemetry.instruments import (
    INSTRUMENTS,
    LAYERS,
    SIZE_BUCKETS_BYTES,
    TIME_BUCKETS_SECONDS,
    attribute_keys,
    gen_ai_instruments,
    label_of,
    rebucketed,
)
from extproc.telemetry.names import Vocabulary

KNOWN = {
    value
    for module in (gen_ai_metrics, http_metrics)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
}

LEGACY = {
    "gen_ai.client.token.usage",
    "gen_ai.client.operation.duration",
    "gen_ai.server.time_to_first_token",
    "gen_ai.server.time_per_output_token",
}
V1_41 = LEGACY | {"gen_ai.client.operation.time_to_first_chunk", "gen_ai.client.operation.time_per_output_chunk"}
ADDED = {
    "gen_ai.client.inference.usage.input_tokens",
    "gen_ai.client.inference.usage.output_tokens",
    "gen_ai.client.inference.usage.cache_read.input_tokens",
    "gen_ai.client.inference.usage.cache_write.input_tokens",
    "gen_ai.client.inference.usage.reasoning.output_tokens",
    "gen_ai.client.inference.operation.input_tokens",
    "gen_ai.client.inference.operation.output_tokens",
}
LATEST = (V1_41 - {"gen_ai.client.token.usage"}) | ADDED


@pytest.mark.parametrize(
    ("vocabularies", "expected"),
    [
        (("legacy",), LEGACY),
        (("1.41",), V1_41),
        (("latest",), LATEST),
        (("1.41", "latest"), V1_41 | LATEST),
    ],
)
def test_the_metrics_of_a_vocabulary_never_change_by_accident(
    vocabularies: tuple[Vocabulary, ...], expected: set[str]
) -> None:
    """Dashboards are written against them."""
    assert {each.name for each in gen_ai_instruments(vocabularies)} == expected


def test_metrics_are_opentelemetrys() -> None:
    """As far as its package names them; KrakenD's are its own."""
    assert V1_41 <= KNOWN
    assert {each.name for each in _layers("1.27") if each.name in KNOWN} == {
        "http.server.request.duration",
        "http.server.response.body.size",
        "http.client.request.duration",
        "http.client.request.body.size",
        "http.client.response.body.size",
    }


def test_krakends_names_never_change_by_accident() -> None:
    """In Prometheus, where its dashboards look for them."""
    old = {f"{each.family}{'_total' if each.kind == 'counter' else ''}" for each in _layers("")}
    assert old == {
        "http_server_duration",
        "http_server_response_size",
        "krakend_proxy_duration",
        "krakend_backend_duration",
        "http_client_duration",
        "http_client_request_started_count_total",
        "http_client_request_failed_count_total",
        "http_client_request_canceled_count_total",
        "http_client_request_timedout_count_total",
        "http_client_request_size_total",
        "http_client_response_size",
        "http_client_response_no_content_length_total",
        "http_client_response_read_size_total",
        "http_client_response_read_size_hist",
        "http_client_response_read_time_seconds_total",
        "http_client_response_read_time_hist_seconds",
        "http_client_response_read_errors_total",
    }
    assert {each.family for each in _layers("1.27")} - {each.family for each in _layers("")} == {
        "http_server_request_duration_seconds",
        "http_server_response_body_size_bytes",
        "http_client_request_duration_seconds",
        "http_client_request_body_size_bytes",
        "http_client_response_body_size_bytes",
    }


def _layers(convention: str) -> list[instruments.Instrument]:
    return [getattr(LAYERS[convention], name) for name in LAYERS[convention].__slots__]


def test_buckets_are_those_that_are_advised() -> None:
    """Quantiles of two sources can only be compared in the same ones."""
    assert instruments.TOKEN_USAGE.bounds == tuple(4**power for power in range(14))
    assert instruments.OPERATION_DURATION.bounds == tuple(round(0.01 * 2**power, 2) for power in range(14))
    assert (len(TIME_BUCKETS_SECONDS), TIME_BUCKETS_SECONDS[0], TIME_BUCKETS_SECONDS[-1]) == (20, 0.01, 10)
    assert (len(SIZE_BUCKETS_BYTES), SIZE_BUCKETS_BYTES[0], SIZE_BUCKETS_BYTES[-1]) == (15, 128, 64 * 1024**2)
    assert all(list(each.bounds) == sorted(set(each.bounds)) for each in INSTRUMENTS.values())
    assert all(bool(each.bounds) == (each.kind == "histogram") for each in INSTRUMENTS.values())


def test_no_two_metrics_share_a_family() -> None:
    """Prometheus would refuse both."""
    gen_ai = gen_ai_instruments(("legacy", "1.41", "latest"))
    every = {*gen_ai, instruments.COST, *_layers(""), *_layers("1.27")}
    assert len({each.family for each in every}) == len(every) == len(INSTRUMENTS)


def test_a_deployment_has_buckets_of_its_own() -> None:
    """For the layers, and in order; those of gen_ai.* are OpenTelemetry's."""
    layers = LAYERS["1.27"]
    assert rebucketed(layers.server_duration, (2, 1), ()).bounds == (1, 2)
    assert rebucketed(layers.server_response_size, (2, 1), (10,)).bounds == (10,)
    assert rebucketed(layers.server_response_size, (2, 1), ()) == layers.server_response_size
    assert rebucketed(layers.client_started, (1,), (1,)) == layers.client_started


@pytest.mark.parametrize(
    ("attribute", "label"),
    [("http.request.method", "http_request_method"), ("x-team", "x_team"), ("1st", "key_1st"), ("a b/ö", "a_b__"),
     ("le", "key_le"), ("quantile", "key_quantile"), ("__name__", "key___name__"), ("", "key_"), ("level", "level"),
     ("extproc_group", "key_extproc_group"), ("extproc.group", "key_extproc_group")],
)  # fmt: skip
def test_attributes_as_labels(attribute: str, label: str) -> None:
    """Prometheus knows letters, digits and underscores, and makes something of some names."""
    assert label_of(attribute) == label


@pytest.mark.parametrize(
    "attribute", [each for each in names.METRIC_ATTRIBUTES if each.startswith(("gen_ai", "error."))]
)
def test_a_custom_label_is_none_that_these_metrics_have(attribute: str) -> None:
    """One would hide the other, and series that differ would be told as one."""
    with pytest.raises(SettingsError, match="is taken"):
        checked_label_name(label_of(attribute))


def test_labels_are_attributes_again() -> None:
    """Of all rules, as they were written."""
    static = [{"key": "my.static", "value": "x"}]
    telemetry = Telemetry.model_validate(
        {
            "custom_labels": [{"name": "x_team", "header": "x-team"}],
            "layers": {"global": {"metrics_static_attributes": static}},
            "overrides": [
                {
                    "proxy": {"metrics_static_attributes": [{"key": "my.proxy", "value": "x"}]},
                    "backend": {"metrics": {"static_attributes": [{"key": "my.backend", "value": "x"}]}},
                },
                {"global": {"metrics_static_attributes": [{"key": "my.other", "value": "x"}]}},
            ],
        }
    )
    keys = attribute_keys(telemetry)
    assert {keys[label] for label in ("my_static", "my_proxy", "my_backend", "my_other", "x_team")} == {
        "my.static", "my.proxy", "my.backend", "my.other", "x_team",
    }  # fmt: skip
    assert keys["http_response_status_code"] == "http.response.status_code"
