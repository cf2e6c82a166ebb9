/* Teams' screens for a guest on the web, from its data-tids and texts. */
'use strict';

const root = document.querySelector('#app');
const own = { microphone: true, camera: true };
const me = { id: '8:guest-me', name: '', host: false, muted: true };
/** Behind `#/meet/<number>`. */
replica.room = () => location.hash.match(/\/meet\/(\d+)/)?.[1];

function screen(...children) {
  return element('div', { class: replica.name('app-screen') }, ...children);
}

/** Its state is in `aria-checked`, its label stays. */
function device(tid, label, kind) {
  const button = element('button', { 'data-tid': tid, role: 'switch', 'aria-checked': 'true', title: label });
  button.onclick = () => {
    own[kind] = !own[kind];
    button.setAttribute('aria-checked', String(own[kind]));
  };
  return button;
}

function prejoin(...notes) {
  own.microphone = own.camera = true;
  const name = element('input', {
    'data-tid': 'prejoin-display-name-input',
    placeholder: 'Type your name',
    oninput: () => (join.disabled = name.value === ''),
  });
  const join = element(
    'button',
    {
      'data-tid': 'prejoin-join-button',
      disabled: true,
      onclick: () => {
        me.name = name.value;
        replica.send({ type: 'join', name: name.value, ...own });
      },
    },
    'Join now',
  );
  const warning = replica.scenario.notice
    ? element(
        'div',
        { role: 'dialog' },
        element('h2', {}, replica.text("Are you sure you don't want audio or video?")),
        element('button', { onclick: ({ target }) => target.closest('[role=dialog]').remove() }, 'Continue without audio or video'),
      )
    : null;
  return screen(
    ...notes,
    ...arranged(
      name,
      device('toggle-mute', 'Microphone', 'microphone'),
      device('toggle-video', 'Camera', 'camera'),
      join,
      element('button', { 'data-tid': 'prejoin-cancel-button', onclick: () => replica.send({ type: 'left' }) }, 'Cancel'),
    ),
    warning,
  );
}

function passcode(...notes) {
  const input = element('input', { 'data-tid': 'passcode-input', placeholder: 'Enter passcode', type: 'password' });
  const submit = element(
    'button',
    { 'data-tid': 'passcode-submit-button', onclick: () => replica.send({ type: 'password', password: input.value }) },
    'Join meeting',
  );
  return screen(element('h1', {}, 'Enter the meeting passcode'), ...arranged(input, submit), ...notes);
}

function row(person, mine) {
  const name = element('span', { id: `roster-avatar-name-${person.id}` }, `${person.name}${mine ? ' (You)' : ' (Unverified)'}`);
  return element(
    'div',
    { role: 'treeitem', 'data-cid': person.id },
    name,
    person.host ? element('span', { 'data-tid': 'ts-roster-organizer-status' }, 'Organizer') : null,
    person.muted ? element('span', { 'data-tid': 'participant-muted' }) : null,
  );
}

function roster() {
  const tree = element('div', { role: 'tree', 'aria-label': 'Attendees' }, row(me, true));
  tree.append(...replica.people.map((person) => row(person, false)));
  return tree;
}

/** Ids of those around whom there is an outline. */
const speaking = new Set();

function tile(person) {
  const outline = element('div', { 'data-tid': 'voice-level-stream-outline' }, ' ');
  return element(
    'div',
    { 'data-stream-type': 'Video', 'data-tid': person.name },
    element('span', {}, person.name),
    speaking.has(person.id) ? outline : null,
  );
}

function sharing() {
  const video = replica.sharedScreen();
  const name = replica.people.find(({ id }) => id === replica.share?.id)?.name;
  return video && element('div', { 'data-tid': 'screen-share-stage', 'aria-label': `Content shared by ${name}` }, video);
}

const showSharing = () => {
  document.querySelector("[data-tid='screen-share-stage']")?.remove();
  document.querySelector('#stage')?.before(sharing() ?? '');
};

const stage = () => document.querySelector('#stage')?.replaceChildren(...replica.people.map(tile));

const chat = element('div', { 'data-tid': 'chat-pane-list' });
const captions = element('div', { 'data-tid': 'closed-caption-renderer-wrapper' });
const compose = element('div', { 'data-tid': 'ckeditor', contenteditable: 'true', 'aria-label': 'Type a message' });

function send() {
  if (compose.textContent) replica.send({ type: 'chat', text: compose.textContent });
  compose.textContent = '';
}

