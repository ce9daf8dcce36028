"use strict";
const form = document.getElementById("place-form");
const send = document.getElementById("place-send");
const trouble = document.getElementById("place-trouble");
const pitch = document.getElementById("place-pitch");
const members = [...form.querySelectorAll("[data-member]")];
const LIMITS = { name: 80, pitch: 140 };

function value(field) {
  return field.type === "checkbox" ? field.checked : field.value.trim();
}

function problemOf(field) {
  const member = field.dataset.member;
  const entered = value(field);
  if (member === "news") return "";
  if (member === "terms") return entered ? "" : "You must agree to the rules to continue.";
  if (!entered) return "This field is required.";
  if (member === "phone" && !/^\d{3}-\d{3}-\d{4}$/.test(entered)) return "Please use the format 555-123-4567.";
  if (member === "email" && !/^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(entered)) return "Please enter a valid email address.";
  if (member === "website" && !/^https?:\/\/\S+\.\S+$/.test(entered)) return "Please enter a full address, starting with https://.";
  if (LIMITS[member] && entered.length > LIMITS[member]) return `Please use ${LIMITS[member]} characters or fewer.`;
  return "";
}

function show(field, text) {
  const box = field.parentElement;
  const problem = box.querySelector(".problem");
  if (!problem) return;
  problem.textContent = text;
  problem.hidden = !text;
  box.classList.toggle("bad", Boolean(text));
  if (text) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

function check() {
  for (const field of members) show(field, problemOf(field));
  return !form.querySelector("[aria-invalid]");
}

function announce(answer) {
  const done = document.createElement("div");
  done.className = "done-panel";
  done.setAttribute("role", "status");
  const title = document.createElement("h1");
  title.textContent = "Waiting for review";
  const text = document.createElement("p");
  text.textContent = answer.message;
  const number = document.createElement("p");
  number.className = "hint";
  number.textContent = `Reference: NH-${answer.id}`;
  done.append(title, text, number);
  document.getElementById("place").replaceChildren(done);
  done.scrollIntoView();
}

async function submit() {
  const body = Object.fromEntries(members.map((field) => [field.dataset.member, value(field)]));
  const response = await fetch("/scripted/api/places", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.status === 201) {
    announce(await response.json());
    return;
  }
  if (response.status !== 422) throw new Error(`status ${response.status}`);
  const { errors } = await response.json();
  for (const field of members) show(field, errors[field.dataset.member] || "");
}

pitch.addEventListener("input", () => {
  document.getElementById("pitch-count").textContent = pitch.value.length;
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  trouble.hidden = true;
  if (!check()) return;
  send.disabled = true;
  send.textContent = "Sending…";
  try {
    await submit();
  } catch {
    trouble.textContent = "Something went wrong. Please try again later.";
    trouble.hidden = false;
  }
  send.disabled = false;
  send.textContent = "Send for review";
});
