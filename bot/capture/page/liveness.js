/**
 * Proof that media can flow, told every two seconds and judged in bot/liveness.py: what arrived on
 * each connection, RTP, RTCP and answers to ICE's own checks alike, so that a meeting in which
 * everybody is muted is alive, too.
 */

const PULSE_MS = 2000;
const MOST_CONNECTIONS = 100;
const MOST_TRACKS = 400;
const nativeConnectionStats = RTCPeerConnection.prototype.getStats;

/** Connections that were once connected, by their number. @type {WeakMap<RTCPeerConnection, number>} */
const pulseNumbers = new WeakMap();
let pulseCount = 0;

/** @param {RTCPeerConnection} pc @param {Map<string, number>} packets by track id */
async function pulseOf(pc, packets) {
  let number = pulseNumbers.get(pc);
  if (number === undefined) {
    if (pc.connectionState !== 'connected') return null;
    number = pulseCount++;
    pulseNumbers.set(pc, number);
  }
  let arrived = 0;
  const report = await nativeConnectionStats.call(pc);
  report.forEach((/** @type {any} */ entry) => {
    if (entry.type === 'candidate-pair') {
      arrived += (entry.bytesReceived ?? 0) + (entry.responsesReceived ?? 0);
      arrived += entry.requestsReceived ?? 0;
    } else if (entry.type === 'inbound-rtp' && entry.kind === 'audio') {
      packets.set(String(entry.trackIdentifier), entry.packetsReceived ?? 0);
    }
  });
  return { number, state: pc.connectionState, arrived };
}

let pulseRuns = false;

async function pulse() {
  if (pulseRuns) return;
  pulseRuns = true;
  try {
    /** @type {Map<RTCPeerConnection, Map<string, number>>} */
    const packets = new Map();
    const connections = [];
    for (const pc of captureConnections) {
      if (pc.connectionState === 'closed') {
        captureConnections.delete(pc);
      } else if (connections.length < MOST_CONNECTIONS) {
        /** @type {Map<string, number>} */
        const ofThisOne = new Map();
        const seen = await pulseOf(pc, ofThisOne);
        packets.set(pc, ofThisOne);
        if (seen) connections.push(seen);
      }
    }
    const tracks = [];
    for (const { track, pc } of capturedTracks) {
      const count = packets.get(pc)?.get(track.id);
      const live = track.readyState === 'live' && !track.muted;
      if (count === undefined || !live || tracks.length >= MOST_TRACKS) continue;
      tracks.push({ trackId: captureTrackName(track), packets: count });
    }
    if (connections.length > 0) emit('pulse', { doc: captureDoc, connections, tracks });
  } finally {
    pulseRuns = false;
  }
}

setInterval(() => void pulse(), PULSE_MS);

onCommand('liveness.ping', () => true);
