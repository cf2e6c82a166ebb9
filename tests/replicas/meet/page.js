/* Google Meet's screens for a guest, from its labels and texts; its classes mean nothing. */
'use strict';

const root = document.querySelector('#root');
const own = { microphone: true, camera: true };
const me = { id: 'me', name: '', host: false };
const SYNC = '/$rpc/google.rtc.meetings.v1.MeetingSpaceService/SyncMeetingSpaceCollections';
/** The real page asks about once a minute. */
const SYNC_MS = 2_000;
/** Classes of a tile that glows and of one that is silent, in one build. */
const GLOWS = 'Oaajhc HX2H7 wEsLMd OgVli';
const SILENT = 'Oaajhc gjg47c';

function screen(...children) {
  return element('main', { class: replica.name('vgJExf') }, ...children);
}

function devices() {
  return [
    toggle(['Turn off microphone', 'Turn on microphone'], (on) => (own.microphone = on), { role: 'button' }),
    toggle(['Turn off camera', 'Turn on camera'], (on) => (own.camera = on), { role: 'button' }),
  ];
}

/** Every normal join has this frame, which nobody sees. */
function invisibleCheck() {
  const frame = element('iframe', { title: 'recaptcha challenge expires in two minutes', src: 'about:blank' });
  return element('div', { style: 'visibility: hidden; position: absolute; top: -10000px' }, frame);
}

/** The bot's own picture, a tile before it is in the meeting. */
function preview() {
  return element(
    'div',
    { 'data-participant-id': me.id, 'data-self-name': 'You' },
    element('span', { class: 'notranslate' }, me.name),
    element('button', { 'aria-label': 'Backgrounds and effects' }),
  );
}

function prejoin(...notes) {
  own.microphone = own.camera = true;
  const name = element('input', { type: 'text', 'aria-label': 'Your name', placeholder: 'Your name' });
  const ask = element('button', { disabled: true }, element('span', {}, replica.scenario.lobby ? 'Ask to join' : 'Join now'));
  ask.onclick = () => {
    me.name = name.value;
    replica.send({ type: 'join', name: name.value, ...own });
  };
  name.oninput = () => (ask.disabled = name.value === '');
  return screen(
    ...notes,
    element('h1', {}, replica.text("What's your name?")),
    ...arranged(preview(), name, ...devices(), ask),
    element('button', {}, 'Other ways to join'),
    element('p', {}, 'Sign in with your Google Account'),
    invisibleCheck(),
  );
}

function leaveButton() {
  return element('button', { 'aria-label': 'Leave call', onclick: () => replica.send({ type: 'left' }) });
}

/** Leaving, microphone and camera, and the own tile are there already. */
function waiting(...texts) {
  return screen(
    ...arranged(
      ...texts.map((text) => element('p', {}, replica.text(text))),
      preview(),
      ...devices(),
      leaveButton(),
      element('button', {}, 'Return to home screen'),
    ),
  );
}

function tile(person, mine) {
  return element(
    'div',
    { 'data-participant-id': person.id, 'data-requested-participant-id': person.id },
    element('span', { class: 'notranslate' }, person.name),
    mine ? element('span', { 'data-self-name': 'You' }) : null,
    person.host ? element('i', { 'aria-label': 'Meeting host' }) : null,
    element('div', { class: SILENT }),
  );
}

function tiles() {
  return element('div', { id: 'tiles' }, ...replica.people.map((person) => tile(person, false)), tile(me, true));
}

const chat = element('div', { 'aria-live': 'polite' });
const captions = element('div', { role: 'region', 'aria-label': 'Captions' });

/** There is one panel at a time. */
function panel() {
  const compose = element('textarea', { 'aria-label': 'Send a message' });
  compose.onkeydown = (event) => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    if (compose.value) replica.send({ type: 'chat', text: compose.value });
    compose.value = '';
  };
  return element('aside', { 'aria-label': 'Side panel', hidden: true }, chat, compose);
}

function captionsButton() {
  const button = element('button', { 'aria-label': 'Turn on captions' });
  button.onclick = () => {
    button.setAttribute('aria-label', 'Turn off captions');
    replica.send({ type: 'captions' });
  };
  return button;
}

