/**
 * A live track without frames is an alarm, not silence. Frames are counted by the taps; where
 * they stop, the receiver's own statistics say whether packets still come.
 */

const WATCH_MS = 1000;
const STALL_MS = 2000;

/** @param {CapturedTrack} captured */
async function captureStatistics(captured) {
  let packets = 0;
  let delayMs = 0;
  const report = await nativeGetStats.call(captured.receiver);
  report.forEach((/** @type {any} */ entry) => {
    if (entry.type !== 'inbound-rtp') return;
    packets = entry.packetsReceived ?? 0;
    const emitted = entry.jitterBufferEmittedCount ?? 0;
    if (emitted > 0) delayMs = (1000 * (entry.jitterBufferDelay ?? 0)) / emitted;
  });
  return { packets, delayMs };
}

/** @param {CapturedTrack} captured @param {number} now */
async function captureWatchTrack(captured, now) {
  const frames = captureCounts.get(captured.index) ?? 0;
  if (frames !== captured.frames) {
    captured.frames = frames;
    captured.stalledSince = now;
    captured.alarmed = false;
    if (captured.mode === 'decoded') await captureCorrectDelay(captured);
    return;
  }
  if (captured.track.muted || now - captured.stalledSince < STALL_MS) return;
  const { packets } = await captureStatistics(captured);
  const flowing = packets > captured.packets && captured.packets > 0;
  captured.packets = packets;
  if (!flowing || captured.alarmed) return;
  captured.alarmed = true;
  const detail = `${captured.mode}: packets come, frames do not`;
  captureAlarm('no-frames', captureTrackName(captured.track), detail);
  if (captured.mode !== 'decoded') captureDecoded(captured, 'no encoded frames');
}

/** Decoded sound comes as late as the jitter buffer holds it. @param {CapturedTrack} captured */
async function captureCorrectDelay(captured) {
  const { delayMs } = await captureStatistics(captured);
  captureWorker()?.postMessage({ index: captured.index, delayMs });
  captureHere.delay(captured.index, delayMs);
}

let captureRequests = -1;

/** Tell Python how many key frames our receivers have asked for. */
async function captureCountRequests() {
  let count = 0;
  for (const { track, receiver } of capturedTracks) {
    if (track.kind !== 'video') continue;
    const report = await nativeGetStats.call(receiver);
    report.forEach((/** @type {any} */ entry) => {
      if (entry.type === 'inbound-rtp') count += (entry.pliCount ?? 0) + (entry.firCount ?? 0);
    });
  }
  if (count !== captureRequests) emit('key-frame-requests', { doc: captureDoc, count });
  captureRequests = count;
}

let captureTicks = 0;

async function captureWatch() {
  const now = captureNow();
  captureTicks += 1;
  try {
    for (const captured of capturedTracks) {
      const live = captured.track.readyState === 'live' && captured.track.kind === 'audio';
      if (live && captured.pc.connectionState === 'connected') {
        await captureWatchTrack(captured, now);
      }
    }
    if (captureTicks % 5 === 0 && capturedTracks.length > 0) await captureCountRequests();
  } catch (error) {
    captureAlarm('tap-failed', null, String(error));
  }
}

setInterval(() => void captureWatch(), WATCH_MS);
