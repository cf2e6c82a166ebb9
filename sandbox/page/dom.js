// Finding and making elements.

/** @param {string} id @returns {HTMLElement} */
export function byTestId(id) {
  return find(`[data-testid="${id}"]`);
}

/** @param {string} name @returns {HTMLElement} */
export function part(name) {
  return find(`[data-part="${name}"]`);
}

/** @param {string} selector @returns {HTMLElement} */
function find(selector) {
  const found = document.querySelector(selector);
  if (!(found instanceof HTMLElement)) throw new Error(`the page lacks ${selector}`);
  return found;
}

/**
 * @param {string} name
 * @param {Record<string, string>} [attributes]
 * @param {string} [text]
 * @returns {HTMLElement}
 */
export function make(name, attributes = {}, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

/** @param {HTMLElement} button */
export function isPressed(button) {
  return button.getAttribute("aria-pressed") === "true";
}

/** @param {HTMLElement} button @param {boolean} pressed */
export function setPressed(button, pressed) {
  button.setAttribute("aria-pressed", String(pressed));
}

const VIEWS = ["prejoin", "lobby", "room", "ended"];

/** Show one view and hide the others. @param {string} view */
export function show(view) {
  for (const id of VIEWS) byTestId(id).hidden = id !== view;
}

const ICONS = {
  mic: "M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3z M5.5 11.5a6.5 6.5 0 0 0 13 0 M12 18v3",
  camera: "M4 7h10a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V9a2 2 0 0 1 2-2z M16 11l6-3.5v9L16 13",
  share: "M3 5h18v11H3z M8 20h8 M12 13V8 M9.5 10.2 12 7.7l2.5 2.5",
  "captions-toggle": "M3 6h18v12H3z M7 13h4 M7 10h2 M13 13h4 M12 10h5",
  "incoming-video": "M3 5h18v14H3z M12 8v6 M9.5 11.8 12 14.3l2.5-2.5",
};

/** Draw the icons of the round buttons. */
export function drawIcons() {
  for (const [id, path] of Object.entries(ICONS)) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", path);
    svg.append(line);
    byTestId(id).append(svg);
  }
}
