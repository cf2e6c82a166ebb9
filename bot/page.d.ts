/**
 * What page-side code finds inside its closure (bot/browser/page/bridge.js) and in the newest
 * browsers but not yet in TypeScript's DOM library.
 */

/** A value that survives JSON. */
type Json = null | boolean | number | string | Json[] | { [key: string]: Json | undefined };

interface Emit {
  /** Queue one message; it leaves within 200 ms, together with everything else queued. */
  (kind: string, body: Json): void;
  /** Send everything queued now. */
  flush(): void;
}

/** Messages to Python; what is sent is a claim that Python checks against a schema. */
declare const emit: Emit;

/** Standard base64, with padding. */
declare const toBase64: (bytes: Uint8Array) => string;

/** Offer a command to Python; it is called with transient user activation. */
declare const onCommand: (
  name: string,
  handler: (args: any) => Json | void | Promise<Json | void>,
) => void;

/** What Python passed in, deeply frozen. */
declare const CONFIG: Readonly<Record<string, any>>;

/** Per-run values of the bridge itself; other parts do not use it. */
declare const BOOT: Readonly<{ nonce: string; binding: string; listener: string }>;

/** The native binding to Python, taken off the window; undefined where it is not offered. */
declare const send: ((payload: string) => void) | undefined;
