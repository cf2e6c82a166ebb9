/* Zoom's web client as a guest sees it, from its ids, classes and texts. */
'use strict';

const own = { microphone: true, camera: true };
const me = { id: '16778240', name: '', host: false, muted: true };
/** `/wc/<number>/join` */
replica.room = () => location.pathname.match(/\/wc\/(\d+)/)?.[1];
/** The passcode goes with the name. */
let typed = '';
let root = document.querySelector('#root');

/** Some builds put the whole client into a frame of the same origin. */
function frame() {
  const inner = element('iframe', { id: 'webclient', style: 'width: 100%; height: 600px' });
  root.replaceChildren(inner);
  root = inner.contentDocument.body;
}

function device(id, labels, kind) {
  return toggle(labels, (on) => (own[kind] = on), { id });
}

function banner() {
  const handler = ({ target }) => target.parentElement.remove();
  return element(
    'div',
    { id: 'onetrust-banner-sdk' },
    'We use cookies.',
    element('button', { id: 'onetrust-reject-all-handler', onclick: handler }, 'Reject'),
  );
}

function prejoin(...notes) {
  own.microphone = own.camera = true;
  const name = element('input', { id: 'input-for-name' });
  const pass = replica.scenario.password ? element('input', { id: 'input-for-pwd', type: 'password' }) : null;
  const join = element('button', { class: 'preview-join-button disabled', disabled: true }, 'Join');
  join.onclick = () => {
    me.name = name.value;
    typed = pass?.value ?? '';
    replica.send({ type: 'join', name: name.value, ...own });
  };
  name.oninput = () => {
    join.disabled = name.value === '';
    join.classList.toggle('disabled', join.disabled);
  };
  return element(
    'div',
    { class: 'preview-root' },
    ...arranged(
      name,
      device('preview-audio-control-button', ['Mute', 'Unmute'], 'microphone'),
      device('preview-video-control-button', ['Stop Video', 'Start Video'], 'camera'),
      join,
    ),
    pass,
    banner(),
    ...notes,
  );
}

function passcode(...notes) {
  if (typed) {
    replica.send({ type: 'password', password: typed });
    typed = '';
    return told('Joining Meeting...');
  }
  const input = element('input', { id: 'input-for-pwd', type: 'password', placeholder: 'Meeting Passcode' });
  const submit = element('button', { onclick: () => replica.send({ type: 'password', password: input.value }) }, 'Submit');
  return element('div', { class: 'passcode-only' }, ...arranged(input, submit), ...notes);
}

function row(person, mine) {
  const labels = [mine ? 'me' : '', person.host ? 'Host' : ''].filter(Boolean).join(', ');
  return element(
    'div',
    { class: 'participants-li', 'data-user-id': person.id },
    element('span', { class: 'participants-item__display-name' }, person.name),
    labels ? element('span', { class: 'participants-item__name-label' }, `(${labels})`) : null,
    element('span', { 'aria-label': person.muted ? 'audio muted' : 'audio on' }),
  );
}

function roster() {
  const list = element('div', { id: 'participants-ul' }, row(me, true));
  list.append(...replica.people.map((person) => row(person, false)));
  return list;
}

/** Without WebRTC the client decodes the meeting's sound by itself, and plays it. */
const player = {
  /** Seconds that it keeps in hand, and at most. */
  AHEAD: 0.06,
  MOST: 0.14,
  context: null,
  decoder: null,
  next: 0,

  worst: 0,

  heardAt: 0,

  /** A page that is kept waiting cannot play and show in time, and says so. */
  waited(ms) {
    if (ms > this.worst + 10) replica.send({ type: 'late', ms: (this.worst = ms) });
  },

  hear({ number, data }) {
    const now = performance.now();
    if (this.heardAt) this.waited(now - this.heardAt);
    this.heardAt = now;
    const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
    this.decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp: number * 20_000, data: bytes }));
  },

  open() {
    const view = root.ownerDocument.defaultView;
    this.context = new view.AudioContext({ sampleRate: 48_000 });
    this.volume = this.context.createGain();
    this.volume.connect(this.context.destination);
    let last = performance.now();
    setInterval(() => this.waited(-last + (last = performance.now())), 20);
    this.decoder = new AudioDecoder({ output: (sound) => this.play(sound), error: console.error });
    this.decoder.configure({ codec: 'opus', sampleRate: 48_000, numberOfChannels: 1 });
  },

  play(sound) {
    const buffer = this.context.createBuffer(1, sound.numberOfFrames, 48_000);
    sound.copyTo(buffer.getChannelData(0), { planeIndex: 0, format: 'f32-planar' });
    sound.close();
    const now = this.context.currentTime;
    // What came while nothing was played yet would keep all that follows late.
    if (this.context.state !== 'running' || this.next > now + this.MOST) return;
    if (this.next < now + 0.01) this.next = now + this.AHEAD;
    const source = new (root.ownerDocument.defaultView.AudioBufferSourceNode)(this.context, { buffer });
    source.connect(this.volume);
    source.start(this.next);
    this.next += buffer.duration;
  },
};