function room() {
  const menu = element('div', { role: 'menu', hidden: true });
  if (replica.scenario.captions) {
    menu.append(
      element('div', { id: 'closed-captions-button', role: 'menuitem', onclick: () => replica.send({ type: 'captions' }) }, 'Turn on live captions'),
    );
  }
  const more = element('button', {
    id: 'callingButtons-showMoreBtn',
    'aria-label': 'More',
    onclick: () => menu.toggleAttribute('hidden'),
  });
  const notice = replica.scenario.notice
    ? element(
        'div',
        { role: 'alert' },
        'Recording has started. By joining, you are giving consent for this meeting to be recorded.',
        element('button', { 'data-tid': 'recording-notification-dismiss', onclick: ({ target }) => target.parentElement.remove() }, 'Dismiss'),
      )
    : null;
  return screen(
    ...arranged(
      element('div', { id: 'stage' }, ...replica.people.map(tile)),
      more,
      element('button', { id: 'chat-button', 'aria-pressed': 'true' }, 'Chat'),
      element('button', { id: 'roster-button', 'aria-pressed': 'true' }, 'People'),
      element('button', { id: 'hangup-button', 'aria-label': 'Leave', onclick: () => replica.send({ type: 'left' }) }),
      roster(),
      chat,
      captions,
    ),
    menu,
    element('div', {}, compose, element('button', { 'data-tid': 'newMessageCommands-send', onclick: send }, 'Send')),
    notice,
  );
}

const told = (...texts) => screen(...texts.map((text) => element('p', {}, replica.text(text))));
const retry = (title) => screen(element('h1', { id: 'calling-retry-screen-title' }, replica.text(title)));

const screens = {
  prejoin,
  room,
  password: passcode,
  wrong_password: () => passcode(element('p', {}, replica.text("That passcode isn't correct. Try again."))),
  lobby: () =>
    screen(
      ...arranged(
        element('h1', {}, `Hi, ${me.name}! Someone will let you in soon.`),
        element('button', { 'data-tid': 'prejoin-cancel-button', onclick: () => replica.send({ type: 'left' }) }, 'Cancel'),
      ),
    ),
  waiting_for_host: () => told("When the meeting starts, we'll let people know you're waiting."),
  // The lobby's text stays in the page behind it.
  denied: () => told('Someone will let you in soon.', 'Sorry, but you were denied access to the meeting.'),
  full: () => told('This meeting is full.'),
  kicked: () => retry("You've been removed from this meeting"),
  ended: () => told('The meeting has ended.'),
  not_found: () => told('Looks like the meeting URL is incorrect.'),
  sign_in: () => told('To join this Teams meeting, you need to be signed in to an account.'),
  captcha: () => told("Verify you're a real person"),
  recording_disabled: () => told('Recording is turned off for this meeting.'),
  lost: () => told("Sorry, we couldn't connect you."),
  interstitial: () =>
    screen(
      element('h1', {}, 'How do you want to join your Teams meeting?'),
      ...arranged(
        element('button', {}, 'Join on the Teams app'),
        element('button', { 'data-tid': 'joinOnWeb', onclick: () => show('prejoin') }, 'Continue on this browser'),
      ),
    ),
  unknown: () => screen(element('h1', {}, 'Scheduled maintenance'), element('button', {}, 'Status page')),
};

function show(name) {
  root.replaceChildren(screens[name]());
}

/** The client's own call, where a build lets it be reached. */
function expose() {
  window.callingDebug = {
    observableCall: {
      get participants() {
        return replica.people.map((person) => ({
          ...person,
          displayName: person.name,
          streams: [{ type: 'applicationsharing-video', active: replica.share?.id === person.id }],
          hasAudioSource: (csrc) => (person.sources ?? []).includes(csrc),
        }));
      },
    },
  };
}

replica.on = {
  scenario: ({ scenario }) => {
    if (scenario.api) expose();
    show(scenario.screen);
  },
  screen: ({ name }) => show(name),
  admitted: () => show('room'),
  people: () => {
    document.querySelector('[role=tree]')?.replaceWith(roster());
    stage();
  },
  share: showSharing,
  track: showSharing,
  speaking: ({ id, on }) => {
    speaking[on ? 'add' : 'delete'](id);
    stage();
  },
  chat: ({ id, from, text }) => {
    const person = replica.people.find((one) => one.id === from) ?? me;
    chat.append(
      element(
        'div',
        { 'data-tid': 'chat-pane-item' },
        element(
          'div',
          { 'data-tid': 'chat-pane-message', 'data-mid': id },
          element('span', { 'data-tid': 'message-author-name' }, person.name),
          element('time', { datetime: new Date().toISOString() }, 'now'),
          element('div', { id: `content-${id}` }, text),
        ),
      ),
    );
  },
  caption: ({ from, text, final }) => {
    const { name } = replica.people.find((one) => one.id === from);
    let line = [...captions.children].findLast((one) => one.dataset.open === from);
    if (!line) {
      line = element('div', { 'data-open': from });
      line.append(element('span', { 'data-tid': 'author' }, name), element('span', { 'data-tid': 'closed-caption-text' }));
      captions.append(line);
    }
    line.lastChild.textContent = text;
    if (final) delete line.dataset.open;
  },
};

void replica.start();
