/**
 * What a bot says and shows. The page gets its microphone, camera and screen from here once Python
 * has handed something over; until then every call goes to the browser, and nothing is made.
 *
 * The sound goes to the microphone only, never to the tab's own output: others hear it, the tab's
 * recording does not, as nobody hears themselves in a meeting.
 */

const OUTPUT_WIDTH = 1280;
const OUTPUT_HEIGHT = 720;
// A standing picture is sent again for those who come later.
const OUTPUT_PICTURE_MS = 200;
// At first often: the first one that a connection can carry is then sent at once.
const OUTPUT_EAGER_MS = 33;
const OUTPUT_EAGER_FOR_MS = 3_000;
const OUTPUT_LOAD_MS = 10_000;
const OUTPUT_FLOW_MS = 1_500;
// What was played last is still on its way to the others.
const OUTPUT_TAIL_MS = 300;

/** @typedef {'audio' | 'image' | 'video'} OutputKind */
/** @typedef {{number: number, track: () => MediaStreamTrack[], play: () => Promise<void>, drop: () => void}} Output */

/** @type {Map<OutputKind, Output>} */
const outputs = new Map();
/** What the page was given. @type {Set<MediaStreamTrack>} */
const outputGiven = new Set();
/** @type {Uint8Array[]} */
let outputParts = [];
let outputCount = 0;
/** Whether the page has a microphone and a camera now. */
let outputDevices = false;

/** @type {{context: AudioContext, microphone: MediaStreamAudioDestinationNode} | null} */
let outputSound = null;

function outputMixer() {
  if (!outputSound) {
    const context = new AudioContext();
    outputSound = { context, microphone: context.createMediaStreamDestination() };
  }
  return outputSound;
}

/** @type {HTMLCanvasElement | null} */
let outputCanvas = null;

function outputCamera() {
  if (!outputCanvas) {
    outputCanvas = document.createElement('canvas');
    outputCanvas.width = OUTPUT_WIDTH;
    outputCanvas.height = OUTPUT_HEIGHT;
    outputPaint(null);
  }
  return outputCanvas;
}

/** The whole picture on black. @param {ImageBitmap | null} picture */
function outputPaint(picture) {
  const context = outputCanvas?.getContext('2d');
  if (!context) return;
  context.fillStyle = '#000';
  context.fillRect(0, 0, OUTPUT_WIDTH, OUTPUT_HEIGHT);
  if (!picture) return;
  const scale = Math.min(OUTPUT_WIDTH / picture.width, OUTPUT_HEIGHT / picture.height);
  const [width, height] = [picture.width * scale, picture.height * scale];
  const [left, top] = [(OUTPUT_WIDTH - width) / 2, (OUTPUT_HEIGHT - height) / 2];
  context.drawImage(picture, left, top, width, height);
}

/** Until it can be played. @param {HTMLMediaElement} element @param {string} url @param {boolean} loop */
function outputReady(element, url, loop) {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error('it could not be loaded in time'));
    const timer = setTimeout(late, OUTPUT_LOAD_MS);
    element.oncanplay = () => {
      clearTimeout(timer);
      element.oncanplay = null;
      resolve(null);
    };
    element.onerror = () => {
      clearTimeout(timer);
      reject(new Error(element.error?.message || 'the browser cannot play it'));
    };
    element.loop = loop;
    element.preload = 'auto';
    element.src = url;
  });
}

/**
 * A sound or a video, playing into `sound`.
 * @param {HTMLMediaElement} element @param {Blob} blob @param {boolean} loop @param {OutputKind} kind
 * @param {MediaStreamAudioDestinationNode} sound
 */
async function outputPlayer(element, blob, loop, kind, sound) {
  const number = ++outputCount;
  const url = URL.createObjectURL(blob);
  const source = outputMixer().context.createMediaElementSource(element);
  source.connect(sound);
  const drop = () => {
    element.onended = null;
    element.pause();
    source.disconnect();
    element.removeAttribute('src');
    URL.revokeObjectURL(url);
  };
  try {
    await outputReady(element, url, loop);
  } catch (error) {
    drop();
    throw error;
  }
  const play = async () => {
    await outputMixer().context.resume();
    element.onended = () => {
      setTimeout(() => {
        emit('output-ended', { kind, number });
        emit.flush();
      }, OUTPUT_TAIL_MS);
    };
    await element.play();
  };
  return { number, play, drop };
}

/** @param {Blob} blob @param {boolean} loop @returns {Promise<Output>} */
async function outputAudio(blob, loop) {
  const { microphone } = outputMixer();
  const player = await outputPlayer(new Audio(), blob, loop, 'audio', microphone);
  return { ...player, track: () => microphone.stream.getAudioTracks() };
}

/** @param {Blob} blob @param {boolean} loop @returns {Promise<Output>} */
async function outputVideo(blob, loop) {
  const element = /** @type {any} */ (document.createElement('video'));
  element.playsInline = true;
  const sound = outputMixer().context.createMediaStreamDestination();
  const player = await outputPlayer(element, blob, loop, 'video', sound);
  /** @type {MediaStreamTrack[]} */
  const picture = element.captureStream().getVideoTracks();
  if (picture.length === 0) {
    player.drop();
    throw new Error('it holds no picture');
  }
  return { ...player, track: () => [...picture, ...sound.stream.getAudioTracks()] };
}

