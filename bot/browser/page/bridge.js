/**
 * The only way out of the page. Everything here is taken before page code runs and nothing of it
 * is reachable from page code. The nonce touches primitive string operations and the native
 * binding only: arrays, objects and JSON could be observed through patched prototypes.
 */

const stringify = /** @type {(value: unknown) => string | undefined} */ (JSON.stringify);
/** @type {(text: string) => any} */
const parse = JSON.parse;
const { apply } = Reflect;
const { fromCharCode } = String;
const encodeLatin1 = btoa.bind(window);
const later = setTimeout.bind(window);
/** @type {((this: Uint8Array) => string) | undefined} */
const nativeToBase64 = /** @type {any} */ (Uint8Array.prototype).toBase64;
const subarray = Uint8Array.prototype.subarray;

const SEND_EVERY_MS = 200;
// Python refuses a call above 1 MiB; UTF-8 may need three bytes for a UTF-16 unit.
const MAX_CALL_UNITS = 340_000;

/**
 * Standard base64, with padding.
 * @type {(bytes: Uint8Array) => string}
 */
const toBase64 = (bytes) => {
  if (nativeToBase64) return apply(nativeToBase64, bytes, []);
  let binary = '';
  for (let start = 0; start < bytes.length; start += 8192) {
    binary += apply(fromCharCode, null, apply(subarray, bytes, [start, start + 8192]));
  }
  return encodeLatin1(binary);
};

let pending = '';
let scheduled = false;

function flush() {
  if (pending === '' || !send) return;
  const payload = BOOT.nonce + '[' + pending + ']';
  pending = '';
  send(payload);
}

function sendLater() {
  if (scheduled) return;
  scheduled = true;
  later(() => {
    scheduled = false;
    flush();
  }, SEND_EVERY_MS);
}

/** @type {Emit} */
const emit = (kind, body) => {
  const message =
    '{"kind":' + stringify(kind) + ',"body":' + (stringify(body) ?? 'null') + '}';
  if (pending.length + message.length > MAX_CALL_UNITS) flush();
  pending += pending === '' ? message : ',' + message;
  sendLater();
};
emit.flush = flush;

/** @typedef {(args: any) => Json | void | Promise<Json | void>} Command */
/** @type {Record<string, Command>} */
const commands = Object.create(null);

/**
 * Offer a command to Python; it is called with transient user activation.
 * @type {(name: string, handler: Command) => void}
 */
const onCommand = (name, handler) => {
  commands[name] = handler;
};

/**
 * Python finds this function through the debugger's list of event listeners, which page code
 * cannot read; the event name is random, so page code cannot fire it either.
 * @param {unknown} text
 * @returns {Promise<string | undefined>}
 */
async function runCommand(text) {
  if (typeof text !== 'string') return undefined;
  const { name, args } = parse(text);
  const handler = commands[name];
  if (!handler) return stringify({ error: `the page has no command ${name}` });
  try {
    return stringify({ value: (await handler(args)) ?? null });
  } catch (error) {
    return stringify({ error: String(error) });
  }
}

window.addEventListener(BOOT.listener, /** @type {any} */ (runCommand));
window.addEventListener('beforeunload', flush);
emit('hello', { main: window === window.top });
flush();
