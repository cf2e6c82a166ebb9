/* Whereby's screens; what happens comes over its signalling as well, in frames of socket.io. */
'use strict';

const app = document.querySelector('#app');
const own = { id: 'me-1', name: '', microphone: true, camera: true };

/** The page's signalling: a second socket whose frames are what the platform's client reads. */
const signalling = new WebSocket(`wss://${location.host}/_replica-echo`);

function says(event, body) {
  if (!replica.scenario.api) return;
  const frame = `42${JSON.stringify([event, body])}`;
  if (signalling.readyState === WebSocket.OPEN) signalling.send(frame);
  else signalling.addEventListener('open', () => signalling.send(frame), { once: true });
}

const clientOf = (person) => ({
  id: person.id,
  displayName: person.name,
  isAudioEnabled: !person.muted,
  roleName: person.host ? 'host' : 'visitor',
  streams: person.streams ?? [],
});

const tell = (words) => element('p', {}, replica.text(words));
const panel = (...parts) => element('main', { class: replica.name('jstest-main') }, ...parts);

function door(...notes) {
  if (replica.quiet('audio=off&video=off')) own.microphone = own.camera = false;
  const name = element('input', { 'data-qa': 'knockNameInput', placeholder: 'Your name' });
  const knock = element(
    'button',
    {
      'data-qa': 'knockBtn',
      disabled: true,
      onclick: () => {
        own.name = name.value;
        replica.send({ type: 'join', name: name.value, microphone: own.microphone, camera: own.camera });
      },
    },
    'Join meeting',
  );
  name.oninput = () => (knock.disabled = name.value === '');
  const devices = [
    toggle(['Turn off microphone', 'Turn on microphone'], (on) => (own.microphone = on)),
    toggle(['Turn off camera', 'Turn on camera'], (on) => (own.camera = on)),
  ];
  return panel(...notes, ...arranged(name, ...devices, knock));
}

function tile(person, me) {
  return element(
    'div',
    { 'data-testid': `participant-${person.id}`, class: replica.name('tile') },
    person.host ? element('i', { 'data-testid': 'host-badge' }) : null,
    person.muted ? element('i', { 'data-testid': 'muted-icon' }) : null,
    element('span', { 'data-testid': 'name' }, person.name + (me ? ' (You)' : '')),
  );
}

const tiles = () => element('section', {}, tile(own, true), ...replica.people.map((one) => tile(one, false)));

function bubble({ id, name, text }) {
  return element(
    'div',
    { 'data-message-id': id },
    element('b', { 'data-testid': 'sender' }, name),
    element('time', { datetime: new Date().toISOString() }, 'now'),
    element('span', { 'data-testid': 'text' }, text),
  );
}

const chat = element('aside', { 'data-testid': 'chat-panel', hidden: true });

function room() {
  const input = element('textarea', { 'data-testid': 'chat-input' });
  const send = element('button', {
    'aria-label': 'Send message',
    onclick: () => {
      replica.send({ type: 'chat', text: input.value });
      input.value = '';
    },
  });
  chat.replaceChildren(input, send);
  const buttons = [
    element('button', { 'aria-label': 'Open chat', onclick: () => chat.toggleAttribute('hidden') }),
    element('button', { 'data-testid': 'leave-button', onclick: () => replica.send({ type: 'left' }) }, 'Leave'),
  ];
  if (replica.scenario.captions) {
    const captions = { 'aria-label': 'Turn on captions', onclick: () => replica.send({ type: 'captions' }) };
    buttons.push(element('button', captions));
  }
  const notice = replica.scenario.notice
    ? element(
        'div',
        { role: 'dialog' },
        tell('This meeting is being recorded'),
        element('button', { onclick: ({ target }) => target.closest('[role=dialog]').remove() }, 'Got it'),
      )
    : null;
  return panel(...arranged(tiles(), element('footer', {}, ...buttons), chat), notice);
}

function over(event, body, words) {
  says(event, body);
  return panel(tell(words));
}

const screens = {
  prejoin: () => door(),
  room,
  lobby: () => {
    says('room_knocked', {});
    const cancel = { 'data-testid': 'cancel-knock', onclick: () => replica.send({ type: 'left' }) };
    return panel(tell('This room is locked'), tell('Waiting for someone to let you in'), element('button', cancel, 'Cancel request'));
  },
  waiting_for_host: () => {
    says('room_joined', { error: 'host_presence_controls_error' });
    return panel(tell('Waiting for the host to start the meeting'));
  },
  denied: () => {
    says('knock_handled', { resolution: 'rejected' });
    // The old words stay behind it.
    return panel(tell('Waiting for someone to let you in'), tell('Your request to join was declined'));
  },
  locked: () => panel(tell('This room is locked')),
  full: () => over('room_joined', { error: 'room_full' }, 'This room is full'),
  kicked: () => over('client_kicked', { clientId: own.id }, 'You have been removed from the room'),
  ended: () => over('room_session_ended', {}, 'The meeting has ended'),
  not_found: () => panel(tell('That room does not exist')),
  sign_in: () => over('room_joined', { error: 'room_join_permission_denied' }, 'You need to log in to join this room'),
  lost: () => over('room_joined', { error: 'internal_server_error' }, "We couldn't connect you to the room"),
  interstitial: () => panel(element('button', { onclick: () => show('prejoin') }, 'Continue in browser')),
  unknown: () => panel(element('h1', {}, 'Scheduled maintenance'), element('button', {}, 'Status page')),
};

function show(name) {
  app.replaceChildren(screens[name]() ?? '');
}

replica.on = {
  scenario: ({ scenario }) => show(scenario.screen),
  screen: ({ name }) => show(name),
  admitted: ({ people }) => {
    const clients = [{ ...clientOf(own), id: own.id, displayName: own.name }, ...people.map(clientOf)];
    says('knock_handled', { resolution: 'accepted' });
    says('room_joined', { selfId: own.id, room: { clients } });
    show('room');
  },
  people: ({ people, came, went }) => {
    if (came) says('new_client', { client: clientOf(people.find(({ id }) => id === came)) });
    if (went) says('client_left', { clientId: went });
    document.querySelector('section')?.replaceWith(tiles());
  },
  share: ({ id, stream, on }) => says(on ? 'screenshare_started' : 'screenshare_stopped', { clientId: id, streamId: stream }),
  chat: ({ id, from, text }) => {
    const name = replica.people.find((one) => one.id === from)?.name ?? own.name;
    const senderId = from === 'me' ? own.id : from;
    says('chat_message', { id, senderId, text, timestamp: new Date().toISOString() });
    chat.append(bubble({ id, name, text }));
  },
};

void replica.start();
