// The visitor's own microphone, camera and screen.

/** @import {SendingState} from "./types.js" */

export class Devices extends EventTarget {
  constructor() {
    super();
    /** @type {MediaStreamTrack | null} */
    this.microphone = null;
    /** @type {MediaStreamTrack | null} */
    this.camera = null;
    /** @type {MediaStream | null} */
    this.screen = null;
    /** The stream that the others see us by. */
    this.stream = new MediaStream();
  }

  /** Whatever there is; a visitor (or a bot) without devices joins all the same. */
  async open() {
    await this.take({ audio: true, video: true });
    if (!this.microphone) await this.take({ audio: true });
    if (!this.camera) await this.take({ video: true });
  }

  /** @param {MediaStreamConstraints} wanted @returns {Promise<boolean>} */
  async take(wanted) {
    try {
      if (!navigator.mediaDevices) return false;
      const stream = await navigator.mediaDevices.getUserMedia(wanted);
      for (const track of stream.getTracks()) {
        if (track.kind === "audio") this.microphone = track;
        else this.camera = track;
        this.stream.addTrack(track);
      }
      this.changed();
      return true;
    } catch {
      return false;
    }
  }

  /**
   * Turn a microphone on or off; a camera that is off is released, so that its light goes out.
   * @param {"microphone" | "camera"} kind @param {boolean} on
   * @returns {Promise<boolean>} whether it is on now
   */
  async turn(kind, on) {
    const track = this[kind];
    if (kind === "microphone" && track) {
      track.enabled = on;
    } else if (on && !track) {
      await this.take(kind === "camera" ? { video: true } : { audio: true });
    } else if (!on && track) {
      track.stop();
      this.stream.removeTrack(track);
      this[kind] = null;
    }
    this.changed();
    return this.state()[kind];
  }

  /** Ask for a screen; `changed` is dispatched when sharing begins and ends. */
  async share() {
    try {
      this.screen = await navigator.mediaDevices.getDisplayMedia({ video: true, audio: true });
    } catch {
      return;
    }
    this.screen.getVideoTracks()[0]?.addEventListener("ended", () => this.unshare());
    this.changed();
  }

  unshare() {
    for (const track of this.screen?.getTracks() ?? []) track.stop();
    this.screen = null;
    this.changed();
  }

  /** @returns {SendingState} */
  state() {
    return {
      microphone: Boolean(this.microphone?.enabled),
      camera: this.camera !== null,
      screen: this.screen?.id ?? null,
    };
  }

  changed() {
    this.dispatchEvent(new Event("changed"));
  }

  close() {
    for (const track of [...this.stream.getTracks(), ...(this.screen?.getTracks() ?? [])]) track.stop();
  }
}
