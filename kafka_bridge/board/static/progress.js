// Progress as a bar, as words and as a curve.

import { count, duration, el, outside, svg } from "./dom.js";

export function share({ completed, total }) {
  if (!total || total <= 0) return null;
  return Math.min(1, Math.max(0, completed / total));
}

export function bar(progress) {
  const done = share(progress);
  if (done === null) return null;
  const inner = el("span", { class: "done" });
  inner.style.width = `${done * 100}%`;
  return el("span", { class: "bar", role: "img", "aria-label": `${Math.floor(done * 100)} %` }, inner);
}

export function words(progress, secondsLeft = null) {
  const done = share(progress);
  const parts = [];
  if (done !== null) parts.push(`${Math.floor(done * 100)} %`);
  const total = progress.total === null ? "" : ` of ${count(progress.total)}`;
  const line = el("span", {}, [...parts, `${count(progress.completed)}${total} `].join(" · "));
  if (progress.unit) line.append(outside(progress.unit));
  if (secondsLeft !== null) line.append(` · ${duration(secondsLeft)} left`);
  return line;
}

const WIDTH = 600;
const HEIGHT = 120;

/** The progress over time, a line for each delivery; null if there are fewer than two points. */
export function curve(events) {
  const marks = events.filter((each) => each.progress !== null && !each.is_stale);
  if (marks.length < 2) return null;
  const times = marks.map((each) => Date.parse(each.occurred_at));
  const from = Math.min(...times);
  const span = Math.max(...times) - from || 1;
  const most = Math.max(...marks.map(({ progress }) => Math.max(progress.completed, progress.total ?? 0))) || 1;
  const lines = new Map();
  marks.forEach(({ delivery, progress }, index) => {
    const x = ((times[index] - from) / span) * WIDTH;
    const y = HEIGHT - (Math.max(0, progress.completed) / most) * HEIGHT;
    lines.set(delivery, `${lines.get(delivery) ?? ""} ${x.toFixed(1)},${y.toFixed(1)}`);
  });
  const drawn = [...lines.values()].map((points) => svg("polyline", { points: points.trim(), "vector-effect": "non-scaling-stroke" }));
  const picture = svg("svg", { viewBox: `0 -4 ${WIDTH} ${HEIGHT + 8}`, preserveAspectRatio: "none", role: "img", "aria-label": "Progress over time" }, ...drawn);
  const unit = marks.at(-1).progress.unit;
  const top = el("span", {}, `${count(most)} `, unit ? outside(unit) : null);
  return el("figure", { class: "curve" }, el("figcaption", {}, top, el("span", {}, `in ${duration(span / 1000)}`)), picture);
}
