/* Webex' screens for a guest in the browser. The client is in a frame, the app's advert before it. */
'use strict';

const own = { microphone: true, camera: true };
const me = { id: 'guest-me', name: '', host: false, muted: true };
const root = document.querySelector('#root');
let client = root;
replica.view = () => client.ownerDocument.defaultView;

/** Everything but the first pages. */
function frame() {
  const inner = element('iframe', { id: 'unified-webclient-iframe', style: 'width: 100%; height: 600px' });
  root.replaceChildren(inner);
  return inner.contentDocument.body;
}

function device(test, label, kind) {
  const button = element('button', { 'data-test': test, 'aria-pressed': 'true', title: label });
  button.onclick = () => {
    own[kind] = !own[kind];
    button.setAttribute('aria-pressed', String(own[kind]));
  };
  return button;
}

function prejoin(...notes) {
  own.microphone = own.camera = true;
  const name = element('input', { 'data-test': 'Name (required)', autocomplete: 'name' });
  const join = element('button', { 'data-test': 'join-button' }, replica.scenario.host_absent ? 'Start meeting' : 'Join meeting');
  join.onclick = () => {
    me.name = name.value;
    if (name.value) replica.send({ type: 'join', name: name.value, ...own });
  };
  const cookies = element(
    'div',
    { class: 'cookie-banner' },
    element('button', { class: 'cookie-manage-close-handler', onclick: ({ target }) => target.parentElement.remove() }, 'x'),
  );
  return element(
    'div',
    {},
    ...arranged(name, device('microphone-button', 'Microphone', 'microphone'), device('camera-button', 'Camera', 'camera'), join),
    cookies,
    ...notes,
  );
}

function password(...notes) {
  const input = element('input', { type: 'password' });
  const submit = element('button', { 'data-test': 'submit-button', onclick: () => replica.send({ type: 'password', password: input.value }) }, 'OK');
  return element('div', { 'data-test': 'password-page' }, 'Enter the meeting password', ...arranged(input, submit), ...notes);
}

/** Ids of those with a halo. */
const speaking = new Set();

function row(person, mine) {
  return element(
    'div',
    { role: 'listitem', 'data-participant-id': person.id },
    element('span', { 'data-test': 'participant-name' }, `${person.name}${mine ? ' (You)' : ''}`),
    person.host ? element('span', { 'data-test': 'participant-role' }, 'Host') : null,
    person.muted ? element('span', { 'data-test': 'participant-muted' }) : null,
    speaking.has(person.id) ? element('span', { class: 'active-speaker-halo' }, ' ') : null,
  );
}

function roster() {
  const list = element('div', { 'data-test': 'participants-list' }, row(me, true));
  list.append(...replica.people.map((person) => row(person, false)));
  return list;
}

function showSharing() {
  client.querySelector("[data-test='share-container']")?.remove();
  const video = replica.sharedScreen();
  const name = replica.people.find(({ id }) => id === replica.share?.id)?.name;
  const presenter = element('span', { 'data-test': 'presenter-name' }, `${name} is sharing content`);
  if (video) client.append(element('div', { 'data-test': 'share-container' }, presenter, video));
}

const chat = element('div', { 'data-test': 'chat-messages' });
const captions = element('div', { 'data-test': 'captions-box' });

