/* Jitsi Meet's screens, from its texts and test ids. */
'use strict';

const root = document.querySelector('#react');
const own = { microphone: true, camera: true };

function dialog(title, text, ...more) {
  return element(
    'div',
    { role: 'dialog', class: replica.name('modal') },
    element('h1', {}, replica.text(title)),
    element('p', {}, replica.text(text)),
    ...more,
  );
}

function notification(title, text) {
  return element(
    'div',
    { class: replica.name('notification'), role: 'alert' },
    element('span', {}, replica.text(title)),
    element('span', {}, replica.text(text)),
  );
}

function prejoin(...notes) {
  if (replica.quiet('config.startWithAudioMuted=true')) own.microphone = own.camera = false;
  const name = element('input', { id: 'premeeting-name-input', placeholder: 'Enter your name' });
  const error = element('div', { 'data-testid': 'prejoin.errorMessage', hidden: true }, 'Name needed');
  const join = element(
    'div',
    {
      'data-testid': 'prejoin.joinMeeting',
      role: 'button',
      tabindex: '0',
      onclick: () => {
        if (!name.value) return error.removeAttribute('hidden');
        replica.send({ type: 'join', name: name.value, ...own });
      },
    },
    'Join meeting',
  );
  const devices = [
    toggle(['Mute microphone', 'Unmute microphone'], (on) => (own.microphone = on)),
    toggle(['Stop camera', 'Start camera'], (on) => (own.camera = on)),
  ];
  return element(
    'div',
    { 'data-testid': 'prejoin.screen', class: replica.name('premeeting-screen') },
    ...arranged(element('h1', {}, 'Join meeting'), name, error, ...devices, join),
    ...notes,
  );
}

function lobby() {
  client.state['features/lobby'].knocking = true;
  const wait = "You'll join the meeting as soon as someone accepts your request.";
  return element(
    'div',
    { class: replica.name('lobby-screen') },
    ...arranged(
      element('span', {}, 'Asking to join meeting…'),
      element('span', {}, replica.text(wait)),
      element('button', { 'data-testid': 'lobby.cancelButton', onclick: () => replica.send({ type: 'left' }) }, 'Cancel'),
    ),
  );
}

function password() {
  client.fail('conference.passwordRequired');
  const input = element('input', { id: 'required-password-input', name: 'lockKey', type: 'password' });
  const ok = element(
    'button',
    { id: 'modal-dialog-ok-button', onclick: () => replica.send({ type: 'password', password: input.value }) },
    'OK',
  );
  const text = 'The meeting has been locked by a participant. Please enter the password to join.';
  return dialog('Password required', text, ...arranged(input, ok));
}

function tile(person) {
  return element(
    'span',
    { id: `participant_${person.id}`, class: 'videocontainer' },
    element('span', { id: `participant_${person.id}_name` }, person.name),
  );
}

function row(person, me) {
  return element(
    'div',
    { id: `participant-item-${person.id}` },
    element('span', { class: 'participant-name' }, person.name + (me ? ' (me)' : '')),
    person.host ? element('span', { class: 'moderator-label' }, 'Moderator') : null,
  );
}

const chat = element('div', { id: 'sideToolbarContainer' }, element('div', { id: 'chatconversation', role: 'log' }));

function people() {
  const list = element('div', { class: 'participants_pane' }, row({ id: client.id, name: client.name }, true));
  list.append(...replica.people.map((person) => row(person, false)));
  return list;
}

function room() {
  const leave = element('button', {
    'aria-label': 'Leave the meeting',
    onclick: () => replica.send({ type: 'left' }),
  });
  const captions = element('button', {
    'aria-label': 'Toggle subtitles',
    onclick: () => replica.send({ type: 'captions' }),
  });
  const toolbox = element(
    'div',
    { id: 'new-toolbox' },
    ...arranged(
      ...(replica.scenario.captions ? [captions] : []),
      element('button', { 'aria-label': 'Open chat' }),
      leave,
    ),
  );
  const notice = replica.scenario.notice
    ? dialog(
        'Recording in progress',
        'This meeting is being recorded. If you choose to unmute, you consent.',
        element('button', {
          id: 'modal-dialog-ok-button',
          onclick: ({ target }) => {
            replica.scenario.notice = false;
            target.closest('[role=dialog]').remove();
          },
        }, 'I understand'),
      )
    : null;
  const stage = element('div', { id: 'largeVideoContainer' }, ...replica.people.map(tile));
  return element('div', { id: 'videospace' }, ...arranged(stage, toolbox, people(), chat), notice);
}

