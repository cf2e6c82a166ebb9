/**
 * Both ends of a call. `window.call(options)` makes a sender with a tone and, if asked, a moving
 * picture, connects it, plays what arrives, and answers with the ids of the received tracks.
 */
const audio = new AudioContext();

function tone(frequency, gain = 0.3) {
  const oscillator = new OscillatorNode(audio, { frequency });
  const volume = new GainNode(audio, { gain });
  const out = new MediaStreamAudioDestinationNode(audio, { channelCount: 1 });
  oscillator.connect(volume).connect(out);
  oscillator.start();
  return { track: out.stream.getAudioTracks()[0], volume };
}

function picture(width = 320, height = 180) {
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width, height });
  const context = canvas.getContext('2d');
  let turn = 0;
  setInterval(() => {
    turn += 1;
    context.fillStyle = `hsl(${turn * 7 % 360} 80% 50%)`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = '#fff';
    context.fillRect((turn * 5) % canvas.width, 20, 40, 40);
  }, 50);
  return { track: canvas.captureStream(20).getVideoTracks()[0], canvas };
}

/** Flips the bits of a payload but its first bytes, which say what it is. */
function scramble(frame) {
  const bytes = new Uint8Array(frame.data);
  const keep = 'getSynchronizationSource' in frame ? 0 : 10;
  for (let at = keep; at < bytes.length; at += 1) bytes[at] ^= 0x55;
  frame.data = bytes.buffer;
  return frame;
}

const scrambler = () =>
  new TransformStream({ transform: (frame, out) => out.enqueue(scramble(frame)) });

function scramblingWorker() {
  const text = `onrtctransform = ({transformer}) => transformer.readable
    .pipeThrough(new TransformStream({transform(frame, out) {
      const bytes = new Uint8Array(frame.data);
      for (let at = 0; at < bytes.length; at += 1) bytes[at] ^= 0x55;
      frame.data = bytes.buffer; out.enqueue(frame); }})).pipeTo(transformer.writable);`;
  return new Worker(URL.createObjectURL(new Blob([text], { type: 'text/javascript' })));
}

function prefer(transceiver, mimeTypes) {
  const { codecs } = RTCRtpReceiver.getCapabilities(transceiver.sender.track.kind);
  const rank = (codec) => mimeTypes.indexOf(codec.mimeType.toLowerCase());
  transceiver.setCodecPreferences(
    codecs.filter((codec) => rank(codec) >= 0).sort((a, b) => rank(a) - rank(b)),
  );
}

/** Each frame says which others it needs, so that a server may leave layers out. */
function describeDependencies(transceiver) {
  const extensions = transceiver.getHeaderExtensionsToNegotiate();
  for (const extension of extensions) {
    if (extension.uri.includes('dependency-descriptor')) extension.direction = 'sendrecv';
  }
  transceiver.setHeaderExtensionsToNegotiate(extensions);
}

async function negotiate(from, to) {
  await from.setLocalDescription();
  await to.setRemoteDescription(from.localDescription);
  await to.setLocalDescription();
  await from.setRemoteDescription(to.localDescription);
}

function play(track, stream) {
  const element = document.createElement(track.kind);
  element.srcObject = new MediaStream([track]);
  element.autoplay = true;
  document.body.append(element);
  void element.play();
}

window.call = async ({
  frequency = 440, video = null, width = 320, height = 180, layers = null, red = false, e2ee = null,
  mute = false,
} = {}) => {
  await audio.resume();
  const legacy = e2ee?.startsWith('legacy') ? { encodedInsertableStreams: true } : {};
  // In 'legacy-unused' the receiver's streams are asked for and never taken.
  const sender = new RTCPeerConnection(e2ee === 'legacy-unused' ? {} : legacy);
  const receiver = new RTCPeerConnection(legacy);
  sender.onicecandidate = ({ candidate }) => receiver.addIceCandidate(candidate ?? undefined);
  receiver.onicecandidate = ({ candidate }) => sender.addIceCandidate(candidate ?? undefined);
  const received = {};
  receiver.ontrack = (event) => {
    received[event.track.kind] = event.track.id;
    if (e2ee === 'script') {
      event.receiver.transform = new RTCRtpScriptTransform(scramblingWorker(), {});
    }
    if (e2ee === 'legacy') {
      const streams = event.receiver.createEncodedStreams();
      streams.readable.pipeThrough(scrambler()).pipeTo(streams.writable);
    }
    if (!mute) play(event.track);
  };
  const sound = tone(frequency);
  const voice = sender.addTransceiver(sound.track, { direction: 'sendonly' });
  const scrambled = [voice.sender];
  if (red) prefer(voice, ['audio/red', 'audio/opus']);
  let image = null;
  if (video) {
    image = picture(width, height);
    const transceiver = sender.addTransceiver(image.track, {
      direction: 'sendonly',
      sendEncodings: [layers ? { scalabilityMode: layers } : {}],
    });
    // With retransmissions, as services have them. Without, a sender probes the bandwidth with
    // padding between frames, and Chromium forgets what padding comes before the first frame is
    // through a transform: AV1 and H264 wait three seconds for it, then ask for a key frame.
    prefer(transceiver, [video, 'video/rtx']);
    if (layers) describeDependencies(transceiver);
    scrambled.push(transceiver.sender);
  }
  for (const rtp of scrambled) {
    if (e2ee === 'script') rtp.transform = new RTCRtpScriptTransform(scramblingWorker(), {});
    if (e2ee === 'legacy') {
      const streams = rtp.createEncodedStreams();
      streams.readable.pipeThrough(scrambler()).pipeTo(streams.writable);
    }
  }
  await negotiate(sender, receiver);
  const deadline = performance.now() + 10_000;
  while (receiver.connectionState !== 'connected') {
    if (performance.now() > deadline) throw new Error(`not connected: ${receiver.connectionState}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  window.lastCall = { sender, receiver, sound, image };
  return received;
};

const statistics = async (end, type, kind) => {
  for (const entry of (await end.getStats()).values()) {
    if (entry.type === type && entry.kind === kind) return { ...entry };
  }
  return null;
};

/** One receiver's inbound statistics. */
window.inbound = (kind) => statistics(window.lastCall.receiver, 'inbound-rtp', kind);

/** Those of the sender. */
window.outbound = (kind) => statistics(window.lastCall.sender, 'outbound-rtp', kind);
