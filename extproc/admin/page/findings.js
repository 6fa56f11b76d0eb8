// What is wrong with the configuration, in words a user can act on.

const SEVERITIES = { error: "Error", warning: "Warning", note: "Note" };
const SHOWN_AT_ONCE = 3;

function mendNode({ title, mend }) {
  const box = element("pre", "", element("code", "", mend));
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", `What mends it: ${legible(title)}`);
  return box;
}

function explained(finding) {
  const detail = element("p", "", legible(finding.detail));
  return finding.mend ? [detail, mendNode(finding)] : [detail];
}

/** Findings that are alike: the first, and the others folded, of which not all may have been told. */
function findingsNode([first, ...others]) {
  const heading = element("h3", "", element("span", "severity", SEVERITIES[first.severity] ?? SEVERITIES.note),
    element("span", "title", legible(first.title)), element("span", "code", legible(first.code)));
  const node = element("li", "finding", heading, ...explained(first));
  node.dataset.severity = first.severity;
  if (others.length) {
    const summary = element("summary", "", `${exact(first.alike - 1)} more like this`);
    const untold = first.alike - 1 - others.length;
    const rest = untold ? [element("p", "", `And ${exact(untold)} that are not shown here.`)] : [];
    node.append(element("details", "", summary, ...others.flatMap(explained), ...rest));
  }
  return node;
}

function groupAlike(findings) {
  const groups = new Map();
  for (const finding of findings) {
    const key = `${finding.severity} ${finding.code}`;
    groups.set(key, [...(groups.get(key) ?? []), finding]);
  }
  return [...groups.values()];
}

class Findings {
  constructor() {
    this.shown = "";
  }

  show(findings) {
    const text = JSON.stringify(findings);
    if (text === this.shown) return;
    this.shown = text;
    const groups = groupAlike(findings);
    const said = Object.keys(SEVERITIES).flatMap((severity) => {
      const count = total(groups.map(([first]) => (first.severity === severity ? first.alike : 0)));
      return count ? [plural(count, severity, `${severity}s`)] : [];
    });
    setHidden(byId("findings"), false);
    byId("findings").classList.toggle("fine", !findings.length);
    setText(byId("findings-text"), said.join(", ") || "Nothing to mend");
    const rest = groups.slice(SHOWN_AT_ONCE);
    showNodes(byId("findings-first"), groups.slice(0, SHOWN_AT_ONCE).map(findingsNode));
    setHidden(byId("findings-more"), !rest.length);
    setText(byId("findings-more-text"), `${exact(rest.length)} more`);
    showNodes(byId("findings-rest"), rest.map(findingsNode));
  }
}
