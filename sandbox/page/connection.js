// One peer connection to one other participant.

/** @import {Signal} from "./types.js" */

/**
 * @typedef {object} Ends
 * @property {(signal: {description?: RTCSessionDescription | null, candidate?: RTCIceCandidate}, connection: string) => void} send
 * @property {(event: RTCTrackEvent) => void} track
 */

/**
 * Perfect negotiation between browsers; towards a scripted peer, which always offers, an answerer.
 *
 * The first offer is the impolite side's alone: when both make one, the polite side has to take its
 * back, and Chromium sometimes gathers no candidates after that, so that nobody hears the other.
 */
export class Connection {
  /** @param {boolean} polite waits for the first offer, and gives way later @param {Ends} ends */
  constructor(polite, ends) {
    this.polite = polite;
    this.ends = ends;
    this.id = "";
    this.offering = false;
    this.ignoring = false;
    // An offer may come right behind an answer: we are as good as stable then.
    this.takingAnswer = false;
    /** @type {Map<MediaStreamTrack, RTCRtpSender>} */
    this.senders = new Map();
    this.wantsVideo = true;
    this.pc = new RTCPeerConnection();
    this.pc.addEventListener("track", (event) => this.ends.track(event));
    this.pc.addEventListener("icecandidate", ({ candidate }) => {
      if (candidate) this.ends.send({ candidate }, this.id);
    });
    this.pc.addEventListener("negotiationneeded", () => {
      // Our tracks go with the answer to the first offer, or are offered right after it.
      if (!this.polite || this.pc.remoteDescription) void this.negotiate();
    });
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
    const free = !this.offering && (this.pc.signalingState === "stable" || this.takingAnswer);
    this.ignoring = !this.polite && description.type === "offer" && !free;
    if (this.ignoring) return;
    this.id = connection;
    this.takingAnswer = description.type === "answer";
    try {
      await this.pc.setRemoteDescription(description);
    } finally {
      this.takingAnswer = false;
    }
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

  /** The first offer of a side that has nothing to send: the other one waits for it. */
  begin() {
    if (!this.polite && !this.senders.size) void this.negotiate();
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
