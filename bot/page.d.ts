/**
 * What page-side code finds inside its closure besides bot/browser/page/bridge.js, which gives
 * `emit(kind, body)`, `toBase64(bytes)` and `onCommand(name, handler)`.
 */

/** A value that survives JSON. */
type Json = null | boolean | number | string | Json[] | { [key: string]: Json | undefined };

/** Messages to Python; what is sent is a claim that Python checks against a schema. */
interface Emit {
  /** Queue one message; it leaves within 200 ms, together with everything else queued. */
  (kind: string, body: Json): void;
  /** Send everything queued now. */
  flush(): void;
}

/** What Python passed in, deeply frozen. */
declare const CONFIG: Readonly<Record<string, any>>;

/** Per-run values of the bridge itself; other parts do not use it. */
declare const BOOT: Readonly<{ nonce: string; binding: string; listener: string }>;

/** The native binding to Python, taken off the window; undefined where it is not offered. */
declare const send: ((payload: string) => void) | undefined;

/** Exact origins whose pages may use private addresses (bot/browser/page/ice_guard.js). */
declare const TRUSTED_ORIGINS: readonly string[];