/** @param {Blob} blob @returns {Promise<Output>} */
async function outputImage(blob) {
  const number = ++outputCount;
  const picture = await createImageBitmap(blob);
  const canvas = outputCamera();
  let timer = 0;
  const eagerUntil = performance.now() + OUTPUT_EAGER_FOR_MS;
  const paint = () => {
    outputPaint(picture);
    const eager = performance.now() < eagerUntil;
    timer = setTimeout(paint, eager ? OUTPUT_EAGER_MS : OUTPUT_PICTURE_MS);
  };
  paint();
  const play = async () => {};
  const drop = () => {
    clearTimeout(timer);
    outputPaint(null);
    picture.close();
  };
  return { number, play, drop, track: () => canvas.captureStream().getVideoTracks() };
}

/** @param {OutputKind} kind */
function outputDrop(kind) {
  outputs.get(kind)?.drop();
  outputs.delete(kind);
  if (!outputs.has('audio') && !outputs.has('video')) void outputSound?.context.suspend();
}

/** Copies: a page that turns its microphone off may end what it was given. @param {MediaStreamTrack[]} tracks */
function outputStream(tracks) {
  const copies = tracks.map((track) => track.clone());
  for (const copy of copies) {
    outputGiven.add(copy);
    if (copy.kind === 'audio') void outputMixer().context.resume();
  }
  return new MediaStream(copies);
}

/** @param {boolean} there whether the page has a microphone and a camera from now on */
function outputTellDevices(there) {
  outputDevices = there;
  navigator.mediaDevices?.dispatchEvent(new Event('devicechange'));
}

onCommand('output.part', ({ first, data }) => {
  if (first) outputParts = [];
  outputParts.push(Uint8Array.from(atob(data), (char) => char.charCodeAt(0)));
});

onCommand('output.load', async ({ kind, mimeType, loop }) => {
  const blob = new Blob(/** @type {BlobPart[]} */ (outputParts), { type: mimeType });
  outputParts = [];
  const make = { audio: outputAudio, image: outputImage, video: outputVideo }[
    /** @type {OutputKind} */ (kind)
  ];
  const first = !outputDevices && kind !== 'video';
  if (first) outputTellDevices(true);
  try {
    const output = await make(blob, loop);
    outputDrop(kind);
    outputs.set(kind, output);
    return output.number;
  } catch (error) {
    if (first) outputTellDevices(false);
    throw error;
  }
});

/** Once the others can hear it, or when nobody is there to hear it. */
onCommand('output.play', async ({ kind }) => {
  const deadline = performance.now() + OUTPUT_FLOW_MS;
  while (!outputFlows(kind === 'audio' ? 'audio' : 'video') && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await outputs.get(kind)?.play();
});

onCommand('output.drop', ({ kinds }) => kinds.forEach(outputDrop));

/** Whether a connection has agreed to carry what we gave. @param {string} kind */
function outputFlows(kind) {
  const carrying = [...captureConnections].filter((pc) =>
    pc.getSenders().some(({ track }) => track?.kind === kind && outputGiven.has(track)),
  );
  const ready = (/** @type {RTCPeerConnection} */ pc) =>
    pc.signalingState === 'stable' && pc.connectionState === 'connected';
  return carrying.length > 0 && carrying.every(ready);
}

/** @param {MediaStreamConstraints} [wanted] @returns {MediaStreamTrack[] | null} null: the browser's own */
function outputUserMedia(wanted) {
  if (!outputDevices || (!wanted?.audio && !wanted?.video)) return null;
  const sound = wanted.audio ? outputMixer().microphone.stream.getAudioTracks() : [];
  return wanted.video ? [...sound, ...outputCamera().captureStream().getVideoTracks()] : sound;
}

/** What the page sees in its lists of devices. @param {MediaDeviceKind} kind */
function outputDevice(kind) {
  const facts = { deviceId: `bot-${kind}`, groupId: 'bot', kind, label: 'Bot' };
  const toJSON = () => facts;
  return Object.create(MediaDeviceInfo.prototype, {
    ...Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, { value, enumerable: true }])),
    toJSON: { value: toJSON },
  });
}

if (navigator.mediaDevices) {
  const prototype = MediaDevices.prototype;
  const { getUserMedia, getDisplayMedia, enumerateDevices } = prototype;
  const hooks = {
    /** @this {MediaDevices} @param {MediaStreamConstraints} [wanted] */
    async getUserMedia(wanted) {
      const tracks = outputUserMedia(wanted);
      return tracks ? outputStream(tracks) : getUserMedia.call(this, wanted);
    },
    /** @this {MediaDevices} @param {DisplayMediaStreamOptions} [wanted] */
    async getDisplayMedia(wanted) {
      const video = outputs.get('video');
      if (!video) return getDisplayMedia.call(this, wanted);
      const tracks = video.track().filter(({ kind }) => kind === 'video' || wanted?.audio);
      return outputStream(tracks);
    },
    /** @this {MediaDevices} */
    async enumerateDevices() {
      const found = await enumerateDevices.call(this);
      if (!outputDevices) return found;
      return [...found, outputDevice('audioinput'), outputDevice('videoinput')];
    },
  };
  for (const [name, value] of Object.entries(hooks)) {
    Object.defineProperty(prototype, name, { value, writable: true, configurable: true, enumerable: true });
  }
}
