// From the moment the door opens until the end: one visit to one room.

import { byTestId, isPressed, setPressed, show } from "./dom.js";
import { Mesh } from "./mesh.js";
import { addChat, renderLobby, renderRoster, showCaption } from "./panels.js";
import { Tiles } from "./tiles.js";

/** @import {Devices} from "./devices.js" */
/** @import {FromServer, Participant, Welcome} from "./types.js" */
/** @import {Wire} from "./wire.js" */

const SPEAKING_POLL_MS = 250;

export class Meeting {
  /**
   * @param {Welcome} welcome @param {Wire} wire @param {Devices} devices
   * @param {() => void} muted  a host turned our microphone off
   */
  constructor(welcome, wire, devices, muted) {
    this.self = welcome.participantId;
    this.host = welcome.host;
    this.wire = wire;
    this.devices = devices;
    this.muted = muted;
    this.tiles = new Tiles((id) => this.pin(id));
    this.mesh = new Mesh(
      this.self,
      devices,
      (signal) => wire.send(signal),
      () => this.render(),
    );
    for (const id of welcome.withoutVideo) this.mesh.withoutVideo.add(id);
    for (const participant of welcome.participants) this.mesh.add(participant);
    for (const message of welcome.chat) addChat(message);
    byTestId("captions-toggle").hidden = !welcome.captions;
    byTestId("incoming-video").hidden = !welcome.incomingVideoToggle;
    if (!welcome.incomingVideoToggle) byTestId("incoming-video").remove();
    byTestId("end").hidden = !welcome.host;
    this.onDevices = () => this.devicesChanged();
    devices.addEventListener("changed", this.onDevices);
    this.poll = setInterval(() => this.tiles.markSpeaking(this.mesh.speaking()), SPEAKING_POLL_MS);
    show("room");
    this.devicesChanged();
  }

  /** @param {FromServer} message */
  hear(message) {
    switch (message.type) {
      case "joined":
        this.mesh.add(message.participant);
        break;
      case "updated":
        this.mesh.update(message.participant);
        break;
      case "left":
        this.mesh.remove(message.participantId);
        break;
      case "signal":
        void this.mesh.hear(message);
        return;
      case "wants-video":
        this.mesh.wantsVideo(message.participantId, message.on);
        return;
      case "lobby-changed":
        renderLobby(message.waiting, (action, id) => this.act(action, id));
        return;
      case "chat":
        addChat(message.message);
        return;
      case "caption":
        showCaption(message.caption);
        return;
      case "mute":
        this.muted();
        return;
      default:
        return;
    }
    this.render();
  }

  /** @param {string} action @param {string | null} participantId */
  act(action, participantId) {
    this.wire.send(/** @type {{type: string}} */ ({ type: "host", action, participantId }));
  }

  /** @param {string} text */
  say(text) {
    this.wire.send(/** @type {{type: string}} */ ({ type: "chat", text }));
  }

  /** @param {boolean} on */
  receiveVideo(on) {
    setPressed(byTestId("incoming-video"), on);
    this.wire.send(/** @type {{type: string}} */ ({ type: "incoming-video", on }));
    this.render();
  }

  /** Keep somebody large, in our view only; the second time lets go. @param {string} id */
  pin(id) {
    const self = this.mesh.people.get(this.self);
    if (!self) return;
    const pinned = self.pinned === id ? null : id;
    this.mesh.update({ ...self, pinned });
    this.wire.send(/** @type {{type: string}} */ ({ type: "pin", participantId: pinned }));
    this.render();
  }

  /** First tell who we are now, then send the tracks: they are told apart by what was said. */
  devicesChanged() {
    const state = this.devices.state();
    this.wire.send({ type: "sending", ...state });
    const self = this.mesh.people.get(this.self);
    if (self) this.mesh.update({ ...self, ...state });
    setPressed(byTestId("share"), state.screen !== null);
    this.mesh.refresh();
    this.render();
  }

  render() {
    const people = [...this.mesh.people.values()];
    const pinned = this.mesh.people.get(this.self)?.pinned ?? null;
    const act = this.host ? (/** @type {string} */ action, /** @type {string} */ id) => this.act(action, id) : null;
    renderRoster(people, this.self, act, { pinned, pin: (id) => this.pin(id) });
    const toggle = document.querySelector('[data-testid="incoming-video"]');
    const receiving = !(toggle instanceof HTMLElement) || isPressed(toggle);
    this.tiles.render(people.flatMap((participant) => this.shown(participant, receiving)), pinned);
  }

  /** @param {Participant} participant @param {boolean} receiving */
  shown(participant, receiving) {
    const id = participant.participantId;
    const self = id === this.self;
    const own = this.devices.camera ? [this.devices.camera] : [];
    const tiles = [
      {
        participant,
        kind: /** @type {const} */ ("camera"),
        self,
        tracks: self ? own : this.mesh.tracks(id, "camera"),
        picture: participant.camera && (self || receiving),
      },
    ];
    if (!participant.screen) return tiles;
    const tracks = self ? (this.devices.screen?.getVideoTracks() ?? []) : this.mesh.tracks(id, "screen");
    const screen = { participant, kind: /** @type {const} */ ("screen"), self, tracks, picture: true };
    return [...tiles, screen];
  }

  close() {
    clearInterval(this.poll);
    this.devices.removeEventListener("changed", this.onDevices);
    this.mesh.close();
    this.tiles.render([], null);
  }
}
