// Roster, lobby, chat and captions.

import { byTestId, make, part, setPressed } from "./dom.js";

/** @import {Caption, ChatMessage, Participant, Waiting} from "./types.js" */

/** @typedef {(action: string, participantId: string) => void} HostAct */
/** @typedef {{pinned: string | null, pin: (participantId: string) => void}} Pinning */

const CAPTIONS_SHOWN = 3;

/**
 * @param {Participant[]} people @param {string} self @param {HostAct | null} act  null: not a host
 * @param {Pinning} pinning
 */
export function renderRoster(people, self, act, { pinned, pin }) {
  part("count").textContent = String(people.length);
  part("roster").replaceChildren(
    ...people.map(({ participantId, displayName, host, microphone }) => {
      const item = make("li", { "data-participant-id": participantId });
      item.append(make("span", {}, displayName));
      const tags = [participantId === self && "you", host && "host", !microphone && "muted"];
      item.append(make("span", { class: "tag" }, tags.filter(Boolean).join(" · ")));
      if (participantId !== self) {
        const on = participantId === pinned;
        const toggle = button("pin-person", on ? "Unpin" : "Pin", participantId, (_, id) => pin(id));
        setPressed(toggle, on);
        item.append(toggle);
      }
      if (act && participantId !== self) {
        if (microphone) item.append(button("mute", "Mute", participantId, act));
        item.append(button("kick", "Remove", participantId, act));
      }
      return item;
    }),
  );
}

/** @param {Waiting[]} waiting @param {HostAct} act */
export function renderLobby(waiting, act) {
  part("lobby-panel").hidden = waiting.length === 0;
  part("waiting").replaceChildren(
    ...waiting.map(({ participantId, displayName }) => {
      const item = make("li", { "data-participant-id": participantId });
      item.append(make("span", {}, displayName));
      item.append(button("admit", "Admit", participantId, act));
      item.append(button("deny", "Deny", participantId, act));
      return item;
    }),
  );
}

/** @param {string} action @param {string} label @param {string} id @param {HostAct} act */
function button(action, label, id, act) {
  const made = make("button", { type: "button", "data-testid": action }, label);
  made.addEventListener("click", () => act(action, id));
  return made;
}

/** The text of an item is exactly the message; its author is shown by the style sheet. @param {ChatMessage} message */
export function addChat({ messageId, participantId, displayName, text, at }) {
  const list = byTestId("chat");
  const item = make("li", {}, text);
  item.dataset.messageId = messageId;
  item.dataset.participantId = participantId;
  item.dataset.displayName = displayName;
  item.dataset.at = String(at);
  list.append(item);
  list.scrollTop = list.scrollHeight;
}

/** @param {Caption} caption */
export function showCaption({ captionId, participantId, displayName, text, final }) {
  const box = byTestId("captions");
  if (box.hidden) return;
  let line = /** @type {HTMLElement | null} */ (box.querySelector(`[data-caption-id="${CSS.escape(captionId)}"]`));
  if (!line) {
    line = make("p");
    line.dataset.captionId = captionId;
    line.dataset.participantId = participantId;
    line.dataset.displayName = displayName;
    box.append(line);
    while (box.childElementCount > CAPTIONS_SHOWN) box.firstElementChild?.remove();
  }
  line.dataset.final = String(final);
  line.textContent = text;
}

/** @param {boolean} on */
export function toggleCaptions(on) {
  const box = byTestId("captions");
  box.hidden = !on;
  if (!on) box.replaceChildren();
}
