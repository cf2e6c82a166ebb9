// Types only; mirrors sandbox/messages.py and sandbox/schemas.py.

/**
 * @typedef {object} Participant
 * @property {string} participantId
 * @property {string} displayName
 * @property {boolean} host
 * @property {"browser" | "scripted"} kind
 * @property {boolean} microphone
 * @property {boolean} camera
 * @property {string | null} screen  id of the media stream of a shared screen
 * @property {string | null} pinned  whom this participant keeps large
 */

/**
 * @typedef {object} ChatMessage
 * @property {string} messageId
 * @property {string} participantId
 * @property {string} displayName
 * @property {string} text
 * @property {number} at  epoch milliseconds
 */

/**
 * @typedef {object} Caption
 * @property {string} captionId
 * @property {string} participantId
 * @property {string} displayName
 * @property {string} text
 * @property {boolean} final
 */

/** @typedef {{participantId: string, displayName: string}} Waiting */

/**
 * @typedef {object} Signal
 * @property {"signal"} type
 * @property {string} peer  the other end: recipient when sent, sender when received
 * @property {string} connection  tells successive connections of a pair apart
 * @property {RTCSessionDescriptionInit | null} [description]
 * @property {RTCIceCandidateInit | null} [candidate]
 */

/**
 * @typedef {object} Welcome
 * @property {"welcome"} type
 * @property {string} participantId
 * @property {boolean} host
 * @property {boolean} captions
 * @property {boolean} incomingVideoToggle
 * @property {Participant[]} participants
 * @property {ChatMessage[]} chat
 * @property {string[]} withoutVideo
 */

/**
 * @typedef {Welcome
 *   | Signal
 *   | {type: "lobby"}
 *   | {type: "beat"}
 *   | {type: "mute"}
 *   | {type: "joined", participant: Participant}
 *   | {type: "updated", participant: Participant}
 *   | {type: "left", participantId: string}
 *   | {type: "lobby-changed", waiting: Waiting[]}
 *   | {type: "chat", message: ChatMessage}
 *   | {type: "caption", caption: Caption}
 *   | {type: "wants-video", participantId: string, on: boolean}
 *   | {type: "over", reason: string, message: string}} FromServer
 */

/** @typedef {{microphone: boolean, camera: boolean, screen: string | null}} SendingState */

export {};