/** Who has spoken last, and somebody else for a moment before: the view is not steady. */
const active = element('div', { class: 'video-avatar__avatar-footer' }, element('span', {}));

function activate(name) {
  active.firstChild.textContent = replica.people.find((one) => one.name !== name)?.name ?? '';
  setTimeout(() => (active.firstChild.textContent = name), 80);
}

function showSharing() {
  root.querySelector('.sharee-container')?.remove();
  const video = replica.sharedScreen();
  const name = replica.people.find(({ id }) => id === replica.share?.id)?.name;
  const viewing = element('span', {}, replica.text(`You are viewing ${name}'s screen`));
  if (video) root.append(element('div', { class: 'sharee-container' }, viewing, video));
}

const chat = element('div', { 'aria-label': 'Chat Message List' });
const captions = element('div', { id: 'live-transcription-subtitle' });

function room() {
  const compose = element('div', { contenteditable: 'true' });
  compose.onkeydown = (event) => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    replica.send({ type: 'chat', text: compose.textContent });
    compose.textContent = '';
  };
  const menu = element('div', { role: 'menu', hidden: true });
  if (replica.scenario.captions) {
    const on = () => replica.send({ type: 'captions' });
    menu.append(element('button', { 'aria-label': 'Show Captions', onclick: on }, 'Show Captions'));
  }
  const options = element('div', { hidden: true });
  const gone = () => replica.send({ type: 'left' });
  options.append(element('button', { class: 'leave-meeting-options__btn--danger', onclick: gone }, 'Leave Meeting'));
  const footer = element(
    'footer',
    { id: 'wc-footer' },
    ...arranged(
      element('button', { 'aria-label': 'More meeting control', onclick: () => menu.toggleAttribute('hidden') }, 'More'),
      element('button', { 'aria-label': 'Leave', onclick: () => options.removeAttribute('hidden') }, 'Leave'),
    ),
    menu,
    options,
  );
  const notice = replica.scenario.notice
    ? element(
        'div',
        { class: 'zm-modal', role: 'dialog' },
        element('div', { class: 'zm-modal-body-title' }, 'This meeting is being recorded'),
        element('button', { onclick: ({ target }) => target.parentElement.remove() }, 'Got it'),
      )
    : null;
  return element(
    'div',
    { class: 'meeting-app' },
    ...arranged(element('div', { class: 'speaker-active-container__video-frame' }, active), roster(), chat, captions, compose, footer),
    notice,
  );
}

/** The client's shell is there behind every one of these. */
const told = (...texts) =>
  element('div', { class: 'meeting-app' }, ...texts.map((text) => element('div', { class: 'zm-modal-body-title' }, replica.text(text))));

const screens = {
  prejoin,
  room,
  password: passcode,
  wrong_password: () => passcode(element('p', {}, 'Passcode wrong. Please try again.')),
  lobby: () => {
    const text = "Host has joined. We've let them know you're here.";
    const leave = element('button', { class: 'leave-btn', onclick: () => replica.send({ type: 'left' }) }, 'Leave');
    return element('div', { class: 'meeting-app' }, ...arranged(element('span', {}, replica.text(text)), leave));
  },
  waiting_for_host: () => told('Waiting for the host to start the meeting.'),
  denied: () => told('The host has denied your request to join.'),
  full: () => told('This meeting is at capacity.'),
  kicked: () => told('You have been removed', 'You have been removed from the meeting by the host.'),
  ended: () => told('This meeting has been ended by host'),
  not_found: () => told('This meeting link is invalid (3,001)'),
  sign_in: () => told('Sign in to join this meeting'),
  captcha: () => told('Check the captcha box to verify'),
  recording_disabled: () => told('Recording is locked by the account of the host.'),
  lost: () => told('Your connection has timed out.'),
  interstitial: () =>
    element(
      'div',
      {},
      ...arranged(
        element('button', {}, 'Launch Meeting'),
        element('a', { href: '#', onclick: () => show('prejoin') }, 'Join from your browser'),
      ),
    ),
  unknown: () => element('div', {}, element('h1', {}, 'Scheduled maintenance'), element('button', {}, 'Status page')),
};

function show(name) {
  root.replaceChildren(screens[name]());
}

replica.on = {
  scenario: ({ scenario }) => {
    if (scenario.drifted) frame();
    show(scenario.screen);
  },
  screen: ({ name }) => show(name),
  admitted: () => show('room'),
  people: () => root.querySelector('#participants-ul')?.replaceWith(roster()),
  share: showSharing,
  track: showSharing,
  sound_on: () => player.open(),
  sound: (message) => player.hear(message),
  speaking: ({ name, on }) => {
    if (on) activate(name);
  },
  chat: ({ id, from, text }) => {
    const name = replica.people.find((one) => one.id === from)?.name ?? me.name;
    const label = `${name} to Everyone, 10:04 AM, ${text}`;
    chat.append(element('div', { role: 'row', 'data-message-id': id, 'aria-label': label }, text));
  },
  caption: ({ text }) => {
    captions.replaceChildren(element('div', { class: 'live-transcription-subtitle__item' }, text));
  },
};

void replica.start();
