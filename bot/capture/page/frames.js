/**
 * Takes encoded frames and hands them out in batches; the record format is that of
 * bot/capture/frames.py. Runs in our worker, as text, and in the main thread for pages that use
 * the legacy streams: so it must not use anything from outside its own body.
 *
 * @param {(bytes: ArrayBuffer, first: boolean) => void} post
 * @param {(counts: [number, number][]) => void} report frames seen per track index
 * @param {(index: number, detail: string) => void} fail a tap broke
 * @param {Record<string, {key: string, deltas: string[]}> | null} cannedBase64
 * @returns {FrameTap}
 */
function captureFrames(post, report, fail, cannedBase64) {
  const HEADER = 36;
  const BATCH_MS = 200;
  // A message of the bridge holds 340,000 characters of base64.
  const MAX_CHUNK = 180_000;
  const CODECS = ['audio/opus', 'audio/red', 'video/vp8', 'video/vp9', 'video/h264', 'video/av1'];
  const SILENCE = new Uint8Array([0xf8, 0xff, 0xfe]);
  const KEY = 1;
  const DELAYED = 2;
  const origin = performance.timeOrigin;

  /** @type {Map<string, CannedFrames>} */
  const canned = new Map();
  /** @type {(text: string) => Uint8Array} */
  const decode = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  for (const [mime, frames] of Object.entries(cannedBase64 ?? {})) {
    canned.set(mime.toLowerCase(), {
      key: decode(frames.key),
      deltas: frames.deltas.map(decode),
    });
  }

  /** @type {Uint8Array[]} */
  let records = [];
  let bytes = 0;
  let scheduled = false;
  /** @type {Map<number, number>} */
  const seen = new Map();
  /** @type {Map<number, number>} */
  const delays = new Map();
  /** Tracks whose frames are of no use to Python. @type {Set<number>} */
  const unwanted = new Set();

  function flush() {
    if (bytes === 0) return;
    const whole = new Uint8Array(bytes);
    let at = 0;
    for (const record of records) {
      whole.set(record, at);
      at += record.length;
    }
    records = [];
    bytes = 0;
    for (let start = 0; start < whole.length; start += MAX_CHUNK) {
      post(whole.slice(start, start + MAX_CHUNK).buffer, start === 0);
    }
    report([...seen]);
  }

  /** @param {Uint8Array} record */
  function queue(record) {
    records.push(record);
    bytes += record.length;
    if (bytes >= MAX_CHUNK) flush();
    if (scheduled) return;
    scheduled = true;
    setTimeout(() => {
      scheduled = false;
      flush();
    }, BATCH_MS);
  }

  /**
   * @param {{index: number, codec: number, flags: number, ssrc: number, rtp: number,
   *   sequence: number, csrcs: number[], arrival: number, level: number, width: number,
   *   height: number, payload: Uint8Array}} frame
   */
  function write(frame) {
    const body = HEADER + 4 * frame.csrcs.length;
    const record = new Uint8Array(body + frame.payload.length);
    const view = new DataView(record.buffer);
    view.setUint32(0, record.length, true);
    view.setUint16(4, frame.index, true);
    view.setUint8(6, frame.codec);
    view.setUint8(7, frame.flags);
    view.setUint32(8, frame.ssrc, true);
    view.setUint32(12, frame.rtp, true);
    view.setUint16(16, frame.sequence, true);
    view.setUint8(19, frame.csrcs.length);
    view.setFloat64(20, frame.arrival, true);
    view.setFloat32(28, frame.level, true);
    view.setUint16(32, frame.width, true);
    view.setUint16(34, frame.height, true);
    frame.csrcs.forEach((csrc, place) => view.setUint32(HEADER + 4 * place, csrc, true));
    record.set(frame.payload, body);
    queue(record);
  }

  /**
   * @param {any} frame
   * @param {any} metadata
   * @param {number} index
   */
  function take(frame, metadata, index) {
    const received = metadata.receiveTime ?? performance.now();
    write({
      index,
      codec: CODECS.indexOf((metadata.mimeType ?? '').toLowerCase()),
      flags: frame.type === 'key' ? KEY : 0,
      ssrc: metadata.synchronizationSource ?? 0,
      rtp: (metadata.rtpTimestamp ?? frame.timestamp ?? 0) >>> 0,
      sequence: metadata.sequenceNumber ?? 0,
      csrcs: (metadata.contributingSources ?? []).slice(0, 15),
      arrival: origin + received,
      level: metadata.audioLevel ?? NaN,
      width: metadata.width ?? 0,
      height: metadata.height ?? 0,
      payload: new Uint8Array(frame.data),
    });
  }

  /**
   * @param {any} frame
   * @param {any} metadata
   * @param {number} turn
   */
  function replace(frame, metadata, turn) {
    const mime = (metadata.mimeType ?? '').toLowerCase();
    if (mime === 'audio/opus') {
      frame.data = SILENCE.slice().buffer;
      return;
    }
    const frames = canned.get(mime);
    if (!frames) return;
    const bytes = frame.type === 'key' ? frames.key : frames.deltas[turn % frames.deltas.length];
    if (bytes) frame.data = bytes.slice().buffer;
  }

  /** @param {TapOptions} options */
  function tap(options) {
    let turn = 0;
    return new TransformStream({
      transform(frame, controller) {
        try {
          seen.set(options.index, (seen.get(options.index) ?? 0) + 1);
          const metadata = frame.getMetadata();
          if (options.take && !unwanted.has(options.index)) take(frame, metadata, options.index);
          // An empty frame stays what it is: it is not decoded anyway.
          if (options.replace && frame.data.byteLength > 0) replace(frame, metadata, turn++);
        } catch (error) {
          fail(options.index, String(error));
        }
        // Never dropped: a missing video frame asks every sender for key frames.
        controller.enqueue(frame);
      },
    });
  }

  /**
   * @param {ReadableStream<any>} readable
   * @param {WritableStream<any>} writable
   * @param {TapOptions} options
   */
  function pump(readable, writable, options) {
    readable.pipeThrough(tap(options)).pipeTo(writable).catch(() => undefined);
  }

  /**
   * Decoded sound, for tracks whose encoded frames belong to the page: Opus again, 20 ms.
   * @param {ReadableStream<any>} readable of AudioData
   * @param {number} index
   * @param {number} delayMs how long ago the sound arrived, by the jitter buffer
   */
  async function encode(readable, index, delayMs) {
    let sequence = 0;
    let level = NaN;
    /** @type {any} */
    let encoder = null;
    /** @type {number | null} */
    let epoch = null;
    delays.set(index, delayMs);
    const output = (/** @type {any} */ chunk) => {
      const payload = new Uint8Array(chunk.byteLength);
      chunk.copyTo(payload);
      const now = origin + performance.now();
      epoch ??= now * 1000 - chunk.timestamp;
      write({
        index, codec: 0, flags: DELAYED, ssrc: 1,
        rtp: Math.round((chunk.timestamp * 48) / 1000) >>> 0,
        sequence: sequence++ & 0xffff, csrcs: [],
        arrival: now - (delays.get(index) ?? 0),
        level, width: 0, height: 0, payload,
      });
    };
    const reader = readable.getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        seen.set(index, (seen.get(index) ?? 0) + 1);
        level = Math.max(loudness(value), Number.isNaN(level) ? 0 : level * 0.5);
        if (!encoder) {
          const Encoder = /** @type {any} */ (globalThis).AudioEncoder;
          encoder = new Encoder({
            output,
            error: (/** @type {unknown} */ error) => fail(index, String(error)),
          });
          encoder.configure({
            codec: 'opus', sampleRate: value.sampleRate,
            numberOfChannels: value.numberOfChannels, bitrate: 48_000,
          });
        }
        encoder.encode(value);
        value.close();
      }
      await encoder?.flush();
    } catch (error) {
      fail(index, String(error));
    }
  }

  /**
   * Root mean square of the first channel, 0-1.
   * @param {any} sound
   */
  function loudness(sound) {
    const samples = new Float32Array(sound.numberOfFrames);
    sound.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
    let sum = 0;
    for (const sample of samples) sum += sample * sample;
    return Math.sqrt(sum / Math.max(1, samples.length));
  }

  return {
    pump,
    tap,
    flush,
    encode: (readable, index, delayMs) => void encode(readable, index, delayMs),
    delay: (index, delayMs) => void delays.set(index, delayMs),
    want: (index, wanted) => void (wanted ? unwanted.delete(index) : unwanted.add(index)),
  };
}
