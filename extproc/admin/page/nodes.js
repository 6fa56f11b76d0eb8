// Nodes of the document. Whatever came from elsewhere goes in here as text, or as the value of a `title` or `data-`
// attribute; names of elements, attributes and classes are always constants of ours.

const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);

function element(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function drawing(tag, className = "", attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  if (className) made.setAttribute("class", className);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// What is already so is not written: a write is a layout.

function setText(node, text) {
  const only = node.firstChild;
  if (only instanceof Text && !only.nextSibling) {
    if (only.data !== text) only.data = text;
  } else if (node.textContent !== text) {
    node.textContent = text;
  }
}

function setAttribute(node, key, value) {
  if (node.getAttribute(key) !== String(value)) node.setAttribute(key, value);
}

function setTitle(node, text) {
  if (node.title !== text) node.title = text;
}

function setHidden(node, isHidden) {
  if (node.hidden !== isHidden) node.hidden = isHidden;
}

/** A name that a client chose: apart from the text around it, cut by its box, whole in its title. */
function nameNode(text = "") {
  const made = element("bdi", "name");
  setName(made, text);
  return made;
}

function setName(node, text) {
  const shown = legible(text);
  setText(node, shown);
  setTitle(node, shown);
}

/** Make a node like a fresh one, and keep what is the same: what is open stays so, and the focus where it is. */
function become(node, fresh) {
  if (node.nodeName !== fresh.nodeName) {
    node.replaceWith(fresh);
  } else if (node instanceof Text) {
    if (node.data !== fresh.data) node.data = fresh.data;
  } else {
    for (const key of fresh.getAttributeNames()) setAttribute(node, key, fresh.getAttribute(key));
    showNodes(node, [...fresh.childNodes]);
  }
}

function showNodes(parent, fresh) {
  while (parent.childNodes.length > fresh.length) parent.lastChild.remove();
  fresh.forEach((each, index) => {
    if (index < parent.childNodes.length) become(parent.childNodes[index], each);
    else parent.append(each);
  });
}

/** Make as many children as there are items, and have each show its item. */
function showEach(parent, items, make, show) {
  while (parent.childElementCount > items.length) parent.lastElementChild.remove();
  while (parent.childElementCount < items.length) parent.append(make());
  items.forEach((item, index) => show(parent.children[index], item));
}
