// morph.js: swap an element's content by changing only what differs, so that selection, focus and scroll stay.
// It stands in for htmx's innerMorph when the CDN cannot be reached. Rows are matched by id, else by place.
export function morph(target, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  children(target, template.content);
}

function children(target, wanted) {
  const known = new Map([...target.children].filter(({ id }) => id).map((child) => [child.id, child]));
  let at = target.firstChild;
  for (const next of [...wanted.childNodes]) {
    const twin = next.id ? known.get(next.id) : alike(at, next) && !at.id ? at : null;
    if (!twin) {
      target.insertBefore(next, at);
      continue;
    }
    if (twin === at) at = at.nextSibling;
    else target.insertBefore(twin, at);
    update(twin, next);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function alike(a, b) {
  return a && a.nodeType === b.nodeType && a.nodeName === b.nodeName;
}

function update(node, wanted) {
  if (node.nodeType !== Node.ELEMENT_NODE) {
    if (node.data !== wanted.data) node.data = wanted.data;
    return;
  }
  if (node.isEqualNode(wanted)) return;
  for (const { name } of [...node.attributes]) if (!wanted.hasAttribute(name)) node.removeAttribute(name);
  for (const { name, value } of wanted.attributes) if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  children(node, wanted);
}
