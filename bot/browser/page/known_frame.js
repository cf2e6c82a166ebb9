/**
 * Take the native binding off the window, so that page code finds nothing to call.
 * @returns {((payload: string) => void) | undefined}
 */
function takeBinding() {
  const holder = /** @type {any} */ (globalThis);
  const binding = holder[BOOT.binding];
  delete holder[BOOT.binding];
  return binding;
}

/**
 * The main frame, and child frames that share its origin (about:blank inherits it).
 * @returns {boolean}
 */
function isKnownFrame() {
  try {
    return window === window.top || window.top?.origin === window.origin;
  } catch {
    return false;
  }
}
