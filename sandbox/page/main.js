// The meeting page: which view is shown, and what its buttons do.

import { Devices } from "./devices.js";
import { byTestId, drawIcons, isPressed, part, setPressed, show } from "./dom.js";
import { Meeting } from "./meeting.js";
import { toggleCaptions } from "./panels.js";
import { Wire } from "./wire.js";

/** @import {FromServer} from "./types.js" */

/** @type {Record<string, [string, string]>} */
const ENDINGS = {
  denied: ["You were not let in", "The host did not let you in."],
  kicked: ["You were removed", "The host removed you from the meeting."],
  ended: ["The meeting has ended", "The host ended the meeting, or its time was over."],
  "not-found": ["Meeting not found", "There is no meeting at this address. Check the link you were given."],
  full: ["The meeting is full", "Try again when somebody has left."],
  lost: ["Connection lost", "The meeting's server does not answer any more."],
  left: ["You have left", "You have left the meeting."],
};
const MAY_JOIN_AGAIN = ["kicked", "denied", "full", "lost", "left"];

const devices = new Devices();
/** @type {Meeting | null} */
let meeting = null;
/** @type {Wire | null} */
let wire = null;

/** @param {string} reason @param {string} [sentence] */
function finish(reason, sentence) {
  if (!byTestId("ended").hidden) return;
  const [title, text] = ENDINGS[reason] ?? ["The meeting is over", ""];
  byTestId("ended").dataset.reason = reason;
  part("ended-title").textContent = title;
  part("ended-text").textContent = sentence || text;
  part("again").hidden = !MAY_JOIN_AGAIN.includes(reason);
  meeting?.close();
  meeting = null;
  devices.close();
  show("ended");
}

/** @param {FromServer} message */
function hear(message) {
  if (message.type === "over") finish(message.reason, message.message);
  else if (message.type === "lobby") show("lobby");
  else if (message.type === "welcome" && wire) enter(message, wire);
  else meeting?.hear(message);
}

/** @param {Extract<FromServer, {type: "welcome"}>} welcome @param {Wire} through */
function enter(welcome, through) {
  byTestId("share").before(byTestId("mic"), byTestId("camera"));
  meeting = new Meeting(welcome, through, devices, () => void turn("microphone", false));
}

function join() {
  const roomId = location.pathname.split("/").pop() ?? "";
  const token = new URLSearchParams(location.search).get("t") ?? "";
  const name = /** @type {HTMLInputElement} */ (byTestId("name")).value.trim();
  if (!name || wire) return;
  /** @type {HTMLButtonElement} */ (byTestId("join")).disabled = true;
  const { microphone, camera } = devices.state();
  wire = new Wire(roomId, hear, () => finish("lost"));
  wire.join({ token, displayName: name, microphone, camera });
}

/** @param {"microphone" | "camera"} kind @param {boolean} on */
async function turn(kind, on) {
  const really = await devices.turn(kind, on);
  part("device-note").textContent = on && !really ? `Your ${kind} cannot be used; you can join without it.` : "";
}

function showDevices() {
  const { microphone, camera } = devices.state();
  setPressed(byTestId("mic"), microphone);
  setPressed(byTestId("camera"), camera);
  const preview = /** @type {HTMLVideoElement} */ (part("preview"));
  preview.hidden = !camera;
  part("no-preview").hidden = camera;
  if (!meeting) preview.srcObject = camera ? devices.stream : null;
}

/** @param {string} id @param {(button: HTMLElement) => void} react */
function onClick(id, react) {
  const button = byTestId(id);
  button.addEventListener("click", () => react(button));
}

function connectButtons() {
  byTestId("prejoin").addEventListener("submit", (event) => {
    event.preventDefault();
    join();
  });
  part("chat-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const input = /** @type {HTMLInputElement} */ (byTestId("chat-input"));
    const text = input.value.trim();
    if (text) meeting?.say(text);
    input.value = "";
  });
  onClick("mic", (button) => void turn("microphone", !isPressed(button)));
  onClick("camera", (button) => void turn("camera", !isPressed(button)));
  onClick("share", (button) => (isPressed(button) ? devices.unshare() : void devices.share()));
  onClick("incoming-video", (button) => meeting?.receiveVideo(!isPressed(button)));
  onClick("captions-toggle", (button) => {
    setPressed(button, !isPressed(button));
    toggleCaptions(isPressed(button));
  });
  onClick("leave", () => {
    wire?.send({ type: "leave" });
    finish("left");
    wire?.finish();
  });
  onClick("end", () => meeting?.act("end", null));
  part("again").addEventListener("click", () => location.reload());
}

const start = document.body.dataset.start ?? "";
if (start === "prejoin") {
  drawIcons();
  connectButtons();
  devices.addEventListener("changed", showDevices);
  show("prejoin");
  byTestId("name").focus();
  void devices.open();
} else {
  finish(start || "not-found");
}
