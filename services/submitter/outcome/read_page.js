// Reads what a person sees of a page: lines of text, links, error messages, challenges. Changes nothing.
() => {
  const limit = (text, most = 500) => (text || "").replace(/\s+/g, " ").trim().slice(0, most);
  const shown = (element) => {
    const box = element.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) return false;
    return element.checkVisibility ? element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) : true;
  };
  const all = (selector) => [...document.querySelectorAll(selector)];

  const labelOf = (control) =>
    limit((control.labels && control.labels[0] && control.labels[0].innerText) || control.getAttribute("aria-label") ||
      control.placeholder || control.name || control.id, 80);
  const complaintOf = (control) => {
    const ids = (control.getAttribute("aria-describedby") || control.getAttribute("aria-errormessage") || "").split(/\s+/);
    const texts = ids.map((id) => (id && document.getElementById(id)) || null).filter(Boolean).map((each) => each.innerText);
    const near = control.parentElement && control.parentElement.querySelector("[role=alert], .error, .problem, .invalid-feedback, .help-block");
    return limit(texts.join(" ") || (near && shown(near) ? near.innerText : ""), 200);
  };
  const invalid = all("[aria-invalid=true]").filter(shown)
    .map((control) => limit(`${labelOf(control)}: ${complaintOf(control)}`, 300));
  const native = all("input, select, textarea")
    .filter((control) => control.willValidate && !control.validity.valid && shown(control) && !control.form?.noValidate)
    .map((control) => limit(`${labelOf(control)}: ${control.validationMessage}`, 300));

  const ERRORS = "[role=alert], [class*=error i], [class*=problem i], [class*=invalid i], [class*=danger i], .err, [class*=warning i]";
  const alerts = all(ERRORS)
    .filter((element) => !element.matches("input, select, textarea, form, body, fieldset") && shown(element))
    .map((element) => limit(element.innerText, 300)).filter(Boolean);

  const NAMES = /recaptcha|hcaptcha|turnstile|challenges\.cloudflare|arkoselabs|funcaptcha|friendlycaptcha|captcha|mtcaptcha|geetest/i;
  const challenges = [
    ...all("iframe").filter((frame) => NAMES.test(`${frame.src} ${frame.title}`) && !/invisible/.test(frame.src)),
    ...all(".g-recaptcha, .h-captcha, .cf-turnstile, .frc-captcha").filter((box) => box.dataset.size !== "invisible"),
    ...all("img").filter((image) => NAMES.test(`${image.src} ${image.id} ${image.className} ${image.alt}`)),
    ...all("input").filter((input) => input.type !== "hidden" && NAMES.test(`${input.name} ${input.id}`)),
  ].filter(shown).filter((element) => !element.closest("[class*=badge]"));

  return {
    url: location.href,
    title: document.title,
    lines: (document.body ? document.body.innerText : "").split("\n").map((line) => limit(line)).filter(Boolean).slice(0, 2000),
    links: all("a[href]").filter(shown).slice(0, 400).map((link) => ({ url: link.href, text: limit(link.innerText, 160) })),
    invalid: invalid.slice(0, 50),
    native: native.slice(0, 50),
    alerts: [...new Set(alerts)].slice(0, 50),
    challenge: challenges.length ? limit(challenges[0].title || challenges[0].className || challenges[0].tagName, 60) || "captcha" : "",
    password: all("input[type=password]").some(shown),
    texts_filled: all("input, textarea").filter((each) => shown(each) && !["checkbox", "radio", "submit", "button", "hidden"].includes(each.type) && each.value.trim()).length,
  };
}
