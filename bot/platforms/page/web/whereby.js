/**
 * Whereby: what its signalling says is read along, for its page was never a contract. Its frames
 * are those of socket.io: `42["event",{...}]`.
 */
{
  const MOST_CLIENTS = 500;
  const MOST_MESSAGES = 1_000;
  const MOST_FRAME = 2_000_000;

  /** @typedef {{id: string, name: string, host: boolean, muted: boolean, streams: string[]}} Client */
  /** @type {Map<string, Client>} */
  const clients = new Map();
  /** Streams that are shared screens. @type {Set<string>} */
  const screens = new Set();
  /** @type {Json[]} */
  const messages = [];
  /** @type {Set<string>} */
  const said = new Set();
  let self = '';
  let joined = false;
  let knocking = false;

  /** @param {any} value @returns {string[]} */
  const streamsOf = (value) =>
    Array.isArray(value) ? value.map((one) => String(one?.streamId ?? one?.id ?? one)) : [];

  /** @param {any} client */
  const keep = (client) => {
    if (typeof client?.id !== 'string') return;
    if (!clients.has(client.id) && clients.size >= MOST_CLIENTS) return;
    clients.set(client.id, {
      id: client.id,
      name: String(client.displayName ?? ''),
      host: client.roleName === 'host',
      muted: client.isAudioEnabled === false,
      streams: streamsOf(client.streams),
    });
  };

  /** @param {string} id @param {(client: Client) => void} change */
  const change = (id, change) => {
    const client = clients.get(id);
    if (client) change(client);
  };

  /** @type {Record<string, (body: any) => void>} */
  const events = {
    room_joined: (body) => {
      if (body.error) {
        said.add(`error:${body.error}`);
        return;
      }
      self = String(body.selfId ?? body.client?.id ?? '');
      // After a lost connection everybody is told anew: whoever is missing has left meanwhile.
      clients.clear();
      screens.clear();
      for (const client of body.room?.clients ?? []) keep(client);
      // What kept the bot out before, such as a lock that somebody has opened for it, is over.
      said.clear();
      joined = true;
      knocking = false;
    },
    new_client: ({ client }) => keep(client),
    client_left: ({ clientId }) => clients.delete(clientId),
    client_kicked: ({ clientId }) => {
      if (clientId === undefined || clientId === self) leave('event:kicked');
      else clients.delete(clientId);
    },
    client_metadata_received: ({ payload }) =>
      change(payload?.clientId, (client) => (client.name = String(payload.displayName ?? ''))),
    audio_enabled: ({ clientId, isAudioEnabled }) =>
      change(clientId, (client) => (client.muted = isAudioEnabled === false)),
    screenshare_started: ({ clientId, streamId }) => {
      screens.add(String(streamId));
      change(clientId, (client) => client.streams.push(String(streamId)));
    },
    screenshare_stopped: ({ streamId }) => screens.delete(String(streamId)),
    room_knocked: () => {
      // Where one can knock, the lock is a door.
      said.delete('error:room_locked');
      knocking = true;
    },
    knock_handled: ({ resolution }) => {
      knocking = false;
      if (resolution === 'rejected') said.add('event:knock_rejected');
    },
    room_session_ended: () => leave('event:room_session_ended'),
    chat_message: ({ id, senderId, text, timestamp }) => {
      if (messages.length >= MOST_MESSAGES) messages.shift();
      const name = clients.get(senderId)?.name ?? '';
      messages.push({
        messageId: String(id).slice(0, 300),
        platformId: String(senderId).slice(0, 300),
        displayName: name.slice(0, 1000),
        text: String(text).slice(0, 10_000),
        atMs: Date.parse(timestamp) || null,
      });
    },
  };

  /** @param {string} why */
  function leave(why) {
    joined = false;
    said.add(why);
  }

  /** @param {unknown} data one frame; what is not understood is somebody else's */
  const read = (data) => {
    if (typeof data !== 'string' || !data.startsWith('42') || data.length > MOST_FRAME) return;
    try {
      const [event, body] = JSON.parse(data.slice(data.indexOf('[')));
      if (Object.hasOwn(events, event)) events[event]?.(body ?? {});
    } catch (error) {
      emit('trouble', { detail: `signalling: ${String(error)}`.slice(0, 500) });
    }
  };

  const Native = window.WebSocket;
  const Hooked = new Proxy(Native, {
    construct(target, args, newTarget) {
      const socket = Reflect.construct(target, args, newTarget);
      socket.addEventListener('message', (/** @type {MessageEvent} */ { data }) => read(data));
      return socket;
    },
  });
  Native.prototype.constructor = Hooked;
  Object.defineProperty(window, 'WebSocket', { value: Hooked, writable: true, configurable: true });

  webPlatform.signals = () => {
    const signals = [...said];
    if (joined) signals.push('joined');
    if (knocking) signals.push('knocking');
    return signals;
  };

  webPlatform.shape = () => `signalling: ${clients.size} clients, joined ${joined}`;

  webPlatform.roster = () =>
    joined
      ? [...clients.values()].map(({ id, name, host, muted }) => ({
          platformId: id,
          displayName: name.slice(0, 1000),
          isSelf: id === self,
          isHost: host,
          muted,
        }))
      : null;

  /** A stream is announced for its owner, whether it comes from there or through a server. */
  webPlatform.owners = () => {
    const owners = [];
    for (const { track, streamIds } of capturedTracks) {
      if (track.readyState !== 'live') continue;
      for (const { id, streams } of clients.values()) {
        const stream = streamIds.find((one) => streams.includes(one));
        if (stream === undefined || id === self) continue;
        const camera = track.kind === 'audio' ? 'microphone' : 'camera';
        owners.push({
          trackId: captureTrackName(track),
          platformId: id,
          source: screens.has(stream) ? 'screen' : camera,
          attribution: 'track-owner',
          isolation: 'track',
          confidence: 1,
        });
      }
    }
    return owners;
  };

  webPlatform.chat = () => (joined ? messages : null);
}
