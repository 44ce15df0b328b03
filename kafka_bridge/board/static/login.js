// Asks for the board's token.

import { post } from "./api.js";
import { el } from "./dom.js";

export function showLogin(main, done) {
  const input = el("input", { type: "password", autocomplete: "current-password", required: true, maxlength: "1000", id: "token" });
  const problem = el("p", { class: "error", role: "alert" });
  const form = el("form", { class: "login" },
    el("label", { for: "token" }, "The token of this board"), input,
    el("button", { type: "submit" }, "Log in"), problem,
    el("p", { class: "hint" }, "It is in the file or the variable that the board was started with."));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = "";
    try {
      await post("login", { token: input.value });
      done();
    } catch (error) {
      problem.textContent = error.message;
    }
  });
  main.replaceChildren(form);
  input.focus();
}