function room() {
  const compose = element('div', { class: 'ql-editor', contenteditable: 'true' });
  compose.onkeydown = (event) => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    replica.send({ type: 'chat', text: compose.textContent });
    compose.textContent = '';
  };
  const menu = element('div', { role: 'menu', hidden: true });
  if (replica.scenario.captions) {
    menu.append(element('button', { onclick: () => replica.send({ type: 'captions' }) }, 'Show captions'));
  }
  const leaving = element('div', { hidden: true }, element('button', { onclick: () => replica.send({ type: 'left' }) }, 'Leave meeting'));
  const notice = replica.scenario.notice
    ? element(
        'div',
        { role: 'dialog' },
        element('p', {}, 'This meeting is being recorded.'),
        element('button', { onclick: ({ target }) => target.parentElement.remove() }, 'Got it'),
      )
    : null;
  return element(
    'div',
    { class: replica.name('call') },
    ...arranged(
      element('div', { 'data-test': 'grid-layout' }),
      element('button', { 'data-test': 'participants-toggle-button', 'aria-pressed': 'true' }, 'Participants'),
      element('button', { 'data-test': 'in-meeting-chat-toggle-button', 'aria-pressed': 'true' }, 'Chat'),
      element('button', { 'data-test': 'more-menu-button', onclick: () => menu.toggleAttribute('hidden') }, 'More'),
      element('button', { 'data-test': 'call-end', onclick: () => leaving.removeAttribute('hidden') }, 'End'),
      roster(),
      chat,
      captions,
      compose,
    ),
    menu,
    leaving,
    notice,
  );
}

const told = (...texts) => element('div', {}, ...texts.map((text) => element('p', {}, replica.text(text))));

const screens = {
  prejoin,
  room,
  password,
  wrong_password: () => password(element('p', {}, 'The password you entered is incorrect.')),
  lobby: () =>
    element(
      'div',
      { 'data-test': 'call_lobby_content' },
      ...arranged(
        element('p', {}, 'Someone will let you in when the meeting is ready.'),
        element('button', { 'data-test': 'lobby-leave-button', onclick: () => replica.send({ type: 'left' }) }, 'Leave'),
      ),
    ),
  waiting_for_host: () => told('You are waiting for the host to start the meeting.'),
  denied: () => told('Someone will let you in.', "You weren't admitted to the meeting."),
  full: () => told('The meeting is full.'),
  kicked: () => told('You were removed from the meeting.'),
  ended: () => told('This meeting has ended.'),
  not_found: () => told('Meeting number invalid / expired'),
  sign_in: () => told('SSO authentication is required to join this meeting.'),
  captcha: () => told('Type the characters that you see in the picture.'),
  recording_disabled: () => told('Recording is not allowed in this meeting.'),
  lost: () => told('We lost connection to your meeting.'),
  interstitial: () =>
    element(
      'div',
      {},
      element('h1', {}, 'Download the desktop app'),
      ...arranged(element('a', { href: '#' }, 'Download'), element('button', { onclick: () => show('prejoin') }, 'Use web app')),
    ),
  unknown: () => element('div', {}, element('h1', {}, 'Scheduled maintenance'), element('button', {}, 'Status page')),
};
const OUTSIDE = new Set(['interstitial', 'not_found', 'unknown', 'sign_in']);

function show(name) {
  if (OUTSIDE.has(name)) client = root;
  else if (client === root) client = frame();
  client.replaceChildren(screens[name]());
}

replica.on = {
  scenario: ({ scenario }) => show(scenario.screen),
  screen: ({ name }) => show(name),
  admitted: () => show('room'),
  people: () => client.querySelector("[data-test='participants-list']")?.replaceWith(roster()),
  share: showSharing,
  track: showSharing,
  speaking: ({ id, on }) => {
    speaking[on ? 'add' : 'delete'](id);
    replica.on.people();
  },
  chat: ({ id, from, text }) => {
    const name = replica.people.find((one) => one.id === from)?.name ?? me.name;
    chat.append(
      element(
        'div',
        { class: 'style-chat-box-3xKd', 'data-message-id': id },
        element('span', { class: 'style-chat-label-1aB' }, name),
        element('span', { class: 'style-chat-msg-9Zq' }, text),
      ),
    );
  },
  caption: ({ from, text, final }) => {
    const { name } = replica.people.find((one) => one.id === from);
    let line = [...captions.children].findLast((one) => one.dataset.open === from);
    if (!line) {
      line = element('div', { 'data-test': 'caption-line', 'data-open': from });
      line.append(element('span', { 'data-test': 'caption-speaker' }, name), element('span', { 'data-test': 'caption-text' }));
      captions.append(line);
    }
    line.lastChild.textContent = text;
    if (final) delete line.dataset.open;
  },
};

void replica.start();
