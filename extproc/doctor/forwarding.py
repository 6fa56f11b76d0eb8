"""Does what the sidecar needs get to it, and does Envoy keep what it writes?

Owns: what is found of namespaces, headers, attributes and header mutation. Must not know body modes.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence

from extproc.doctor.attached import Attached, Effective
from extproc.doctor.documents import Object, dig, is_true, obj, objects, text, texts, walk
from extproc.doctor.findings import Finding, error, note, warning
from extproc.doctor.sidecar import Expected
from extproc.headers import REQUEST_ID_HEADER
from extproc.semconv import RATELIMIT_NAMESPACE

# %DYNAMIC_METADATA(namespace:key)%, %METADATA(DYNAMIC:namespace:key)%, and filter_metadata['namespace'] of CEL.
_READ = re.compile(r"""(?:%DYNAMIC_METADATA\(|%METADATA\(DYNAMIC:|filter_metadata\[['"])([^:)%'"]+)""")

# Without these a body can't be told from another, or not be read. The others cost details.
_ESSENTIAL = {":method", ":path", ":authority", ":status", "content-type", "content-encoding"}

_TRACE = {"traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"}


def yaml_list(names: Iterable[str]) -> str:
    """Return names as a list in YAML, on one line."""
    return "[" + ", ".join(f'"{name}"' if name.startswith(":") else name for name in names) + "]"


def nearest(word: str, known: Iterable[str], cutoff: float = 0.75) -> str:
    """Return which of the known words is meant by one that is none of them; nothing where none is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return close[0] if close else ""


def check_receiving(attached: Sequence[Attached], expected: Expected) -> Iterator[Finding]:
    """Find metadata that Envoy drops."""
    for each in attached:
        if not each.hears_replies:
            continue
        read = namespaces_read(each)
        for effective in each.effective:
            kept = texts(effective.config, "metadata_options", "receiving_namespaces", "untyped")
            missing = [name for name in expected.written if name not in kept]
            none_kept = not set(expected.namespaces) & set(kept)
            grave = [name for name in missing if name in read or (none_kept and name != RATELIMIT_NAMESPACE)]
            slips = {name: slip for name in missing if (slip := _slip(name, kept, expected))}
            meant = [name for name in kept if name not in slips.values()]
            mend = "metadata_options:\n  receiving_namespaces:\n    untyped: " + yaml_list([*meant, *missing])
            if grave:
                hint = "".join(f" ({name} is spelt {slip} there)" for name, slip in slips.items())
                yield error(
                    "namespaces-not-received",
                    effective.where,
                    "Envoy drops what the sidecar writes under "
                    f"{', '.join(grave)}{hint}: access logs and rate limits that read it get nothing.",
                    mend,
                )
            elif missing:
                yield note(
                    "namespaces-unused",
                    effective.where,
                    f"Envoy drops what the sidecar writes under {', '.join(missing)}, which nothing here reads.",
                    mend,
                )


def _slip(name: str, kept: Iterable[str], expected: Expected) -> str:
    return nearest(name, [each for each in kept if each not in expected.written])


def namespaces_read(attached: Attached) -> set[str]:
    """Return the namespaces that anything in the chain or its routes reads."""
    documents = [attached.chain.manager, *attached.chain.route_configs]
    found: set[str] = set()
    for document in documents:
        for each in walk(document):
            if isinstance(each, str):
                found.update(_READ.findall(each))
            elif isinstance(each, dict):
                found.add(text(each, "metadata_key", "key"))
                found.add(text(each, "metadata_namespace"))
    return found


def check_forwarding(attached: Sequence[Attached], expected: Expected) -> Iterator[Finding]:
    """Find metadata of other filters that custom labels need, and that stays in Envoy."""
    for effective in _all_effective(attached):
        sent = texts(effective.config, "metadata_options", "forwarding_namespaces", "untyped")
        missing = [name for name in expected.forwarding_namespaces if name not in sent]
        if missing:
            yield error(
                "namespaces-not-forwarded",
                effective.where,
                "Custom labels are read from "
                f"{', '.join(missing)}, which Envoy does not send: they are <unknown> on every exchange.",
                "metadata_options:\n  forwarding_namespaces:\n    untyped: " + yaml_list([*sent, *missing]),
            )


def check_headers(attached: Sequence[Attached], expected: Expected) -> Iterator[Finding]:
    """Find headers that are read, and that stay in Envoy."""
    for effective in _all_effective(attached):
        rules = obj(effective.config, "forward_rules")
        needed = list(expected.request_headers)
        if text(effective.mode, "response_header_mode") != "SKIP":
            needed += [name for name in expected.response_headers if name not in needed]
        missing = [name for name in needed if not is_forwarded(name, rules)]
        labels = [name for name in missing if name in expected.label_headers]
        essential = [name for name in missing if name in _ESSENTIAL]
        rest = [name for name in missing if name not in labels and name not in essential]
        mend = _headers_mend(rules, missing)
        if essential:
            yield error(
                "headers-not-forwarded",
                effective.where,
                f"Envoy keeps {', '.join(essential)} back, without "
                "which exchanges are not known for what they are, or can't be read.",
                mend,
            )
        if labels:
            yield error(
                "label-headers-not-forwarded",
                effective.where,
                f"Custom labels are read from the headers "
                f"{', '.join(labels)}, which Envoy keeps back: they are <unknown> on every exchange.",
                mend,
            )
        if rest:
            yield warning(
                "details-not-forwarded",
                effective.where,
                f"Envoy keeps {', '.join(rest)} back: {_what_is_lost(rest)}.",
                mend,
            )
        if not rules and not expected.all_headers:
            yield note(
                "all-headers-forwarded",
                effective.where,
                "Envoy sends the sidecar all headers, credentials among them; it reads only a few.",
                _headers_mend({"allowed_headers": {}}, needed),
            )


def _what_is_lost(names: Sequence[str]) -> str:
    losses = []
    if set(names) & _TRACE:
        losses.append("traces of clients are not gone on with")
    if any(name.startswith("x-amzn-") for name in names):
        losses.append("Bedrock's counts and errors that only stand there are lost")
    if REQUEST_ID_HEADER in names:
        losses.append("the usage log does not name requests")
    if "content-length" in names:
        losses.append("short answers take more messages")
    return ", ".join(losses) or "telemetry lacks what they say"


def _headers_mend(rules: Object, missing: Sequence[str]) -> str:
    """Return rules that let the missing headers pass too."""
    lines = ["forward_rules:"]
    refused = objects(rules, "disallowed_headers", "patterns")
    left = [pattern for pattern in refused if not any(_fits(name, pattern) for name in missing)]
    if left and len(left) < len(refused):
        lines += ["  disallowed_headers:      # these are left", f"    patterns: {json.dumps(left)}"]
    elif refused and not left:
        lines[0] += "      # without disallowed_headers"  # Envoy takes no empty list
    unlisted = [name for name in missing if "allowed_headers" in rules and not _matches(name, rules["allowed_headers"])]
    if unlisted:
        those = "    # those there are, and" if objects(rules, "allowed_headers", "patterns") else ""
        lines += ["  allowed_headers:", f"    patterns:{those}", *(f'    - exact: "{name}"' for name in unlisted)]
    return "\n".join(lines)


def is_forwarded(name: str, rules: Object) -> bool:
    """Say whether HeaderForwardingRules let a header go to the sidecar."""
    allowed, disallowed = dig(rules, "allowed_headers"), dig(rules, "disallowed_headers")
    return (allowed is None or _matches(name, allowed)) and not (disallowed is not None and _matches(name, disallowed))


def _matches(name: str, matcher: object) -> bool:
    return any(_fits(name, pattern) for pattern in objects(matcher, "patterns"))


def _fits(name: str, pattern: Object) -> bool:
    """Say whether a StringMatcher fits; one that is not understood is taken to."""
    folded = str.lower if is_true(pattern, "ignore_case") else str
    subject = folded(name)
    if "exact" in pattern:
        return subject == folded(text(pattern, "exact"))
    if "prefix" in pattern:
        return subject.startswith(folded(text(pattern, "prefix")))
    if "suffix" in pattern:
        return subject.endswith(folded(text(pattern, "suffix")))
    if "contains" in pattern:
        return folded(text(pattern, "contains")) in subject
    return _regex_fits(name, dig(pattern, "safe_regex"))


def _regex_fits(name: str, matcher: object) -> bool:
    """Say whether a RegexMatcher fits all of a name; one that is not understood is taken to."""
    try:
        return re.fullmatch(text(matcher, "regex") or ".*", name) is not None
    except re.error:  # RE2 knows other words
        return True


def check_attributes(attached: Sequence[Attached], expected: Expected) -> Iterator[Finding]:
    """Find what telemetry tells of an exchange, and Envoy does not."""
    for effective in _all_effective(attached):
        for key, needed in (
            ("request_attributes", expected.request_attributes),
            ("response_attributes", expected.response_attributes),
        ):
            sent = texts(effective.config, key)
            missing = [name for name in needed if name not in sent]
            if missing:
                yield note(
                    "attributes-not-sent",
                    effective.where,
                    f"Traces and metrics lack {', '.join(missing)}.",
                    f"{key}: {yaml_list([*sent, *missing])}",
                )


def check_mutation(attached: Sequence[Attached], expected: Expected) -> Iterator[Finding]:
    """Find headers that the sidecar is to write, and may not."""
    for effective in _all_effective(attached):
        rules = obj(effective.config, "mutation_rules")
        refused = [name for name in expected.mutated_headers if not is_writable(name, rules)]
        if refused:
            yield warning(
                "mutation-refused",
                effective.where,
                "inject_context is on, and Envoy does not let the sidecar write "
                f"{', '.join(refused)}: providers are not told of the trace.",
                mutation_mend([*expected.mutated_headers, *expected.edited_headers]),
            )


def check_edits(attached: Sequence[Attached], expected: Expected) -> Iterator[Finding]:
    """Find bodies that the sidecar may edit, and whose lengths it may not."""
    for each in attached:
        for effective in each.effective:
            rules = obj(effective.config, "mutation_rules")
            shows_bodies = not {text(effective.mode, name) for name in _BODY_MODES} & {"", "NONE"}
            refused = [name for name in expected.edited_headers if not is_writable(name, rules)]
            if refused and shows_bodies and each.hears_replies:
                yield error(
                    "edit-refused",
                    effective.where,
                    "The sidecar asks for usage in the place of clients that stream without, and Envoy does not let it "
                    f"write {', '.join(refused)}: Envoy answers such a request with 500, and the sidecar stops asking.",
                    mutation_mend([*expected.mutated_headers, *expected.edited_headers])
                    + "\n# or usage: {inject_include_usage: false} in the sidecar",
                )


# In which an edit can be carried.
_BODY_MODES = ("request_body_mode", "response_body_mode")


def mutation_mend(names: Sequence[str]) -> str:
    """Return rules that let these headers be written, and no others."""
    return f"""\
mutation_rules:      # without disallow_expression, which outdoes the other two
  disallow_all: true
  allow_expression: {{regex: "{"|".join(names)}"}}"""


def is_writable(name: str, rules: Object) -> bool:
    """Say whether HeaderMutationRules let a header be written that is neither Envoy's own nor decides on routes.

    https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/common/mutation_rules/v3/mutation_rules.proto
    """
    if "disallow_expression" in rules and _regex_fits(name, dig(rules, "disallow_expression")):
        return False
    if "allow_expression" in rules and _regex_fits(name, dig(rules, "allow_expression")):
        return True
    return not is_true(rules, "disallow_all")


def _all_effective(attached: Sequence[Attached]) -> Iterator[Effective]:
    return (effective for each in attached for effective in each.effective)
