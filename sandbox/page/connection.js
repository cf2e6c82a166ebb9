// One peer connection to one other participant.

/** @import {Signal} from "./types.js" */

/**
 * @typedef {object} Ends
 * @property {(signal: {description?: RTCSessionDescription | null, candidate?: RTCIceCandidate}, connection: string) => void} send
 * @property {(event: RTCTrackEvent) => void} track
 */

/** Perfect negotiation between browsers; towards a scripted peer, which always offers, an answerer. */
export class Connection {
  /** @param {boolean} polite gives way when both offer at once @param {Ends} ends */
  constructor(polite, ends) {
    this.polite = polite;
    this.ends = ends;
    this.id = "";
    this.offering = false;
    this.ignoring = false;
    /** @type {Map<MediaStreamTrack, RTCRtpSender>} */
    this.senders = new Map();
    this.wantsVideo = true;
    this.pc = new RTCPeerConnection();
    this.pc.addEventListener("track", (event) => this.ends.track(event));
    this.pc.addEventListener("icecandidate", ({ candidate }) => {
      if (candidate) this.ends.send({ candidate }, this.id);
    });
    this.pc.addEventListener("negotiationneeded", () => void this.negotiate());
    this.pc.addEventListener("connectionstatechange", () => {
      if (this.pc.connectionState === "failed" && !this.id) this.pc.restartIce();
    });
  }

  async negotiate() {
    try {
      this.offering = true;
      await this.pc.setLocalDescription();
      this.ends.send({ description: this.pc.localDescription }, this.id);
    } catch (error) {
      if (this.pc.signalingState !== "closed") console.warn("could not negotiate", error);
    } finally {
      this.offering = false;
    }
  }

  /** @param {Signal} signal */
  async hear({ description, candidate, connection }) {
    try {
      if (description) await this.described(description, connection);
      else if (candidate && !this.ignoring) await this.pc.addIceCandidate(candidate);
    } catch (error) {
      if (this.pc.signalingState !== "closed") console.warn("could not use a signal", error);
    }
  }

  /** @param {RTCSessionDescriptionInit} description @param {string} connection */
  async described(description, connection) {
    const collision =
      description.type === "offer" && (this.offering || this.pc.signalingState !== "stable");
    this.ignoring = !this.polite && collision;
    if (this.ignoring) return;
    this.id = connection;
    await this.pc.setRemoteDescription(description);
    if (description.type !== "offer") return;
    await this.pc.setLocalDescription();
    this.ends.send({ description: this.pc.localDescription }, this.id);
  }

  /**
   * Send exactly these tracks.
   * @param {Map<MediaStreamTrack, MediaStream>} wanted tracks and the streams they belong to
   */
  sendOnly(wanted) {
    for (const [track, sender] of this.senders) {
      if (wanted.has(track)) continue;
      this.pc.removeTrack(sender);
      this.senders.delete(track);
    }
    for (const [track, stream] of wanted) {
      if (!this.senders.has(track)) this.senders.set(track, this.pc.addTrack(track, stream));
    }
  }

  /** Whether a camera is really sent. @param {MediaStreamTrack | null} camera @param {boolean} on */
  async sendCamera(camera, on) {
    const sender = camera && this.senders.get(camera);
    if (!sender) return;
    const parameters = sender.getParameters();
    if (!parameters.encodings?.length) return;
    for (const encoding of parameters.encodings) encoding.active = on;
    await sender.setParameters(parameters).catch(() => undefined);
  }

  close() {
    this.pc.close();
  }
}
