/**
 * Finding things in a platform's page by the anchors of its file: visible elements, in the page and
 * in its frames of the same origin.
 */

/** @typedef {{element: HTMLElement, anchor: string}} WebFound */

const WEB = /** @type {WebConfig} */ (CONFIG.web);
const WEB_FRAMES_DEEP = 3;
const WEB_BUTTONS = 'button, [role="button"], a[href], input[type="submit"], [role="menuitem"]';

/** The page and what it shows in frames that we may read. @returns {Document[]} */
function webDocuments() {
  const found = [document];
  /** @param {Document} inside @param {number} deep */
  const look = (inside, deep) => {
    for (const frame of inside.querySelectorAll('iframe')) {
      const inner = frame.contentDocument;
      if (!inner || !webVisible(frame)) continue;
      found.push(inner);
      if (deep > 1) look(inner, deep - 1);
    }
  };
  look(document, WEB_FRAMES_DEEP);
  return found;
}

/** @param {Element} element */
function webVisible(element) {
  return element.checkVisibility({ visibilityProperty: true });
}

/** Characters that are not seen: where a word may be parted, and where it may not. */
const WEB_UNSEEN = /[\u00ad\u200b-\u200f\u2060\ufeff]/g;
const WEB_APOSTROPHES = /[\u2018\u2019\u201b\u02b9\u02bc\u2032\u00b4`\uff07]/g;

/** Texts are compared without case, line breaks and the shape of apostrophes and dots. @param {string} text */
function webPlain(text) {
  const plain = text.replace(WEB_UNSEEN, '').replace(WEB_APOSTROPHES, "'").replace(/\u2026/g, '...');
  return plain.replace(/\s+/g, ' ').trim().toLowerCase();
}

/** @param {Element} element */
function webLabel(element) {
  return webPlain(element.getAttribute('aria-label') ?? '');
}

/** @param {string} locator @returns {HTMLElement[]} all that match, visible or not */
function webAll(locator) {
  const [kind, wanted] = /^(button|label):/.test(locator)
    ? [locator.slice(0, locator.indexOf(':')), webPlain(locator.slice(locator.indexOf(':') + 1))]
    : ['css', ''];
  const selector = kind === 'css' ? locator : kind === 'button' ? WEB_BUTTONS : '[aria-label]';
  const found = [];
  for (const inside of webDocuments()) {
    for (const element of inside.querySelectorAll(selector)) {
      const own = /** @type {HTMLElement} */ (element);
      if (kind === 'button' && webPlain(own.innerText || own.getAttribute('value') || '') !== wanted) {
        continue;
      }
      if (kind === 'label' && !webLabel(own).startsWith(wanted)) continue;
      found.push(own);
    }
  }
  return found;
}

/** The first visible element of the first anchor that has one. @param {readonly string[]} locators @returns {WebFound | null} */
function webFind(locators) {
  for (const anchor of locators) {
    const element = webAll(anchor).find(webVisible);
    if (element) return { element, anchor };
  }
  return null;
}

/** @param {WebPurpose} purpose */
function webAnchor(purpose) {
  return webFind(WEB.anchors[purpose] ?? []);
}

/** Clicked by script and not by a mouse: nothing that lies above it is in the way. @param {WebFound | null} found */
function webPress(found) {
  if (!found) return '';
  if (/** @type {any} */ (found.element).disabled) return '';
  found.element.focus({ preventScroll: true });
  found.element.click();
  return found.anchor;
}

/** Until it is there. @param {() => WebFound | null} find @param {number} milliseconds */
async function webUntil(find, milliseconds) {
  const deadline = performance.now() + milliseconds;
  for (;;) {
    const found = find();
    if (found || performance.now() > deadline) return found;
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
}
