/**
 * Jitsi Meet: its own client object knows everything and is preferred (PL-40); where a build or an
 * embedding hides it, the anchors and the ids of the media streams are left.
 */
{
  const page = /** @type {any} */ (window);
  const MOST_EVENTS = 20;
  const PASSWORD = 'error:conference.passwordRequired';
  /** The client waits and asks again every few seconds. */
  const MODERATOR = 'error:conference.authenticationRequired';
  /** What the conference has said. @type {Set<string>} */
  const said = new Set();
  /** Conferences that we listen to. @type {WeakSet<object>} */
  const heard = new WeakSet();
  // `<endpoint>-audio-0-1`, in P2P and through the bridge.
  const STREAM = /^(.+)-(audio|video|desktop)-\d+-\d+$/;

  /** Builds differ, and may lack any of it. @template T @param {() => T} ask @returns {T | undefined} */
  const safely = (ask) => {
    try {
      return ask();
    } catch {
      return undefined;
    }
  };

  const conference = () => page.APP?.conference;
  const room = () => safely(() => conference()?._room);

  /** @param {string} feature @returns {any} */
  const stored = (feature) => safely(() => page.APP.store.getState()[`features/${feature}`]) ?? {};

  /** @param {any} error @returns {string | undefined} */
  const nameOf = (error) => (typeof error === 'string' ? error : error?.name);

  const listen = () => {
    const current = room();
    if (!current || heard.has(current) || typeof current.on !== 'function') return;
    heard.add(current);
    /** @param {string} word */
    const note = (word) => {
      if (said.size < MOST_EVENTS) said.add(word);
    };
    safely(() => current.on('conference.kicked', () => note('event:kicked')));
    safely(() =>
      current.on('conference.failed', (/** @type {unknown} */ error) => {
        note(`error:${nameOf(error) ?? 'unknown'}`);
      }),
    );
  };

  const joined = () => safely(() => conference()?.isJoined?.()) === true;

  webPlatform.signals = () => {
    listen();
    const signals = [...said];
    const { error } = stored('base/conference');
    const failed = stored('base/connection').error;
    for (const one of [nameOf(error), nameOf(failed)]) if (one) signals.push(`error:${one}`);
    if (joined()) signals.push('joined');
    const { knocking } = stored('lobby');
    if (knocking) signals.push('knocking');
    // What it was asked for, or had to wait for, before it was let in, or at least to the door.
    const past = joined() ? [PASSWORD, MODERATOR] : knocking ? [MODERATOR] : [];
    return signals.filter((one) => !past.includes(one));
  };

  webPlatform.shape = () => {
    const current = conference();
    return current ? `APP.conference has ${Object.keys(current).join(' ')}` : 'no APP.conference';
  };

  const ownId = () => String(safely(() => conference().getMyUserId()) ?? '');

  webPlatform.roster = () => {
    const members = safely(() => conference().listMembers());
    if (!Array.isArray(members)) return null;
    const local = stored('base/participants').local;
    const own = { platformId: ownId(), displayName: String(local?.name ?? '').slice(0, 1000), isSelf: true };
    const people = [{ ...own, isHost: local?.role === 'moderator', muted: true }];
    for (const member of members) {
      if (safely(() => member.isHidden())) continue;
      people.push({
        platformId: String(member.getId()),
        displayName: String(member.getDisplayName() ?? '').slice(0, 1000),
        isSelf: false,
        isHost: safely(() => member.getRole()) === 'moderator',
        muted: safely(() => member.isAudioMuted()) ?? false,
      });
    }
    return people.filter(({ platformId }) => platformId !== '');
  };

  /** Whose each track is by the client itself. @returns {Map<string, {who: string, screen: boolean}>} */
  const known = () => {
    const tracks = new Map();
    for (const member of safely(() => room().getParticipants()) ?? []) {
      for (const track of safely(() => member.getTracks()) ?? []) {
        const own = safely(() => track.getTrack());
        const who = safely(() => track.getParticipantId()) ?? member.getId();
        const screen = safely(() => track.getVideoType()) === 'desktop';
        if (own) tracks.set(captureTrackName(own), { who: String(who), screen });
      }
    }
    return tracks;
  };

  webPlatform.owners = () => {
    const sure = known();
    const owners = [];
    for (const { track, streamIds } of capturedTracks) {
      if (track.readyState !== 'live') continue;
      const named = streamIds.map((id) => STREAM.exec(id)).find((match) => match !== null);
      const name = captureTrackName(track);
      const owner = sure.get(name) ?? (named && { who: named[1], screen: named[2] === 'desktop' });
      if (!owner?.who) continue;
      const camera = track.kind === 'audio' ? 'microphone' : 'camera';
      owners.push({
        trackId: name,
        platformId: owner.who,
        source: owner.screen ? 'screen' : camera,
        attribution: 'track-owner',
        isolation: 'track',
        confidence: sure.has(name) ? 1 : 0.9,
      });
    }
    return owners;
  };

  webPlatform.chat = () => {
    const { messages } = stored('chat');
    if (!Array.isArray(messages)) return null;
    return messages
      .slice(-WEB_MOST_MESSAGES)
      .filter(({ messageType }) => messageType !== 'error')
      .map((message) => {
        const own = message.messageType === 'local';
        const who = own ? ownId() : String(message.participantId ?? message.id ?? '');
        return {
          messageId: String(message.messageId ?? `${who} ${message.timestamp}`).slice(0, 300),
          platformId: who.slice(0, 300),
          displayName: String(message.displayName ?? '').slice(0, 1000),
          text: String(message.message ?? '').slice(0, 10_000),
          atMs: Number(message.timestamp) || null,
        };
      });
  };

  webPlatform.captions = () => {
    const lines = stored('subtitles')._transcriptMessages;
    if (!(lines instanceof Map)) return null;
    return [...lines].map(([id, line]) => ({
      captionId: String(id).slice(0, 300),
      platformId: String(line.participant?.id ?? '').slice(0, 300),
      displayName: String(line.participant?.name ?? '').slice(0, 1000),
      text: String(line.final ?? `${line.stable ?? ''}${line.unstable ?? ''}`).slice(0, 5_000),
      final: Boolean(line.final),
    }));
  };

  webPlatform.say = (text) => {
    const current = room();
    if (typeof current?.sendTextMessage !== 'function') return false;
    current.sendTextMessage(text);
    return true;
  };

  webPlatform.showCaptions = () => {
    const toggle = page.APP?.UI?.toggleSubtitles;
    if (typeof toggle !== 'function') return false;
    toggle.call(page.APP.UI);
    return true;
  };

  webPlatform.rename = (name) => {
    if (!joined() || typeof conference().changeLocalDisplayName !== 'function') return false;
    conference().changeLocalDisplayName(name);
    return true;
  };

  webPlatform.pin = (platformId) => {
    const there = safely(() => conference().getParticipantById(platformId));
    if (!there) return false;
    page.APP.store.dispatch({ type: 'PIN_PARTICIPANT', participant: { id: platformId } });
    return true;
  };

  /** The client's own mode for little bandwidth: with it no camera is sent to it (D6). */
  webPlatform.stopIncomingVideo = () => {
    if (!joined()) return false;
    page.APP.store.dispatch({ type: 'SET_AUDIO_ONLY', audioOnly: true });
    return stored('base/audio-only').enabled === true;
  };

  webPlatform.leave = async () => {
    if (!joined() || typeof conference().hangup !== 'function') return false;
    // It goes on for a moment to a page of thanks; gone is the bot at once.
    await Promise.race([conference().hangup(false), new Promise((done) => setTimeout(done, 700))]);
    return true;
  };
}
