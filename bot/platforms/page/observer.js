/**
 * What every driver's page script shares: look again soon after the page changed, and tell Python
 * only what is new.
 */

const OBSERVE_AFTER_MS = 40;
const OBSERVE_ANYWAY_MS = 500;

/**
 * Call `observe` after changes of the document, and twice a second for what changes silently
 * (the tracks of a media element).
 * @param {() => void} observe
 * @param {string[]} attributes that matter to the driver
 */
function observePage(observe, attributes) {
  let scheduled = false;
  const run = () => {
    scheduled = false;
    try {
      observe();
    } catch (error) {
      emit('trouble', { detail: String(error).slice(0, 500) });
    }
  };
  const soon = () => {
    if (scheduled) return;
    scheduled = true;
    setTimeout(run, OBSERVE_AFTER_MS);
  };
  const start = () => {
    new MutationObserver(soon).observe(document, {
      subtree: true,
      childList: true,
      characterData: true,
      attributes: true,
      attributeFilter: attributes,
    });
    soon();
  };
  if (document.readyState === 'loading') {
    document.addEventListener('DOMContentLoaded', start, { once: true });
  } else {
    start();
  }
  setInterval(soon, OBSERVE_ANYWAY_MS);
}

/**
 * `tell(key, kind, body)` emits `body` when it differs from the last one told under `key`.
 * @param {number} limit how many keys are remembered; the oldest are forgotten
 */
function teller(limit) {
  /** @type {Map<string, string>} */
  const told = new Map();
  return (/** @type {string} */ key, /** @type {string} */ kind, /** @type {Json} */ body) => {
    const text = JSON.stringify(body);
    if (told.get(key) === text) return false;
    told.set(key, text);
    if (told.size > limit) told.delete(told.keys().next().value ?? '');
    emit(kind, body);
    return true;
  };
}
