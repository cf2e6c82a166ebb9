// Connections to everybody else, and whose tracks arrived.

import { Connection } from "./connection.js";

/** @import {Participant, Signal} from "./types.js" */
/** @import {Devices} from "./devices.js" */

/** @typedef {"camera" | "screen"} Kind */

export class Mesh {
  /**
   * @param {string} self our participant id
   * @param {Devices} devices
   * @param {(signal: Signal) => void} send
   * @param {(participantId: string, kind: Kind) => void} changed  tracks came or went
   */
  constructor(self, devices, send, changed) {
    this.self = self;
    this.devices = devices;
    this.send = send;
    this.changed = changed;
    /** @type {Map<string, Participant>} */
    this.people = new Map();
    /** @type {Map<string, Connection>} */
    this.connections = new Map();
    /** Received streams, one for each participant and kind. @type {Map<string, MediaStream>} */
    this.streams = new Map();
    /** @type {Set<string>} */
    this.withoutVideo = new Set();
  }

  /** @param {Participant} participant */
  add(participant) {
    this.people.set(participant.participantId, participant);
    if (participant.kind === "browser" && participant.participantId !== this.self) {
      this.connect(participant.participantId, this.self < participant.participantId).begin();
    }
  }

  /** @param {Participant} participant */
  update(participant) {
    this.people.set(participant.participantId, participant);
  }

  /** @param {string} id */
  remove(id) {
    this.connections.get(id)?.close();
    this.connections.delete(id);
    this.people.delete(id);
    this.withoutVideo.delete(id);
    for (const kind of /** @type {Kind[]} */ (["camera", "screen"])) this.streams.delete(`${id}/${kind}`);
  }

  /** @param {string} id @param {boolean} polite @returns {Connection} */
  connect(id, polite) {
    this.connections.get(id)?.close();
    const connection = new Connection(polite, {
      send: (signal, connectionId) =>
        this.send({ type: "signal", peer: id, connection: connectionId, ...jsonable(signal) }),
      track: (event) => this.arrived(id, event),
    });
    this.connections.set(id, connection);
    this.offerTracks(id, connection);
    return connection;
  }

  /** @param {Signal} signal */
  async hear(signal) {
    const who = this.people.get(signal.peer);
    if (!who) return;
    let connection = this.connections.get(signal.peer);
    const fresh = who.kind === "scripted" && signal.description && connection?.id !== signal.connection;
    if (!connection || fresh) {
      this.streams.delete(`${signal.peer}/camera`);
      connection = this.connect(signal.peer, true);
    }
    await connection.hear(signal);
  }

  /** @param {string} id @param {Connection} connection */
  offerTracks(id, connection) {
    if (this.people.get(id)?.kind !== "browser") return;
    /** @type {Map<MediaStreamTrack, MediaStream>} */
    const wanted = new Map();
    const { stream, screen, camera } = this.devices;
    for (const track of stream.getTracks()) wanted.set(track, stream);
    for (const track of screen?.getTracks() ?? []) wanted.set(track, /** @type {MediaStream} */ (screen));
    connection.sendOnly(wanted);
    void connection.sendCamera(camera, !this.withoutVideo.has(id));
  }

  /** Our own devices changed. */
  refresh() {
    for (const [id, connection] of this.connections) this.offerTracks(id, connection);
  }

  /** @param {string} id @param {boolean} on */
  wantsVideo(id, on) {
    if (on) this.withoutVideo.delete(id);
    else this.withoutVideo.add(id);
    const connection = this.connections.get(id);
    if (connection) void connection.sendCamera(this.devices.camera, on);
  }

  /** @param {string} id @param {RTCTrackEvent} event */
  arrived(id, { track, streams }) {
    const sent = streams[0];
    const kind = sent && sent.id === this.people.get(id)?.screen ? "screen" : "camera";
    const key = `${id}/${kind}`;
    const stream = this.streams.get(key) ?? new MediaStream();
    for (const old of stream.getTracks()) if (old.kind === track.kind) stream.removeTrack(old);
    stream.addTrack(track);
    this.streams.set(key, stream);
    sent?.addEventListener("removetrack", (gone) => {
      stream.removeTrack(gone.track);
      this.changed(id, kind);
    });
    this.changed(id, kind);
  }

  /** @param {string} id @param {Kind} kind @returns {MediaStreamTrack[]} */
  tracks(id, kind) {
    return this.streams.get(`${id}/${kind}`)?.getTracks() ?? [];
  }

  /** Who is being heard now, by the level of what arrives. @returns {Set<string>} */
  speaking() {
    const found = new Set();
    for (const [id, { pc }] of this.connections) {
      const loud = pc
        .getReceivers()
        .filter(({ track }) => track.kind === "audio")
        .some((receiver) => (receiver.getSynchronizationSources()[0]?.audioLevel ?? 0) > 0.02);
      if (loud) found.add(id);
    }
    return found;
  }

  close() {
    for (const connection of this.connections.values()) connection.close();
    this.connections.clear();
  }
}

/** @param {{description?: RTCSessionDescription | null, candidate?: RTCIceCandidate}} signal */
function jsonable({ description, candidate }) {
  return candidate
    ? { candidate: candidate.toJSON() }
    : { description: description ? { type: description.type, sdp: description.sdp } : null };
}
