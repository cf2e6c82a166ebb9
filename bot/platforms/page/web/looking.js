/**
 * What the page shows: the first rule of the platform's file that fits. One call per look.
 */

const WEB_PRESS_AGAIN_MS = 2_000;
const WEB_EVIDENCE = 400;
const webDocument = Math.random().toString(36).slice(2);

/** @type {WebPlatform} */
const webPlatform = {
  signals: () => [],
  roster: () => null,
  leftLateMs: () => 0,
  owners: () => [],
  presenter: null,
  voices: () => [],
  chat: () => null,
  captions: () => null,
  say: null,
  showCaptions: null,
  rename: null,
  pin: null,
  tell: null,
  stopIncomingVideo: null,
  leave: null,
  shape: () => '',
};

/** When each thing was pressed last. @type {Map<WebSigns, number>} */
const webPressed = new Map();

/** @type {(node: Node) => boolean} */
const webIsRead = (node) => {
  // By kind and not by class: a page may move elements between its frames.
  if (node.nodeType !== Node.ELEMENT_NODE) return true;
  const element = /** @type {Element} */ (node);
  if (/^(script|style|noscript|template|textarea|select)$/i.test(element.tagName)) return false;
  return !element.matches(WEB.ignore.join(',') || ':not(*)') && webVisible(element);
};

/** All that is visible below `root` and not written by people in the meeting. @param {Node} root */
function webWords(root) {
  /** @type {string[]} */
  const words = [];
  /** @param {Node} node */
  const read = (node) => {
    if (node.nodeType === Node.TEXT_NODE) {
      const text = node.nodeValue ?? '';
      // Frameworks make one word of several: "(", "3,001" and ")".
      if (node.previousSibling?.nodeType === Node.TEXT_NODE) words.push((words.pop() ?? '') + text);
      else words.push(text);
    } else if (webIsRead(node)) {
      node.childNodes.forEach(read);
    }
  };
  read(root);
  return webPlain(words.join(' '));
}

/** The words of one look, read only when a rule asks. */
class WebReading {
  constructor() {
    this.signals = webPlatform.signals();
    /** @type {Map<string, string>} */
    this.words = new Map();
    /** Whether the room is shown; null until a rule asks. @type {boolean | null} */
    this.room = null;
  }

  /** @param {string} text as the file has it @param {readonly string[]} within */
  says(text, within) {
    const words = this.in(within);
    const wanted = webPlain(text);
    return words.includes(wanted) && !(webIsPeoples(wanted, words) && this.inRoom());
  }

  inRoom() {
    if (this.room === null) {
      // Its own texts may be people's, too.
      this.room = false;
      this.room = WEB.rules.some((rule) => rule.state === 'admitted' && webFits(rule, this) !== '');
    }
    return this.room;
  }

  /** @param {readonly string[]} within */
  in(within) {
    const key = within.join(',');
    let words = this.words.get(key);
    if (words === undefined) {
      const roots = webDocuments().flatMap((inside) =>
        key ? [...inside.querySelectorAll(key)].filter(webIsReadable) : [inside.body],
      );
      words = roots.map((root) => (root ? webWords(root) : '')).join(' ');
      this.words.set(key, words);
    }
    return words;
  }
}

/** @param {Element} element */
function webIsReadable(element) {
  const ignored = WEB.ignore.join(',');
  return webVisible(element) && !(ignored && element.closest(ignored));
}

/** @param {WebSigns} signs @param {WebReading} reading @returns {string} what fits, '' for nothing */
function webFits(signs, reading) {
  if (signs.unless.length > 0 && webFind(signs.unless)) return '';
  if (signs.unless_text.some((text) => reading.in(signs.within).includes(webPlain(text)))) return '';
  // The words first: they are what people read in the failure's detail (FC-02).
  const text = signs.text.find((one) => reading.says(one, signs.within));
  if (text) return webSentence(text);
  for (const wanted of signs.signal) {
    const prefix = wanted.endsWith('*') ? wanted.slice(0, -1) : null;
    const said = reading.signals.find((one) =>
      prefix === null ? one === wanted : one.startsWith(prefix),
    );
    if (said !== undefined) return said;
  }
  const title = webPlain(document.title);
  const titled = signs.title.find((text) => title.includes(webPlain(text)));
  if (titled) return titled;
  const address = signs.url.find((text) => location.href.includes(text));
  if (address) return address;
  return webFind(signs.css)?.anchor ?? '';
}

/** The page's own sentence around a text, for people who read why. @param {string} text */
function webSentence(text) {
  const wanted = webPlain(text);
  for (const inside of webDocuments()) {
    const walker = inside.createTreeWalker(inside.body ?? inside, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const said = (node.nodeValue ?? '').replace(/\s+/g, ' ').trim();
      const holder = node.parentElement;
      if (!webPlain(said).includes(wanted) || !holder || !webIsReadable(holder)) continue;
      return said.slice(0, WEB_EVIDENCE);
    }
  }
  return text;
}

/** @param {WebSigns} signs */
function webPressAway(signs) {
  const now = performance.now();
  if (signs.press.length === 0 || now - (webPressed.get(signs) ?? -1e9) < WEB_PRESS_AGAIN_MS) return '';
  const anchor = webPress(webFind(signs.press));
  if (anchor) webPressed.set(signs, now);
  return anchor;
}

/** For a screen that nobody described: what there is to see and to press. */
function webUnknown() {
  const buttons = webDocuments()
    .flatMap((inside) => [...inside.querySelectorAll(WEB_BUTTONS)])
    .filter(webVisible)
    .map((button) => /** @type {HTMLElement} */ (button).innerText?.trim())
    .filter((text) => text && text.length < 60)
    .slice(0, 8);
  const lang = document.documentElement.lang || '?';
  const shape = webPlatform.shape();
  const parts = [`title "${document.title}"`, `lang ${lang} of ${navigator.language}`];
  parts.push(`buttons ${JSON.stringify(buttons)}`);
  if (shape) parts.push(shape);
  return parts.join('; ').slice(0, WEB_EVIDENCE);
}

/** @returns {{state: string, rule: number, evidence: string, doc: string, pressed: string}} */
function webLook() {
  const reading = new WebReading();
  let pressed = '';
  for (const notice of WEB.notices) {
    if (webFits(notice, reading)) pressed = webPressAway(notice) || pressed;
  }
  for (const [rule, signs] of WEB.rules.entries()) {
    const evidence = webFits(signs, reading);
    if (!evidence) continue;
    pressed = webPressAway(signs) || pressed;
    return { state: signs.state, rule, evidence: evidence.slice(0, WEB_EVIDENCE), doc: webDocument, pressed };
  }
  return { state: 'unknown', rule: -1, evidence: webUnknown(), doc: webDocument, pressed };
}

onCommand('web.look', webLook);
onCommand('web.shape', () => webPlatform.shape().slice(0, WEB_EVIDENCE));