const screens = {
  prejoin,
  lobby,
  password,
  room,
  wrong_password: () => {
    const screen = password();
    screen.append(element('p', {}, 'Incorrect password'));
    return screen;
  },
  waiting_for_host: () => {
    client.fail('conference.authenticationRequired');
    const text =
      "The conference has not yet started because no moderators have yet arrived. If you'd like to become a moderator please log-in. Otherwise, please wait.";
    return dialog('Waiting for a moderator...', text, element('button', {}, 'Log-in'));
  },
  denied: () => {
    client.state['features/lobby'].knocking = false;
    client.fail('conference.connectionError.accessDenied');
    return prejoin(notification('Join request rejected.', 'Your join request was rejected by a moderator.'));
  },
  full: () => {
    client.fail('conference.max_users');
    return dialog('Maximum participants limit reached', 'Please try again later.');
  },
  kicked: () => {
    client.joined = false;
    client.emit('conference.kicked');
    return dialog("Ouch! Ada Park kicked you out of the meeting", 'Ada Park decided to kick you.');
  },
  ended: () => {
    client.joined = false;
    client.fail('conference.destroyed');
    return dialog('The meeting has been terminated', '');
  },
  not_found: () => element('div', {}, element('h1', {}, '404 Page not found')),
  sign_in: () => {
    client.state['features/base/connection'].error = { name: 'connection.passwordRequired' };
    return dialog('Authentication required', 'Please log in to join.');
  },
  lost: () => {
    client.joined = false;
    client.fail('conference.connectionError');
    return dialog("Oops! Something went wrong and we couldn't connect to the conference.", '');
  },
  interstitial: () =>
    element('div', { class: 'deep-linking-desktop' }, element('button', { onclick: () => show('prejoin') }, 'Join in browser')),
  unknown: () => element('div', {}, element('h1', {}, 'Scheduled maintenance'), element('button', {}, 'Status page')),
  no_door: () => null,
};

function show(name) {
  root.replaceChildren(screens[name]() ?? '');
}

replica.on = {
  scenario: ({ scenario }) => {
    if (scenario.api) client.expose();
    if (scenario.screen !== 'no_door') return show(scenario.screen);
    replica.send({ type: 'join', name: 'Fellow Jitster', microphone: false, camera: false });
  },
  screen: ({ name }) => show(name),
  admitted: () => {
    client.joined = true;
    client.state['features/lobby'].knocking = false;
    client.emit('conference.joined');
    show('room');
  },
  people: () => {
    document.querySelector('.participants_pane')?.replaceWith(people());
  },
  chat: ({ id, from, text }) => {
    const person = replica.people.find((one) => one.id === from);
    const name = person?.name ?? client.name;
    client.state['features/chat'].messages.push({
      messageId: id,
      participantId: from === 'me' ? client.id : from,
      messageType: from === 'me' ? 'local' : 'remote',
      displayName: name,
      message: text,
      timestamp: Date.now(),
    });
    const bubble = element('div', { class: 'chatmessage' }, element('span', { class: 'display-name' }, name));
    bubble.append(element('div', { class: 'usermessage' }, text));
    chat.firstChild.append(bubble);
  },
  caption: ({ id, from, text, final }) => {
    const { name } = replica.people.find((one) => one.id === from);
    const line = { participant: { id: from, name }, ...(final ? { final: text } : { unstable: text }) };
    const lines = client.state['features/subtitles']._transcriptMessages;
    client.state['features/subtitles'] = { _transcriptMessages: new Map(lines).set(id, line) };
  },
};

void replica.start();
