/** Received tracks: their numbers, and the way in which each one is tapped. */

/** @type {CapturedTrack[]} */
const capturedTracks = [];
/** @type {WeakMap<RTCRtpReceiver, CapturedTrack>} */
const captureByReceiver = new WeakMap();
const setNativeTransform = /** @type {any} */ (
  Object.getOwnPropertyDescriptor(RTCRtpReceiver.prototype, 'transform')
)?.set;
const nativeGetStats = RTCRtpReceiver.prototype.getStats;

/** @type {WeakMap<MediaStreamTrack, string>} */
const captureNames = new WeakMap();
/** How many tracks there were of an id. @type {Map<string, number>} */
const captureNamed = new Map();

/**
 * What a track is called towards Python. Ids are unique in a connection only: some servers give the
 * tracks of every connection the same ones.
 * @param {MediaStreamTrack} track
 */
function captureTrackName(track) {
  let name = captureNames.get(track);
  if (name === undefined) {
    const count = (captureNamed.get(track.id) ?? 0) + 1;
    captureNamed.set(track.id, count);
    name = count === 1 ? track.id : `${track.id}~${count}`;
    captureNames.set(track, name);
  }
  return name;
}

/** @param {number} index */
function captureTrackId(index) {
  const captured = capturedTracks[index];
  return captured ? captureTrackName(captured.track) : null;
}

/**
 * @param {RTCRtpReceiver} receiver
 * @param {RTCPeerConnection} pc
 * @param {MediaStream[]} streams
 * @param {string | null} mid
 * @returns {CapturedTrack}
 */
function captureTrackOf(receiver, pc, streams, mid) {
  const known = captureByReceiver.get(receiver);
  if (known) return known;
  const { track } = receiver;
  /** @type {CapturedTrack} */
  const captured = {
    index: capturedTracks.length,
    receiver,
    track,
    pc,
    streamIds: streams.map((stream) => stream.id).slice(0, 16),
    mode: 'none',
    frames: 0,
    packets: 0,
    stalledSince: captureNow(),
    alarmed: false,
  };
  capturedTracks.push(captured);
  captureByReceiver.set(receiver, captured);
  emit('track', {
    doc: captureDoc,
    index: captured.index,
    trackId: captureTrackName(track),
    kind: track.kind,
    streamIds: captured.streamIds,
    mid,
  });
  track.addEventListener('ended', () => {
    emit('track-ended', { doc: captureDoc, index: captured.index });
  });
  return captured;
}

/**
 * What is wanted of a track; null when it is left alone.
 * @param {CapturedTrack} captured
 * @returns {TapOptions | null}
 */
function captureOptions(captured) {
  const { index, track } = captured;
  if (track.kind === 'audio') return { index, take: true, replace: capture.silence };
  if (!capture.takeVideo && !capture.canned) return null;
  return { index, take: capture.takeVideo, replace: capture.canned !== null };
}

/** Tap before the decoder, in our worker. @param {CapturedTrack} captured */
function captureEncoded(captured) {
  const options = captureOptions(captured);
  if (!options || captured.mode !== 'none') return;
  const worker = CaptureTransform && setNativeTransform ? captureWorker() : null;
  if (!worker) {
    captureDecoded(captured, 'no worker for encoded frames');
    return;
  }
  setNativeTransform.call(captured.receiver, new CaptureTransform(worker, options));
  captured.mode = 'ours';
}

/**
 * The last resort: take the sound after the decoder. Video stays untouched.
 * @param {CapturedTrack} captured
 * @param {string} why
 */
function captureDecoded(captured, why) {
  if (captured.track.kind !== 'audio' || captured.mode === 'decoded') return;
  captured.mode = 'decoded';
  try {
    const { readable } = new MediaStreamTrackProcessor({ track: captured.track });
    const worker = captureWorker();
    if (worker) {
      const message = { readable, index: captured.index, delayMs: 0 };
      worker.postMessage(message, [/** @type {any} */ (readable)]);
    } else {
      captureHere.encode(readable, captured.index, 0);
    }
    captureAlarm('fallback', captureTrackName(captured.track), why);
  } catch (error) {
    captured.mode = 'lost';
    captureAlarm('encoder-failed', captureTrackName(captured.track), String(error));
  }
}

/** Python knows whose track it is and whether it is recorded; what is not stays in the page. */
onCommand('capture.want', ({ trackId, wanted }) => {
  for (const { track, index } of capturedTracks) {
    if (captureTrackName(track) !== trackId) continue;
    captureThread?.postMessage({ index, wanted });
    captureHere.want(index, wanted);
  }
});

/** After a pause a picture can go on with a key frame only. */
onCommand('capture.key-frames', ({ trackIds }) => {
  for (const { track, index } of capturedTracks) {
    if (trackIds.includes(captureTrackName(track))) captureThread?.postMessage({ index, keyFrame: true });
  }
});
