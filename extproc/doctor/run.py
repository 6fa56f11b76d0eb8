"""`extproc doctor`: look at both, check, tell.

Owns: the order of that, and what the command ends with. Must not know checks.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import replace

from extproc.config.settings import Settings
from extproc.doctor.checks import find_all
from extproc.doctor.envoy import Envoy, read_envoy
from extproc.doctor.findings import Finding, error, exit_code, gather, note
from extproc.doctor.look import EnvoyDocuments, SidecarDocuments, base_url, look_at_envoy, look_at_sidecar
from extproc.doctor.report import Looked, to_json, to_text
from extproc.doctor.sidecar import Sidecar, read_sidecar
from extproc.errors import EXIT_FAILURE

_MAX_COLUMNS = 100


def run(
    envoy_admin: str, sidecar: str, *, as_json: bool, ignored: Collection[str] = (), settings: Settings | None = None
) -> int:
    """Print what is found; return the exit code. `settings` stand in the place of the running sidecar's.

    Raises SettingsError if an address is none.
    """
    envoy_base, sidecar_base = base_url(envoy_admin, "--envoy-admin"), base_url(sidecar, "--sidecar")
    envoy_said, sidecar_said = look_at_envoy(envoy_base), look_at_sidecar(sidecar_base)
    envoy = _read_envoy(envoy_said)
    own = read_sidecar(sidecar_said.status, sidecar_said.metrics, is_ready=sidecar_said.is_ready, settings=settings)
    found = list(find_all(envoy, own))
    if envoy is None:
        found.insert(
            0,
            error(
                "envoy-unreachable",
                f"Envoy at {envoy_base}",
                "Its admin interface does not tell its configuration: nothing of it was looked at.",
                "extproc doctor --envoy-admin http://HOST:9901",
            ),
        )
    if sidecar_said.is_ready is not None and not sidecar_said.status and settings is None:
        found.append(
            note(
                "needs-unknown",
                f"sidecar at {sidecar_base}",
                "It has no /status, so what it needs of Envoy is taken from defaults.",
                "extproc doctor --config FILE      # the settings it runs with",
            )
        )
    findings = gather((_at_home(each, envoy_base, sidecar_base) for each in found), ignored)
    code = EXIT_FAILURE if envoy is None else exit_code(findings)
    looked = Looked(_tell_envoy(envoy, envoy_base), _tell_sidecar(own, sidecar_said, sidecar_base))
    columns = min(shutil.get_terminal_size().columns, _MAX_COLUMNS)
    print(to_json(findings, looked, code) if as_json else to_text(findings, looked, columns=columns))
    return code


def _at_home(finding: Finding, envoy_base: str, sidecar_base: str) -> Finding:
    """Return a finding whose commands have the addresses that were given here."""
    mend = finding.mend.replace("ENVOY_ADMIN/", f"{envoy_base}/").replace("SIDECAR/", f"{sidecar_base}/")
    return replace(finding, mend=mend)


def _read_envoy(said: EnvoyDocuments) -> Envoy | None:
    if said.config_dump is None:
        return None
    return read_envoy(said.config_dump, said.clusters, said.stats, said.server_info)


def _tell_envoy(envoy: Envoy | None, base: str) -> str:
    if envoy is None:
        return f"no answer at {base}"
    version = ".".join(map(str, envoy.version)) or "of unknown version"
    routes = sum(len(chain.routes) for chain in envoy.chains)
    return (
        f"{version} at {base}, {_plural(len(envoy.chains), 'HTTP filter chain')}, {_plural(routes, 'route')}, "
        f"{_plural(len(envoy.clusters), 'cluster')}"
    )


def _tell_sidecar(own: Sidecar, said: SidecarDocuments, base: str) -> str:
    if said.is_ready is None:
        return f"no answer at {base}"
    return f"{own.version or 'of unknown version'} at {base}, listening on {', '.join(own.expected.listen)}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
