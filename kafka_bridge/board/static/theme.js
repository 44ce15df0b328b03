// In Airflow, the page is as light or as dark as Airflow's own pages. It runs before the page is drawn.

"use strict";
if ("airflowRoot" in document.documentElement.dataset) {
  const follow = () => {
    const chosen = localStorage.getItem("theme");
    document.documentElement.style.colorScheme = ["light", "dark"].includes(chosen) ? chosen : "";
  };
  follow();
  addEventListener("storage", follow);
}
