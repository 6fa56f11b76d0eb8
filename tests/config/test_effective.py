from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.configuration import load

from extproc.config.effective import Value, is_changed, render_json, render_yaml, values_of
from extproc.config.loading import Loaded, load_settings
from extproc.config.settings import Settings
from extproc.credentials import REDACTED

OURS = """\
listen: unix:/x.sock
telemetry:
  resource_attributes: {k8s.pod.name: a, session.token: sssecret}
  custom_labels:
    - {name: team, value: red}
    - {name: api_key, value: sssecret}
  exporters:
    otlp:
      - name: tempo
        host: tempo
        headers:
          x-any: sssecret
        traces: {headers: {x-any: sssecret}}
  layers:
    global:
      traces_static_attributes: [{key: auth, value: sssecret}, {key: tier, value: "https://u:sssecret@x"}]
  overrides: [{}]
"""


def sources(loaded: Loaded, folder: Path) -> dict[str, str]:
    """Return the sources of what is no default, without the folder."""
    return {value.path: value.source.replace(f"{folder}/", "") for value in values_of(loaded) if is_changed(value)}


def test_every_value_has_its_source(tmp_path: Path) -> None:
    """File and line, variable or flag, or none."""
    file = tmp_path / "0"
    file.write_text(OURS)
    environ = {"EXTPROC_METADATA_NAMESPACES": "a,b", "OTEL_TRACES_SAMPLER": "always_on", "LOG_LEVEL": "warn"}
    found = sources(load_settings({"workers": 2, "listen": None}, environ, [file], None), tmp_path)
    assert found["listen"] == "0:1"
    assert found["workers"] == "--workers"
    assert found["log_level"] == "LOG_LEVEL"
    assert found["metadata_namespaces[1]"] == "EXTPROC_METADATA_NAMESPACES[1]"
    assert found["telemetry.trace_sampler"] == "OTEL_TRACES_SAMPLER"
    assert found["telemetry.exporters.otlp[0].host"] == "0:10"
    assert "telemetry.exporters.otlp[0].port" not in found
    assert "drain_seconds" not in found


def test_all_values_are_there(tmp_path: Path) -> None:
    """Those that nobody has set too, in the order of the schema."""
    paths = [value.path.partition(".")[0] for value in values_of(load(tmp_path)) if "[" not in value.path]
    assert list(dict.fromkeys(paths)) == [name for name in Settings.model_fields if name != "metadata_namespaces"]
    assert {value.source for value in values_of(load(tmp_path))} == {"default"}


def test_documents_of_others_have_lines_and_defaults_of_their_own(tmp_path: Path) -> None:
    """A value that KrakenD has by default is set by nobody, and not ours."""
    document = '{"extra_config": {\n"telemetry/opentelemetry": {"exporters": {"otlp": [{"name": "a",\n"host": "x"}]}}}}'
    found = sources(load(tmp_path, document), tmp_path)
    assert found["telemetry.exporters.otlp[0].host"] == "0:3"
    assert found["telemetry.service_name"] == "default in 0"


def test_telemetry_that_is_switched_off_is_so_by_the_switch(tmp_path: Path) -> None:
    """And no file's."""
    loaded = load(tmp_path, {"telemetry": {}}, environ={"OTEL_SDK_DISABLED": "true"})
    assert [(value.value, value.source) for value in values_of(loaded) if value.path == "telemetry"] == [
        (None, "OTEL_SDK_DISABLED")
    ]


@pytest.mark.parametrize("render", [render_json, render_yaml])
def test_what_may_be_a_credential_is_hidden(tmp_path: Path, render: Any) -> None:
    """Values of headers, whatever they are; others by their names, or by what they look like."""
    text = render(values_of(load(tmp_path, OURS)))
    assert "sssecret" not in text
    assert text.count(REDACTED) == OURS.count("sssecret")
    assert "red" in text


def test_the_yaml_is_a_file_of_settings(tmp_path: Path) -> None:
    """That says the same, but for what is hidden."""
    hidden = OURS.replace("sssecret", "x").replace("https://u:x@x", "x")
    loaded = load(tmp_path, hidden, environ={"EXTPROC_METADATA_NAMESPACES": 'yes,"\x7f\u2028:,2,# c,\U0001f600, é'})
    text = render_yaml(values_of(loaded))
    told = yaml.safe_load(text.replace(f'"{REDACTED}"', "x"))
    assert told == loaded.settings.model_dump(mode="json", by_alias=True) | {"telemetry": told["telemetry"]}
    assert Settings.model_validate(told) == loaded.settings
    assert all("  # " in line or line.endswith((":", "-")) for line in text.split("\n"))


def test_the_json_is_a_list() -> None:
    """For programs."""
    values = [Value(("a", 0, "b.c"), 1, "F:1"), Value(("d",), None, "default")]
    assert json.loads(render_json(values)) == [
        {"path": 'a[0]."b.c"', "value": 1, "source": "F:1"},
        {"path": "d", "value": None, "source": "default"},
    ]
