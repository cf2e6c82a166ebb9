/** The tab records itself: VP9 and Opus in WebM, a slice a second (design.md D7). */

const SLICE_MS = 1000;
// A message of the bridge holds 340,000 characters of base64.
const TAB_PART = 180_000;

// Taken before page code runs: neither the page nor the screen that a bot shares comes in between.
const nativeDisplayMedia = navigator.mediaDevices?.getDisplayMedia.bind(navigator.mediaDevices);

/** @type {MediaRecorder | null} */
let tabRecorder = null;
let tabParts = 0;
/** Slices are handed out one after another. */
let tabQueue = Promise.resolve();

/** @param {Blob} slice */
async function tabSlice(slice) {
  const at = captureEpochMs();
  const bytes = new Uint8Array(await slice.arrayBuffer());
  for (let start = 0; start < bytes.length; start += TAB_PART) {
    const data = toBase64(bytes.slice(start, start + TAB_PART));
    emit('tab', { n: tabParts++, at, data });
    emit.flush();
  }
}

/** @param {string} reason @param {string} detail */
function tabEnded(reason, detail) {
  tabQueue = tabQueue.then(() => emit('tab-ended', { reason, detail: detail.slice(0, 500) }));
}

/** @param {{fps: number, width: number, height: number}} wanted */
async function tabStream({ fps, width, height }) {
  const options = /** @type {any} */ ({
    video: {
      frameRate: { max: fps },
      width: { max: width },
      height: { max: height },
    },
    // Each of these takes the tab's own sound out of the recording.
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    preferCurrentTab: true,
    selfBrowserSurface: 'include',
  });
  return nativeDisplayMedia(options);
}

onCommand('tab.start', async (/** @type {any} */ wanted) => {
  if (window !== window.top) throw new Error('only the main frame records the tab');
  // One that Python could not stop in time.
  if (tabRecorder) await tabStop(tabRecorder);
  const stream = await tabStream(wanted);
  const recorder = new MediaRecorder(stream, {
    mimeType: 'video/webm;codecs=vp9,opus',
    videoBitsPerSecond: wanted.videoBitsPerSecond,
    audioBitsPerSecond: 64_000,
  });
  tabRecorder = recorder;
  recorder.ondataavailable = ({ data }) => {
    if (data.size > 0) tabQueue = tabQueue.then(() => tabSlice(data));
  };
  recorder.onerror = (event) => tabEnded('error', String(/** @type {any} */ (event).error));
  recorder.onstop = () => tabEnded('stopped', '');
  for (const track of stream.getTracks()) {
    track.addEventListener('ended', () => tabEnded('track-ended', track.kind));
  }
  // The first sound that comes after this is at zero; the start event comes a good deal later, and
  // nobody waits for it: a recorder that fails after this says so itself.
  const at = captureEpochMs();
  recorder.start(SLICE_MS);
  return { at, audio: stream.getAudioTracks().length > 0 };
});

/** Hand out the last slice; the tab may be recorded again. @param {MediaRecorder} recorder */
async function tabStop(recorder) {
  if (recorder.state !== 'inactive') {
    const stopped = new Promise((resolve) => recorder.addEventListener('stop', resolve));
    recorder.stop();
    await stopped;
  }
  recorder.stream.getTracks().forEach((track) => track.stop());
  tabRecorder = null;
  await tabQueue;
  emit.flush();
}

onCommand('tab.stop', async () => {
  if (tabRecorder) await tabStop(tabRecorder);
});
