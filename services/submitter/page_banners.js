// Closes cookie banners by the most reserved button they have. Returns what it pressed.
() => {
  const RESERVED = /\b(reject|decline|refuse|deny|only (necessary|essential)|(necessary|essential) only|ablehnen|nur (notwendige|erforderliche|essenzielle)|refuser|tout refuser|continuer sans accepter|rechazar|solo necesarias)\b/i;
  const CLOSING = /^(close|dismiss|×|x|ok|got it|schlie(ß|ss)en|verstanden|fermer|cerrar|entendido)$/i;
  const ABOUT = /cookie|consent|gdpr|datenschutz|privacy/i;
  const shown = (element) => element.getBoundingClientRect().height > 2 && (!element.checkVisibility || element.checkVisibility());
  const boxes = [...document.querySelectorAll("[role=dialog], [class*=cookie i], [id*=cookie i], [class*=consent i], [id*=consent i]")]
    .filter((box) => shown(box) && ABOUT.test(`${box.innerText} ${box.id} ${box.className}`) && !box.querySelector("input[type=text], textarea"));
  for (const pattern of [RESERVED, CLOSING]) {
    for (const box of boxes) {
      for (const button of box.querySelectorAll("button, [role=button], a[href='#']")) {
        const text = (button.innerText || button.getAttribute("aria-label") || "").trim();
        if (pattern.test(text) && shown(button) && !(button.form && button.type === "submit")) {
          button.click();
          return text;
        }
      }
    }
  }
  return "";
}
