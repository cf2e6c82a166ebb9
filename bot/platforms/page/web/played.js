/**
 * Sound that a client decodes by itself and plays: no track brings it, so it is tapped where it leaves
 * the page, and encoded again (design.md D5). It is the mix of all, whom the page shows to speak.
 * While a received track brings sound, the client does not do so, and nothing is tapped.
 */

const PLAYED_FIRST = 0xf000;
const PLAYED_MOST = 8;
const PLAYED_LOOK_MS = 250;

/** @typedef {{node: MediaStreamAudioDestinationNode, track: MediaStreamTrack | null, index: number}} PlayedTap */

const NativeAudioContext = window.AudioContext;
const NativeSink = window.MediaStreamAudioDestinationNode;
const nativeConnect = AudioNode.prototype.connect;
const nativeDisconnect = AudioNode.prototype.disconnect;
/** @type {Map<BaseAudioContext, PlayedTap>} */
const playedTaps = new Map();
let playedCount = 0;

/** Where the sound of a context goes besides its speakers. @param {BaseAudioContext} context */
function playedTap(context) {
  const known = playedTaps.get(context);
  if (known || !(context instanceof NativeAudioContext)) return known;
  if (playedTaps.size >= PLAYED_MOST) return undefined;
  const options = /** @type {const} */ ({ channelCount: 1, channelCountMode: 'explicit' });
  /** @type {PlayedTap} */
  const tap = { node: new NativeSink(context, options), track: null, index: -1 };
  playedTaps.set(context, tap);
  context.addEventListener('statechange', () => {
    if (context.state !== 'closed') return;
    playedStop(tap);
    playedTaps.delete(context);
  });
  return tap;
}

/** @param {unknown} to @param {(node: AudioNode) => void} also what is done to our node, too */
function playedAlso(to, also) {
  if (!(to instanceof AudioDestinationNode)) return;
  try {
    const tap = playedTap(to.context);
    if (tap) also(tap.node);
  } catch (error) {
    captureAlarm('tap-failed', null, `played sound: ${String(error)}`);
  }
}

AudioNode.prototype.connect = /** @type {any} */ ({
  /** @this {AudioNode} @param {any} to @param {any[]} ports */
  connect(to, ...ports) {
    const answer = apply(nativeConnect, this, [to, ...ports]);
    playedAlso(to, (node) => apply(nativeConnect, this, [node, ...ports.slice(0, 1)]));
    return answer;
  },
}).connect;

AudioNode.prototype.disconnect = /** @type {any} */ ({
  /** @this {AudioNode} @param {any[]} args */
  disconnect(...args) {
    const answer = apply(nativeDisconnect, this, args);
    playedAlso(args[0], (node) => apply(nativeDisconnect, this, [node, ...args.slice(1, 2)]));
    return answer;
  },
}).disconnect;

/** @param {PlayedTap} tap */
function playedStart(tap) {
  const track = tap.node.stream.getAudioTracks()[0]?.clone();
  if (!track || playedCount >= 0x0fff) return;
  tap.track = track;
  tap.index = PLAYED_FIRST + playedCount++;
  const trackId = captureTrackName(track);
  const streamIds = ['played'];
  emit('track', { doc: captureDoc, index: tap.index, trackId, kind: 'audio', streamIds, mid: null });
  const { attribution, confidence } = /** @type {WebMix} */ (WEB.mix);
  emit('mix', { trackId, attribution, confidence });
  const { readable } = new MediaStreamTrackProcessor({ track });
  const worker = captureWorker();
  if (worker) worker.postMessage({ readable, index: tap.index, delayMs: 0 }, [/** @type {any} */ (readable)]);
  else captureHere.encode(readable, tap.index, 0);
}

/** @param {PlayedTap} tap */
function playedStop(tap) {
  if (!tap.track) return;
  tap.track.stop();
  tap.track = null;
  emit('track-ended', { doc: captureDoc, index: tap.index });
}

setInterval(() => {
  const received = capturedTracks.some(({ track }) => track.kind === 'audio' && track.readyState === 'live');
  for (const [context, tap] of playedTaps) {
    try {
      if (received) playedStop(tap);
      else if (!tap.track && context.state === 'running') playedStart(tap);
    } catch (error) {
      captureAlarm('tap-failed', null, `played sound: ${String(error)}`);
      playedTaps.delete(context);
    }
  }
}, PLAYED_LOOK_MS);