/** A notice that is only a notice, or with Gemini's question that a person has to answer. */
function notice() {
  const gone = ({ target }) => target.closest('[role=dialog]').remove();
  return element(
    'div',
    { role: 'dialog' },
    element('h2', {}, 'This video call is being recorded'),
    element('button', { 'data-mdc-dialog-action': 'ok', onclick: gone }, 'Join now'),
  );
}

function room() {
  const side = panel();
  const open = element('button', { 'aria-label': 'Chat with everyone', 'aria-pressed': 'false' });
  open.onclick = () => {
    side.hidden = false;
    open.setAttribute('aria-pressed', 'true');
  };
  return screen(
    ...arranged(
      tiles(),
      replica.scenario.captions ? captionsButton() : null,
      open,
      element('button', { 'aria-label': 'People' }),
      leaveButton(),
      captions,
    ).filter(Boolean),
    side,
    replica.scenario.notice ? notice() : null,
  );
}

const told = (...texts) => screen(...texts.map((text) => element('h1', {}, replica.text(text))));
const LOBBY = "You'll join the call when someone lets you in";

const screens = {
  prejoin,
  room,
  lobby: () => waiting('Asking to be let in...', LOBBY),
  waiting_for_host: () => waiting('Waiting for the host to join'),
  // What was said in the lobby stays in the page.
  denied: () => told(LOBBY, "You can't join this call", 'Someone in the call denied your request to join'),
  no_answer: () => told(LOBBY, 'No one responded to your request to join the call'),
  kicked: () => told("You've been removed from the meeting"),
  ended: () => told('Meeting ended'),
  not_found: () => told('Check your meeting code', 'Make sure you entered the correct meeting code in the URL.'),
  sign_in: () => told('Sign in', 'Use your Google Account'),
  blocked: () => told("You can't join this video call", 'Returning to home screen'),
  captcha: () => screen(element('iframe', { title: 'recaptcha challenge expires in two minutes', width: 400, height: 580 })),
  recording_disabled: () => told("The host doesn't allow recording in this meeting"),
  lost: () => told('There is a problem connecting to this video call'),
  interstitial: () =>
    screen(
      element('p', {}, 'Do you want people to see and hear you in the meeting?'),
      ...arranged(
        element('button', {}, 'Allow microphone and camera'),
        element('button', { onclick: () => show('prejoin') }, 'Continue without microphone and camera'),
      ),
    ),
  unknown: () => screen(element('h1', {}, 'Scheduled maintenance'), element('button', {}, 'Status page')),
};

function show(name) {
  root.replaceChildren(screens[name]());
}

async function sync() {
  await fetch(SYNC, { method: 'POST', body: replica.room() }).catch(() => undefined);
}

replica.on = {
  scenario: ({ scenario }) => show(scenario.screen),
  screen: ({ name }) => show(name),
  admitted: () => {
    show('room');
    if (!replica.scenario.api) return;
    void sync();
    setInterval(sync, SYNC_MS);
  },
  // Its own channel, in the connection that the server offers.
  offer: ({ connection }) => replica.connections.get(connection).createDataChannel('captions', { ordered: true }),
  people: () => document.querySelector('#tiles')?.replaceWith(tiles()),
  speaking: ({ id, on }) => {
    const at = document.querySelector(`#tiles [data-participant-id="${id}"]`);
    if (at) at.lastElementChild.className = on ? GLOWS : SILENT;
  },
  chat: ({ id, from, text }) => {
    const name = replica.people.find((one) => one.id === from)?.name ?? 'You';
    const bubble = element('div', { 'data-message-id': `messages/${id}` }, text);
    const last = chat.lastElementChild;
    // Bubbles of one sender are in one group below one header.
    if (last?.dataset.sender === name) last.lastElementChild.append(bubble);
    else {
      const header = element('div', {}, element('div', {}, name), element('div', {}, '10:04 AM'));
      chat.append(element('div', { 'data-sender': name }, header, element('div', {}, bubble)));
    }
  },
  caption: ({ from, text, final }) => {
    const { name } = replica.people.find((one) => one.id === from);
    let line = [...captions.children].findLast((one) => one.dataset.open === from);
    if (!line) {
      line = element('div', { class: 'nMcdL', 'data-open': from });
      line.append(element('span', { class: 'NWpY1d' }, name), element('div', { class: 'ygicle VbkSUe' }));
      captions.append(line);
    }
    line.lastChild.textContent = text;
    if (final) delete line.dataset.open;
  },
};

void replica.start();
