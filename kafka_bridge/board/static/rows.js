// A list of any length: only the rows that can be seen are in the page.

import { el } from "./dom.js";

const MORE = 8;

export class Rows {
  /**
   * @param name what the list has, for a screen reader
   * @param key returns what an item is known by
   * @param draw returns the element of an item
   * @param open is called with the item that a person opens
   */
  constructor(name, { key, draw, open }) {
    this.key = key;
    this.drawItem = draw;
    this.open = open;
    this.items = [];
    this.drawn = new Map();
    this.selected = null;
    this.space = el("div", { class: "space" });
    this.element = el("div", { class: "rows", role: "listbox", tabindex: "0", "aria-label": name }, this.space);
    this.element.addEventListener("scroll", () => this.later(), { passive: true });
    this.element.addEventListener("dblclick", (event) => this.openAt(event));
    this.resized = new ResizeObserver(() => this.later());
    this.resized.observe(this.element);
  }

  close() {
    this.resized.disconnect();
  }

  /** Show other items. What can be seen stays where it is, unless it is the top. */
  set(items) {
    const height = this.height();
    const top = Math.floor(this.element.scrollTop / height);
    const anchor = this.element.scrollTop > 0 ? this.items[top] : undefined;
    const before = anchor && this.key(anchor);
    this.items = items;
    this.space.style.height = `${items.length * height}px`;
    if (before !== undefined && (!items[top] || this.key(items[top]) !== before)) {
      const now = items.findIndex((each) => this.key(each) === before);
      if (now >= 0) this.element.scrollTop += (now - top) * height;
    }
    this.paint();
  }

  height() {
    return parseFloat(getComputedStyle(this.element).getPropertyValue("--row")) || 52;
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }

  paint() {
    const height = this.height();
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / height) - MORE);
    const last = Math.min(this.items.length, Math.ceil((scrollTop + clientHeight) / height) + MORE);
    this.space.style.height = `${this.items.length * height}px`;
    const drawn = new Map();
    for (let index = first; index < last; index += 1) {
      const item = this.items[index];
      const key = this.key(item);
      const before = this.drawn.get(key);
      const row = before?.item === item ? before.row : this.row(item);
      row.style.transform = `translateY(${index * height}px)`;
      row.setAttribute("aria-posinset", index + 1);
      row.setAttribute("aria-setsize", this.items.length);
      row.setAttribute("aria-selected", key === this.selected);
      row.id = `row-${index}`;
      if (key === this.selected) this.element.setAttribute("aria-activedescendant", row.id);
      drawn.set(key, { item, row });
    }
    const rows = [...drawn.values()].map(({ row }) => row);
    const isSame = rows.length === this.space.children.length && rows.every((row, at) => row === this.space.children[at]);
    if (!isSame) this.space.replaceChildren(...rows);
    this.drawn = drawn;
  }

  row(item) {
    const row = this.drawItem(item);
    row.classList.add("row");
    row.setAttribute("role", "option");
    row.addEventListener("click", () => {
      this.selected = this.key(item);
      this.later();
    });
    return row;
  }

  openAt(event) {
    const found = [...this.drawn.values()].find(({ row }) => row.contains(event.target));
    if (found) this.open(found.item);
  }

  /** Select the next or an earlier row, and bring it into view. */
  move(steps) {
    if (!this.items.length) return;
    const now = this.items.findIndex((each) => this.key(each) === this.selected);
    const next = now < 0 ? 0 : Math.min(this.items.length - 1, Math.max(0, now + steps));
    this.selected = this.key(this.items[next]);
    const height = this.height();
    const { scrollTop, clientHeight } = this.element;
    if (next * height < scrollTop) this.element.scrollTop = next * height;
    else if ((next + 1) * height > scrollTop + clientHeight) this.element.scrollTop = (next + 1) * height - clientHeight;
    this.paint();
  }

  openSelected() {
    const found = this.items.find((each) => this.key(each) === this.selected);
    if (found) this.open(found);
  }
}
