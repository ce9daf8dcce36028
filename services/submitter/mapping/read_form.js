// Reads every control and button of one document, open shadow roots included, as plain data. Marks each
// with an attribute, so that it can be found again. Changes nothing else.
(mark) => {
  const limit = (text, most = 300) => text.replace(/\s+/g, " ").trim().slice(0, most);
  const SILENT = new Set(["SCRIPT", "STYLE", "SELECT", "TEXTAREA", "BUTTON", "NOSCRIPT", "TEMPLATE", "OPTION"]);

  const everything = (root, found = []) => {
    for (const element of root.querySelectorAll("*")) {
      found.push(element);
      if (element.shadowRoot) everything(element.shadowRoot, found);
    }
    return found;
  };
  const parentOf = (element) => element.parentElement || (element.getRootNode().host ?? null);

  const textOf = (node) => {
    if (!node) return "";
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    if (node.nodeType !== Node.ELEMENT_NODE || SILENT.has(node.tagName)) return "";
    if (node.getAttribute("role") === "alert" || node.getAttribute("aria-hidden") === "true") return "";
    if (node.hidden) return "";
    return [...node.childNodes].map(textOf).join(" ");
  };

  const isShown = (element) => {
    for (let at = element; at; at = parentOf(at)) {
      const style = getComputedStyle(at);
      if (style.display === "none" || parseFloat(style.opacity) < 0.1) return false;
      if (at.getAttribute("aria-hidden") === "true") return false;
      if (style.clipPath === "inset(100%)" || /rect\((0|1)px,? (0|1)px/.test(style.clip)) return false;
      if (at !== element && style.overflow !== "visible") {
        const outer = at.getBoundingClientRect();
        if (outer.width < 2 || outer.height < 2) return false;
      }
    }
    if (getComputedStyle(element).visibility !== "visible") return false;
    const box = element.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) return false;
    const left = box.left + scrollX, top = box.top + scrollY;
    const wide = Math.max(document.documentElement.scrollWidth, innerWidth);
    return left + box.width > 0 && top + box.height > 0 && left < wide;
  };

  const elements = everything(document);
  const isControl = (element) =>
    (element.matches("input, select, textarea") && !["hidden", "submit", "button", "image", "reset"].includes(element.type)) ||
    (element.isContentEditable && !parentOf(element)?.isContentEditable && element !== document.documentElement);
  const controls = elements.filter(isControl);
  const forms = elements.filter((element) => element.tagName === "FORM");
  const byId = (from, id) => (id ? from.getRootNode().querySelector(`[id="${CSS.escape(id)}"]`) : null);
  const idTexts = (element, name) =>
    limit((element.getAttribute(name) || "").split(/\s+/).map((id) => textOf(byId(element, id))).join(" "));

  const labelElement = (control) =>
    (control.labels && control.labels[0]) || control.closest("label") ||
    (control.id ? control.getRootNode().querySelector(`label[for="${CSS.escape(control.id)}"]`) : null);

  const cellText = (control) => {
    const cell = control.closest("td, th, dd");
    if (!cell) return "";
    const row = cell.closest("tr");
    const table = cell.closest("table");
    const own = limit(textOf(cell.previousElementSibling), 120);
    const header = row ? limit(textOf(row.querySelector("th, td.label")), 120) : "";
    const heads = table ? [...table.querySelectorAll("thead th")] : [];
    const column = heads.length && row ? limit(textOf(heads[[...row.children].indexOf(cell)]), 120) : "";
    return limit([...new Set([header || own, column])].join(" "));
  };

  // The largest surrounding element that holds no other control: its words belong to this one.
  const aloneIn = (control) => {
    let best = control;
    for (let at = parentOf(control); at && at !== document.body; at = parentOf(at)) {
      const inside = at.querySelectorAll("input:not([type=hidden]), select, textarea");
      if ([...inside].some((other) => other !== control && isControl(other))) break;
      best = at;
    }
    return best === control ? "" : limit(textOf(best));
  };

  const before = (control) => {
    let text = "";
    for (let at = control.previousSibling; at && !text.trim(); at = at.previousSibling) {
      if (at.nodeType === Node.ELEMENT_NODE && (isControl(at) || at.querySelector?.("input, select, textarea"))) break;
      text = textOf(at);
    }
    return limit(text, 120);
  };

  const sectionOf = (control) => {
    const fieldset = control.closest("fieldset");
    const legend = fieldset && fieldset.querySelector("legend");
    if (legend) return limit(textOf(legend), 120);
    const heads = elements.filter((element) => /^H[1-6]$/.test(element.tagName));
    const earlier = heads.filter((head) => head.compareDocumentPosition(control) & Node.DOCUMENT_POSITION_FOLLOWING);
    return earlier.length ? limit(textOf(earlier[earlier.length - 1]), 120) : "";
  };

  const groupOf = (control) => {
    const group = control.closest("[role=radiogroup], [role=group], fieldset");
    if (!group) return "";
    return (
      idTexts(group, "aria-labelledby") || limit(group.getAttribute("aria-label") || "") ||
      limit(textOf(group.querySelector("legend")), 120)
    );
  };

  const afterTick = (control) => {
    let text = "";
    for (let at = control.nextSibling; at && !text.trim(); at = at.nextSibling) {
      if (at.nodeType === Node.ELEMENT_NODE && isControl(at)) break;
      text = textOf(at);
    }
    return limit(text);
  };

  const describe = (control, index) => {
    control.setAttribute(mark, String(index));
    const label = labelElement(control);
    const ticks = control.type === "radio" || control.type === "checkbox";
    const shown = isShown(control);
    return {
      index,
      form: forms.indexOf(control.form ?? control.closest?.("form")),
      tag: control.tagName.toLowerCase(),
      type: (control.isContentEditable ? "richtext" : control.type || "").toLowerCase(),
      name: control.name || control.getAttribute("name") || "",
      id: control.id || "",
      label: limit(textOf(label)) || (ticks ? afterTick(control) : ""),
      aria: limit(control.getAttribute("aria-label") || "") || idTexts(control, "aria-labelledby"),
      placeholder: limit(control.placeholder || control.getAttribute("data-placeholder") || ""),
      autocomplete: (control.getAttribute("autocomplete") || "").toLowerCase(),
      title: limit(control.title || ""),
      cell: cellText(control),
      before: before(control),
      around: aloneIn(control),
      described: idTexts(control, "aria-describedby"),
      section: sectionOf(control),
      group: ticks ? groupOf(control) : "",
      options: control.tagName === "SELECT"
        ? [...control.options].map((option) => ({
            value: option.value, label: limit(option.label || option.text, 160), selected: option.selected,
            disabled: option.disabled,
          }))
        : [],
      multiple: Boolean(control.multiple),
      required: Boolean(control.required) || control.getAttribute("aria-required") === "true",
      maxlength: control.maxLength > 0 ? control.maxLength : 0,
      pattern: control.getAttribute("pattern") || "",
      value: ticks ? control.getAttribute("value") || "on" : control.isContentEditable ? control.innerText : control.value || "",
      checked: Boolean(control.checked),
      visible: shown || (ticks && Boolean(label) && !control.closest("[aria-hidden=true]") && isShown(label)),
      by_label: !shown,
      enabled: !control.disabled && !control.readOnly && !control.closest("fieldset[disabled]"),
      tabindex: control.tabIndex,
      invalid: control.getAttribute("aria-invalid") === "true" || (control.willValidate === true && !control.validity.valid),
      complaint: control.willValidate && !control.validity.valid ? limit(control.validationMessage) : "",
    };
  };

  const buttons = elements.filter(
    (element) => element.matches("button, input[type=submit], input[type=image], input[type=button], [role=button]") &&
      element.type !== "reset",
  );
  return {
    url: location.href,
    title: document.title,
    language: document.documentElement.lang || "",
    forms: forms.map((form, index) => ({
      index,
      action: form.getAttribute("action") ? form.action : location.href,
      method: (form.getAttribute("method") || "get").toLowerCase(),
      role: form.getAttribute("role") || "",
      novalidate: form.noValidate,
      name: limit(`${form.id} ${form.getAttribute("name") || ""} ${form.className}`, 160),
    })),
    controls: controls.map(describe),
    buttons: buttons.map((button, offset) => {
      const index = controls.length + offset;
      button.setAttribute(mark, String(index));
      const said = button.tagName === "INPUT" ? button.value || button.alt : button.innerText || button.textContent;
      return {
        index,
        form: forms.indexOf(button.form ?? button.closest("form")),
        type: (button.getAttribute("type") || (button.tagName === "BUTTON" ? "submit" : "button")).toLowerCase(),
        text: limit(said || button.getAttribute("aria-label") || button.title || "", 120),
        visible: isShown(button),
        enabled: !button.disabled && button.getAttribute("aria-disabled") !== "true",
      };
    }),
  };
}
