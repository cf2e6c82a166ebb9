/**
 * Sees every RTCPeerConnection that the page makes, and leaves alone what the page transforms
 * itself: its transform is tapped behind it, or its sound is taken decoded.
 */

/**
 * Connections in use. @type {Set<RTCPeerConnection>}
 */
const captureConnections = new Set();
/** Whether the page asked for the legacy streams. @type {WeakSet<RTCPeerConnection>} */
const captureLegacy = new WeakSet();
/** Transforms that the page set. @type {WeakMap<RTCRtpReceiver, unknown>} */
const capturePageTransforms = new WeakMap();

/** Other parts that look at every connection. @type {((pc: RTCPeerConnection) => void)[]} */
const captureVisitors = [];

/** @param {RTCPeerConnection} pc @param {any} configuration */
function captureConnection(pc, configuration) {
  captureConnections.add(pc);
  for (const visit of captureVisitors) visit(pc);
  if (configuration?.encodedInsertableStreams) captureLegacy.add(pc);
  // Ours is the first listener: the page's own may set a transform, which replaces ours.
  pc.addEventListener('track', (event) => {
    const { receiver, streams, transceiver } = event;
    const captured = captureTrackOf(receiver, pc, [...streams], transceiver?.mid ?? null);
    if (captured.mode === 'none' && !captureLegacy.has(pc)) captureEncoded(captured);
  });
  pc.addEventListener('connectionstatechange', () => {
    if (pc.connectionState === 'closed') captureConnections.delete(pc);
  });
}

const NativePeerConnection = window.RTCPeerConnection;

if (NativePeerConnection) {
  const Hooked = new Proxy(NativePeerConnection, {
    construct(target, args, newTarget) {
      const pc = Reflect.construct(target, args, newTarget);
      captureConnection(pc, args[0]);
      return pc;
    },
  });
  NativePeerConnection.prototype.constructor = Hooked;
  for (const name of ['RTCPeerConnection', 'webkitRTCPeerConnection']) {
    if (name in window) {
      Object.defineProperty(window, name, {
        value: Hooked,
        writable: true,
        configurable: true,
        enumerable: false,
      });
    }
  }
  hookTransform();
  hookEncodedStreams();
}

/** The page's own script transform wins; we take the sound behind the decoder instead. */
function hookTransform() {
  const prototype = RTCRtpReceiver.prototype;
  const native = Object.getOwnPropertyDescriptor(prototype, 'transform');
  if (!native?.set || !native.get) return;
  const nativeSet = native.set;
  Object.defineProperty(prototype, 'transform', {
    ...native,
    get() {
      return capturePageTransforms.get(this) ?? null;
    },
    set(value) {
      nativeSet.call(this, value);
      capturePageTransforms.set(this, value);
      const captured = captureByReceiver.get(this);
      if (captured && value !== null) captureDecoded(captured, 'the page transforms its frames');
    },
  });
}

/** Legacy streams are tapped between the page's own transform and the decoder. */
function hookEncodedStreams() {
  const prototype = /** @type {any} */ (RTCRtpReceiver.prototype);
  const native = prototype.createEncodedStreams;
  if (!native) return;
  prototype.createEncodedStreams = {
    /** @this {RTCRtpReceiver} */
    createEncodedStreams() {
      const streams = native.call(this);
      const captured = captureByReceiver.get(this) ?? captureReceiverOf(this);
      const options = captured ? captureOptions(captured) : null;
      if (!captured || !options) return streams;
      const tap = captureHere.tap(options);
      tap.readable.pipeTo(streams.writable).catch(() => undefined);
      captured.mode = 'after';
      return { readable: streams.readable, writable: tap.writable };
    },
  }.createEncodedStreams;
}

/** A receiver whose track event has not come yet. @param {RTCRtpReceiver} receiver */
function captureReceiverOf(receiver) {
  for (const pc of captureConnections) {
    const transceiver = pc.getTransceivers().find((one) => one.receiver === receiver);
    if (transceiver) return captureTrackOf(receiver, pc, [], transceiver.mid);
  }
  return null;
}
