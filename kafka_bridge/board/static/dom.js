// Makes elements. Text from outside becomes text nodes only, each isolated in its direction.

export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  setAttributes(element, attributes);
  element.append(...children.filter((each) => each !== null && each !== undefined));
  return element;
}

export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
}

/** Text from outside, which cannot change the direction of what is around it. */
export function outside(text, attributes = {}) {
  const element = el("bdi", attributes);
  element.textContent = text;
  return element;
}

const SHOWN = 4000;

/** Text of any length: a long one is cut until somebody wants all of it. */
export function longText(text) {
  const block = el("pre", { dir: "auto", tabindex: "0" });
  if (text.length <= SHOWN) {
    block.textContent = text;
    return block;
  }
  block.textContent = `${wholeCharacters(text)} …`;
  const button = el("button", { type: "button", click: () => {
    block.textContent = text;
    button.remove();
  } }, `Show all (${count(text.length)} characters)`);
  return el("div", {}, block, button);
}

function wholeCharacters(text) {
  const last = text.charCodeAt(SHOWN - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? SHOWN - 1 : SHOWN);
}

/** A link to another page, if it is one of the web; else its text. */
export function webLink(address, label) {
  let scheme = "";
  try {
    scheme = new URL(address).protocol;
  } catch {
    // It is not an address: its text is shown.
  }
  if (scheme !== "http:" && scheme !== "https:") return outside(label);
  return el("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, outside(label));
}

/** A link to a view of the board. */
export function viewLink(query, ...children) {
  return el("a", { href: `?${new URLSearchParams(query)}` }, ...children);
}

export function count(number) {
  return number.toLocaleString();
}

const ABSOLUTE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** A moment as the time since then, in the reader's zone when pointed at. */
export function moment(iso) {
  if (iso === null) return el("span", {}, "–");
  const at = new Date(iso);
  return el("time", { datetime: iso, title: ABSOLUTE.format(at) }, ago(at));
}

export function exact(iso) {
  const at = new Date(iso);
  return el("time", { datetime: iso, title: ago(at), class: "exact" }, at.toLocaleTimeString());
}

function ago(at) {
  const seconds = (Date.now() - at.getTime()) / 1000;
  return seconds < 1 ? "now" : `${duration(Math.floor(seconds))} ago`;
}

/** Times that are shown grow older. */
export function renewTimes() {
  for (const each of document.querySelectorAll("time:not(.exact)")) {
    each.textContent = ago(new Date(each.dateTime));
  }
}

export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1).replace(/\.0$/, "")} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function bytes(size) {
  if (size < 1000) return `${size} bytes`;
  if (size < 1e6) return `${(size / 1e3).toFixed(1)} kB`;
  return `${(size / 1e6).toFixed(1)} MB`;
}

export function state(name) {
  return el("span", { class: `state ${name.toLowerCase()}` }, name.toLowerCase());
}
