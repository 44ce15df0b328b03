// What is different when the board is a part of Airflow: links to Airflow's pages, and the frame.

import { el } from "./dom.js";

const { airflowRoot: root, airflowSource: source } = document.documentElement.dataset;
const isFramed = window.parent !== window;

/** The address of Airflow's page of a task, or null: it is a task of another Airflow. */
export function taskPage(task) {
  if (root === undefined || task.source !== source) return null;
  const [dag, run, name] = [task.dag_id, task.run_id, task.task_id].map(encodeURIComponent);
  const index = task.map_index >= 0 ? `/mapped/${task.map_index}` : "";
  return `${root}dags/${dag}/runs/${run}/tasks/${name}${index}`;
}

/** When the first try of one of this Airflow's tasks began, with the task's own source; null: unknown. */
export async function beginOf({ dag_id: dag, run_id: run, task_id: name, map_index: index = -1 }, signal) {
  if (root === undefined) return null;
  const [ofDag, ofRun, ofTask] = [dag, run, name].map(encodeURIComponent);
  const instance = `${root}api/v2/dags/${ofDag}/dagRuns/${ofRun}/taskInstances/${ofTask}`;
  const response = await fetch(`${instance}${index >= 0 ? `/${index}` : ""}/tries`, { signal, credentials: "same-origin" });
  if (!response.ok) return null;
  const begins = (await response.json()).task_instances.map((each) => each.start_date).filter(Boolean);
  return begins.length ? { source, since: begins.sort((one, other) => Date.parse(one) - Date.parse(other))[0] } : null;
}

/** Links back to Airflow, if the board has the whole window. */
export function addWayBack(nav) {
  if (root !== undefined && !isFramed) nav.prepend(el("a", { href: root }, "‹ Airflow"));
}

/** What to do when the login has ended: the server leads the page to Airflow's login. */
export function loginLink() {
  return root === undefined ? null : el("a", { href: location.href }, "Log in to Airflow");
}

// Airflow's frame lets its page open neither windows nor other pages. Airflow's own page may.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[target]");
  if (!link || !isFramed || root === undefined) return;
  event.preventDefault();
  const outer = window.parent.document;
  const target = link.target === "_top" ? "_self" : link.target;
  const copy = outer.createElement("a");
  Object.assign(copy, { href: link.href, target, rel: "noopener noreferrer" });
  outer.body.append(copy);
  copy.click();
  copy.remove();
});
