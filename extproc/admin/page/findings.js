// What is wrong with the configuration, in words a user can act on.

const SEVERITIES = { error: "Error", warning: "Warning", note: "Note" };
const SHOWN_AT_ONCE = 3;

function findingNode({ severity, code, title, detail, mend }) {
  const heading = element("h3", "", element("span", "severity", SEVERITIES[severity] ?? SEVERITIES.note),
    element("span", "title", legible(title)), element("span", "code", legible(code)));
  const node = element("li", "finding", heading, element("p", "", detail));
  node.dataset.severity = severity;
  if (mend) {
    const box = element("pre", "", element("code", "", mend));
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", `What mends it: ${legible(title)}`);
    node.append(box);
  }
  return node;
}

class Findings {
  constructor() {
    this.shown = "";
  }

  show(findings) {
    const text = JSON.stringify(findings);
    if (text === this.shown) return;
    this.shown = text;
    const counts = Object.keys(SEVERITIES).map((severity) => [severity, findings.filter((each) => each.severity === severity).length]);
    const said = counts.filter(([, count]) => count).map(([severity, count]) => plural(count, severity, `${severity}s`));
    setHidden(byId("findings"), false);
    byId("findings").classList.toggle("fine", !findings.length);
    setText(byId("findings-text"), said.join(", ") || "Nothing to mend");
    byId("findings-first").replaceChildren(...findings.slice(0, SHOWN_AT_ONCE).map(findingNode));
    const rest = findings.slice(SHOWN_AT_ONCE);
    setHidden(byId("findings-more"), !rest.length);
    setText(byId("findings-more-text"), `${exact(rest.length)} more`);
    byId("findings-rest").replaceChildren(...rest.map(findingNode));
  }
}
