/** The worker in which frames are tapped, and the way from it to Python. */

const capture = /** @type {CaptureConfig} */ (CONFIG.capture);
const captureDoc = crypto.randomUUID();
const CaptureWorker = Worker;
const CaptureTransform = /** @type {any} */ (globalThis).RTCRtpScriptTransform;
const captureNow = performance.now.bind(performance);
const captureOrigin = performance.timeOrigin;

let captureChunk = 0;

/** @type {(bytes: ArrayBuffer, first: boolean) => void} */
const capturePost = (bytes, first) => {
  const data = toBase64(new Uint8Array(bytes));
  emit('frames', { doc: captureDoc, n: captureChunk++, first, at: captureEpochMs(), data });
  emit.flush();
};

function captureEpochMs() {
  return captureOrigin + captureNow();
}

/** @type {(reason: string, trackId: string | null, detail: string) => void} */
const captureAlarm = (reason, trackId, detail) => {
  emit('capture-alarm', { doc: captureDoc, reason, trackId, detail: detail.slice(0, 500) });
};

/** Frames seen by track index, as the taps last reported. @type {Map<number, number>} */
const captureCounts = new Map();

/** @type {(counts: [number, number][]) => void} */
const captureReport = (counts) => {
  for (const [index, count] of counts) captureCounts.set(index, count);
};

/** The text of the worker. @param {string} taps @param {string} canned */
const captureWorkerText = (taps, canned) => `'use strict';
const taps = (${taps})(
  (bytes, first) => postMessage({ bytes, first }, [bytes]),
  (counts) => postMessage({ counts }),
  (index, detail) => postMessage({ index, detail }),
  ${canned});
const transformers = new Map();
onrtctransform = (event) => {
  const { readable, writable, options } = event.transformer;
  transformers.set(options.index, event.transformer);
  taps.pump(readable, writable, options);
};
const askForKeyFrame = async (index) => {
  try {
    await transformers.get(index)?.sendKeyFrameRequest();
  } catch {
    // The picture goes on with the next key frame that somebody else asks for.
  }
};
onmessage = ({ data }) => {
  if (data.readable) taps.encode(data.readable, data.index, data.delayMs);
  else if (data.flush) { taps.flush(); postMessage({ flushed: data.flush }); }
  else if ('wanted' in data) taps.want(data.index, data.wanted);
  else if (data.keyFrame) void askForKeyFrame(data.index);
  else taps.delay(data.index, data.delayMs);
};`;

/** @type {Worker | null} */
let captureThread = null;
let captureThreadBroken = false;
/** @type {Map<number, () => void>} */
const captureFlushes = new Map();

/** @returns {Worker | null} the worker; null when this page cannot have one */
function captureWorker() {
  if (captureThread || captureThreadBroken) return captureThread;
  try {
    const text = captureWorkerText(String(captureFrames), JSON.stringify(capture.canned));
    const url = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
    captureThread = new CaptureWorker(url);
    URL.revokeObjectURL(url);
  } catch (error) {
    captureThreadBroken = true;
    captureAlarm('worker-failed', null, String(error));
    return null;
  }
  captureThread.onmessage = ({ data }) => {
    if (data.bytes) capturePost(data.bytes, data.first);
    else if (data.counts) captureReport(data.counts);
    else if (data.flushed) captureFlushes.get(data.flushed)?.();
    else captureAlarm('tap-failed', captureTrackId(data.index), data.detail);
  };
  captureThread.onerror = (event) => {
    captureAlarm('worker-failed', null, String(event.message));
  };
  return captureThread;
}

/** Taps of the main thread, for streams that the page holds. */
const captureHere = captureFrames(
  capturePost,
  captureReport,
  (index, detail) => captureAlarm('tap-failed', captureTrackId(index), detail),
  capture.canned,
);

let captureFlushCount = 0;

onCommand('capture.flush', async () => {
  captureHere.flush();
  if (captureThread) {
    const number = ++captureFlushCount;
    const answered = new Promise((resolve) => captureFlushes.set(number, () => resolve(null)));
    captureThread.postMessage({ flush: number });
    await Promise.race([answered, new Promise((resolve) => setTimeout(resolve, 1000))]);
    captureFlushes.delete(number);
  }
  emit.flush();
});
