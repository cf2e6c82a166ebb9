// The grid of participants and shared screens.

import { make, part, setPressed } from "./dom.js";

/** @import {Participant} from "./types.js" */

/**
 * @typedef {object} Shown
 * @property {Participant} participant
 * @property {"camera" | "screen"} kind
 * @property {boolean} self
 * @property {MediaStreamTrack[]} tracks
 * @property {boolean} picture  whether the video is to be seen
 */

export class Tiles {
  /** @param {(participantId: string) => void} pin  somebody is to be kept large, or no longer */
  constructor(pin) {
    this.pin = pin;
    this.grid = part("tiles");
    /** @type {Map<string, HTMLElement>} */
    this.tiles = new Map();
  }

  /** Show exactly these, in this order. @param {Shown[]} shown @param {string | null} pinned */
  render(shown, pinned) {
    const keys = new Set(shown.map(key));
    for (const [old, tile] of this.tiles) {
      if (keys.has(old)) continue;
      tile.remove();
      this.tiles.delete(old);
    }
    for (const one of shown) this.update(this.tiles.get(key(one)) ?? this.create(one), one, pinned);
    // A shared screen takes the room of four cameras, and so does somebody pinned.
    const large = (/** @type {Shown} */ one) => one.kind === "screen" || isPinned(one, pinned);
    const places = shown.reduce((sum, one) => sum + (large(one) ? 4 : 1), 0);
    this.grid.style.setProperty("--columns", String(Math.ceil(Math.sqrt(places)) || 1));
  }

  /** @param {Shown} shown */
  create(shown) {
    const { participant, kind, self } = shown;
    const tile = make("article", { class: "tile", "data-testid": "tile", "data-kind": kind });
    tile.dataset.participantId = participant.participantId;
    tile.dataset.self = String(self);
    const face = make("div", { class: "face", "aria-hidden": "true" });
    face.textContent = participant.displayName.trim().charAt(0).toUpperCase();
    face.style.setProperty("--hue", String(hue(participant.displayName)));
    const video = /** @type {HTMLVideoElement} */ (make("video", { autoplay: "", playsinline: "" }));
    // The sound comes out of the audio element; a muted video may always start by itself.
    video.muted = true;
    tile.append(face, video);
    if (!self) tile.append(make("audio", { autoplay: "" }));
    tile.append(make("div", { class: "label" }));
    if (kind === "camera" && !self) tile.append(this.pinButton(participant));
    this.tiles.set(key(shown), tile);
    this.grid.append(tile);
    return tile;
  }

  /** @param {Participant} participant */
  pinButton({ participantId, displayName }) {
    const name = `Pin ${displayName}`;
    const button = make("button", { type: "button", class: "pin", "data-testid": "pin", "aria-label": name, title: name }, "Pin");
    button.addEventListener("click", () => this.pin(participantId));
    return button;
  }

  /** @param {HTMLElement} tile @param {Shown} shown @param {string | null} pinned */
  update(tile, shown, pinned) {
    const { participant, kind, tracks, picture } = shown;
    const label = kind === "screen" ? `${participant.displayName}'s screen` : participant.displayName;
    tile.dataset.displayName = participant.displayName;
    tile.dataset.host = String(participant.host);
    tile.dataset.muted = String(!participant.microphone);
    tile.dataset.pinned = String(isPinned(shown, pinned));
    const pin = tile.querySelector(".pin");
    if (pin instanceof HTMLElement) setPressed(pin, isPinned(shown, pinned));
    const named = tile.querySelector(".label");
    if (named && named.textContent !== label) named.textContent = label;
    const video = tile.querySelector("video");
    if (video) {
      play(video, tracks.filter((track) => track.kind === "video"));
      video.hidden = !picture || !video.srcObject;
    }
    const audio = tile.querySelector("audio");
    if (audio) play(audio, tracks.filter((track) => track.kind === "audio"));
  }

  /** @param {Set<string>} ids */
  markSpeaking(ids) {
    for (const tile of this.tiles.values()) {
      tile.dataset.speaking = String(ids.has(tile.dataset.participantId ?? "") && tile.dataset.kind === "camera");
    }
  }
}

/** Give the element exactly these tracks. @param {HTMLMediaElement} element @param {MediaStreamTrack[]} tracks */
function play(element, tracks) {
  const current = element.srcObject instanceof MediaStream ? element.srcObject.getTracks() : [];
  if (current.length === tracks.length && tracks.every((track) => current.includes(track))) return;
  element.srcObject = tracks.length ? new MediaStream(tracks) : null;
  if (tracks.length) void element.play().catch(() => undefined);
}

/** @param {Shown} shown @param {string | null} pinned */
function isPinned({ participant, kind }, pinned) {
  return kind === "camera" && participant.participantId === pinned;
}

/** @param {Shown} shown */
function key({ participant, kind }) {
  return `${participant.participantId}/${kind}`;
}

/** @param {string} name */
function hue(name) {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.charCodeAt(0)) % 360;
  return sum;
}
