"use strict";
document.getElementById("trade-form").addEventListener("submit", (event) => {
  if (document.getElementById("g-recaptcha-response").value) return;
  event.preventDefault();
  document.getElementById("robot-problem").hidden = false;
});
