/* The objects of the client that embedders and bots use, with the members that builds have. */
'use strict';

const client = {
  id: 'me000001',
  name: '',
  joined: false,
  state: {
    'features/base/audio-only': { enabled: false },
    'features/base/conference': {},
    'features/base/connection': {},
    'features/base/participants': { local: { id: 'me000001', name: '', role: 'participant' } },
    'features/chat': { messages: [] },
    'features/lobby': { knocking: false },
    'features/subtitles': { _transcriptMessages: new Map() },
  },
  handlers: new Map(),

  /** An event of the conference, as lib-jitsi-meet names them. */
  emit(event, ...args) {
    for (const handler of this.handlers.get(event) ?? []) handler(...args);
  },

  fail(error) {
    this.state['features/base/conference'].error = { name: error };
    this.emit('conference.failed', error);
  },

  member(person) {
    const tracks = () =>
      [...replica.streams.values()]
        .filter(({ stream }) => stream.id.startsWith(`${person.id}-`))
        .map(({ track, stream }) => ({
          getTrack: () => track,
          getParticipantId: () => person.id,
          getVideoType: () => (stream.id.includes('desktop') ? 'desktop' : 'camera'),
        }));
    return {
      getId: () => person.id,
      getDisplayName: () => person.name,
      getRole: () => (person.host ? 'moderator' : 'participant'),
      isAudioMuted: () => person.muted,
      isHidden: () => person.name === 'recorder',
      getTracks: tracks,
    };
  },

  expose() {
    const conference = {
      isJoined: () => client.joined || undefined,
      listMembers: () => replica.people.map((person) => client.member(person)),
      listMembersIds: () => replica.people.map(({ id }) => id),
      get membersCount() {
        return replica.people.length + 1;
      },
      getParticipantById: (id) => replica.people.find((one) => one.id === id),
      getMyUserId: () => client.id,
      changeLocalDisplayName: (name) => replica.send({ type: 'name', name }),
      hangup: async () => {
        replica.send({ type: 'left' });
        client.joined = false;
      },
      _room: {
        on: (event, handler) => {
          client.handlers.set(event, [...(client.handlers.get(event) ?? []), handler]);
        },
        getParticipants: () => replica.people.map((person) => client.member(person)),
        sendTextMessage: (text) => replica.send({ type: 'chat', text }),
      },
    };
    window.APP = {
      conference,
      UI: {},
      store: {
        getState: () => client.state,
        dispatch: ({ type, participant, audioOnly }) => {
          if (type === 'SET_AUDIO_ONLY') client.state['features/base/audio-only'] = { enabled: audioOnly };
          replica.send({ type, id: participant?.id });
        },
      },
    };
  },
};
