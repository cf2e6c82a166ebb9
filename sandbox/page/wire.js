// The WebSocket to the sandbox server.

/** @import {FromServer, Signal, SendingState} from "./types.js" */

// The server sends something at least every second.
const SILENCE_MS = 10_000;

export class Wire {
  /**
   * @param {string} roomId
   * @param {(message: FromServer) => void} hear
   * @param {() => void} lost  the server went away without a farewell
   */
  constructor(roomId, hear, lost) {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(`${scheme}//${location.host}/ws/${roomId}`);
    this.over = false;
    this.lastHeard = Date.now();
    this.lost = lost;
    this.socket.addEventListener("message", (event) => {
      this.lastHeard = Date.now();
      /** @type {FromServer} */
      const message = JSON.parse(event.data);
      if (message.type === "over") this.finish();
      hear(message);
    });
    this.socket.addEventListener("close", () => this.giveUp());
    this.watch = setInterval(() => {
      if (Date.now() - this.lastHeard > SILENCE_MS) this.giveUp();
    }, 1_000);
  }

  /** @param {{token: string, displayName: string, microphone: boolean, camera: boolean}} who */
  join(who) {
    const text = JSON.stringify({ type: "join", ...who });
    this.socket.addEventListener("open", () => this.socket.send(text), { once: true });
  }

  /** @param {{type: string}} message */
  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  giveUp() {
    if (this.over) return;
    this.finish();
    this.lost();
  }

  finish() {
    this.over = true;
    clearInterval(this.watch);
    this.socket.close();
  }
}
