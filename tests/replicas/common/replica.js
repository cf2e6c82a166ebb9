/* What the pages of all replicas share: the way to the server, elements, and received media. */
'use strict';

const replica = {
  /** What the server said first. */
  scenario: null,
  people: [],
  /** Handlers by the type of a message. */
  on: {},
  socket: null,
  /** Received tracks by the id of their stream. */
  streams: new Map(),
  connections: new Map(),

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  },

  /** Which meeting the page was opened for. */
  room() {
    return location.pathname.replace(/\/$/, '').split('/').pop();
  },

  async start() {
    this.socket = new WebSocket(`wss://${location.host}/_replica-ws?room=${this.room()}`);
    this.socket.onmessage = ({ data }) => this.hear(JSON.parse(data));
    // A network that is gone; a page that goes itself is closed by its browser, with another code.
    this.socket.onclose = ({ code }) => code === 1011 && this.on.screen?.({ name: 'lost' });
  },

  hear(message) {
    if (message.type === 'scenario') this.scenario = message.scenario;
    if (message.type === 'share') this.share = message.on ? message : null;
    if (message.people) this.people = message.people;
    if (message.type === 'reload') location.reload();
    if (message.type === 'offer') void this.answer(message);
    if (message.type === 'hang-up') this.connections.get(message.connection)?.close();
    this.on[message.type]?.(message);
    if (message.type === 'admitted') this.furnish();
  },

  /** What lies over or in the room of every platform. */
  furnish() {
    if (this.scenario.shares) {
      const said = element('div', { role: 'status' }, `${this.people[0].name} is presenting`);
      document.body.append(element('section', {}, said, element('video', { muted: true })));
    }
    if (this.scenario.ai_notes) {
      const consent = () => this.send({ type: 'consented' });
      const answers = ['Got it', 'Join now', 'OK', 'Allow', 'Continue', 'I understand'];
      document.body.append(
        element(
          'div',
          { role: 'dialog', 'aria-modal': 'true' },
          element('h2', {}, 'An AI takes notes of this call'),
          element('p', {}, 'Do you consent to notes being taken of what you say?'),
          ...answers.map((answer) => element('button', { onclick: consent }, answer)),
        ),
      );
    }
  },

  /** Whose screen is shown, and the id of its stream; null while nobody's is. */
  share: null,

  /** A video that shows the shared screen, or null while there is none to show. */
  sharedScreen() {
    const shared = this.share && this.streams.get(this.share.stream);
    if (!shared) return null;
    const video = element('video', { autoplay: true, playsinline: true });
    video.muted = true;
    video.srcObject = shared.stream;
    return video;
  },

  /** Where the client lives: some have all of theirs in a frame. */
  view() {
    return window;
  },

  async answer({ connection, sdp, peer }) {
    const pc = new (this.view().RTCPeerConnection)();
    this.connections.set(connection, pc);
    pc.ontrack = ({ track, streams }) => {
      const stream = streams[0] ?? new MediaStream([track]);
      this.streams.set(stream.id, { track, stream, peer });
      const element = document.createElement(track.kind === 'audio' ? 'audio' : 'video');
      element.autoplay = true;
      element.muted = track.kind === 'video';
      element.srcObject = stream;
      (document.querySelector('#media') ?? document.body).append(element);
      this.on.track?.({ track, stream, peer });
    };
    await pc.setRemoteDescription({ type: 'offer', sdp });
    await pc.setLocalDescription(await pc.createAnswer());
    this.send({ type: 'signal', connection, description: pc.localDescription });
  },

  /**
   * Whether the page was opened with its devices off. It counts where their buttons cannot be read
   * only, so that they are pressed everywhere else.
   */
  quiet(option) {
    return this.scenario.translated && location.href.includes(option);
  },

  /** The texts of some pages have typographic apostrophes. */
  text(words) {
    return this.scenario?.typographic ? words.replace(/'/g, '\u2019') : words;
  },

  /** Class names change with every build of a page; nothing may depend on them. */
  name(usual) {
    return this.scenario?.drifted ? `x${Math.random().toString(36).slice(2, 8)}` : usual;
  },
};

const LABELS = new Set(['aria-label', 'title', 'placeholder', 'alt']);

/** Words as nobody's language has them, so that only what is no language is recognised. */
function foreign(words) {
  const people = new Set(replica.people.map(({ name }) => name));
  if (typeof words !== 'string' || people.has(words)) return words;
  return words.replace(/[a-z]/gi, (letter) => String.fromCharCode(letter.charCodeAt(0) + 0x4e00));
}

/** `element('button', {id: 'a', onclick: f}, 'text', child)` */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  if (replica.scenario?.translated) {
    children = children.map((child) => (typeof child === 'string' ? foreign(child) : child));
    attributes = Object.fromEntries(
      Object.entries(attributes).map(([name, value]) => [name, LABELS.has(name) ? foreign(value) : value]),
    );
  }
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made[name] = value;
    else if (value !== false && value !== null) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** In another order when the page has drifted. */
function arranged(...elements) {
  return replica.scenario?.drifted ? elements.reverse() : elements;
}

/** A toggle with a label for each of its states, as all clients have. */
function toggle(labels, change, attributes = {}) {
  let on = true;
  const button = element('button', { ...attributes, 'aria-label': labels[0] });
  button.onclick = () => {
    on = !on;
    button.setAttribute('aria-label', labels[on ? 0 : 1]);
    change(on);
  };
  return button;
}
