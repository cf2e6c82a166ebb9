/**
 * Google Meet: three tracks that those who speak use in turn. Its own channels say who is there, whose
 * each source of these tracks is, and who says each caption; where they cannot be read, the tiles do.
 */
{
  const { people, outputs, captions, counted } = meetRoom;
  const AUDIO = 1;
  const VIDEO = 2;
  const SOURCE_CONFIDENCE = 0.95;
  const SCREEN_CONFIDENCE = 0.8;
  const MOST_CSRC = 0xffff_ffff;
  /** A channel of captions that says nothing for so long cannot be read: then the page can. */
  const SILENT_MS = 10_000;
  const NOTES = /take notes for me|gemini/;
  /** Since when the page has shown captions. */
  let shownSince = 0;

  /** @param {string} device */
  const nameOf = (device) => people.get(device)?.name ?? '';

  /** @param {any} tile */
  const isTileOf = (tile) => {
    const person = people.get(tile.platformId);
    return !person || (person.status === MEET_PRESENT && !person.parent);
  };

  webPlatform.roster = () => {
    if (people.size === 0) return null;
    const tiles = /** @type {any[]} */ (webReadRoster() ?? []).filter(isTileOf);
    const self = tiles.find(({ isSelf }) => isSelf)?.platformId;
    /** @type {Map<string, boolean>} */
    const muted = new Map();
    for (const { kind, device, disabled } of outputs.values()) {
      if (kind === AUDIO) muted.set(device, disabled);
    }
    const listed = [...people.values()]
      .filter(({ status, parent }) => status === MEET_PRESENT && !parent)
      .map((person) => ({
        platformId: person.id,
        displayName: person.name,
        isSelf: person.self || person.id === self,
        isHost: person.host,
        muted: muted.get(person.id) ?? null,
      }));
    // The channel is late: a tile is there before it.
    return [...listed, ...tiles.filter(({ platformId }) => !people.has(platformId))];
  };

  webPlatform.leftLateMs = meetRoom.takeLateMs;

  webPlatform.voices = () =>
    [...outputs.values()]
      .filter(({ kind, stream }) => kind === AUDIO && /^\d+$/.test(stream) && Number(stream) <= MOST_CSRC)
      // The sound of a shared screen is nobody's voice.
      .filter(({ device }) => !people.get(device)?.parent)
      .map(({ stream, device }) => ({
        csrc: Number(stream),
        platformId: device,
        isolation: 'time-slice',
        confidence: SOURCE_CONFIDENCE,
      }));

  /** Whether the page shows captions although its channel has long been silent. */
  const silent = () => {
    if (!meetRoom.hasCaptions() || captions.size > 0) return !meetRoom.hasCaptions();
    if (shownSince === 0 && (webReadCaptions() ?? []).length > 0) shownSince = performance.now();
    return shownSince > 0 && performance.now() - shownSince > SILENT_MS;
  };

  /** A picture's stream is called as its output; one with a parent is that one's shared screen. */
  webPlatform.owners = () => {
    const owners = [];
    for (const { track, streamIds } of capturedTracks) {
      if (track.kind !== 'video' || track.readyState !== 'live') continue;
      const output = streamIds.map((id) => outputs.get(id)).find((one) => one?.kind === VIDEO);
      const person = people.get(output?.device ?? '');
      if (!person) continue;
      owners.push({
        trackId: captureTrackName(track),
        platformId: person.parent || person.id,
        source: person.parent ? 'screen' : 'camera',
        attribution: 'track-owner',
        isolation: 'track',
        confidence: SCREEN_CONFIDENCE,
      });
    }
    return owners;
  };

  webPlatform.captions = () => {
    if (captions.size === 0 && silent()) return null;
    // One is done when its speaker has begun the next one, whatever the channel says.
    const newest = new Map([...captions].map(([key, { device }]) => [device, key]));
    return [...captions].map(([key, { device, text, final }]) => ({
      captionId: key.slice(0, 300),
      platformId: device,
      displayName: nameOf(device),
      text,
      final: final || newest.get(device) !== key,
    }));
  };

  /** Bubbles of one sender are a group, whose first part says who and when. @param {Element} bubble */
  const senderOf = (bubble) => {
    let group = bubble.parentElement;
    for (let up = 0; group && up < 6; up++, group = group.parentElement) {
      const first = group.firstElementChild;
      if (!first || first.matches('[data-message-id]') || first.querySelector('[data-message-id]')) continue;
      const words = first.firstElementChild ?? first;
      return (words.textContent ?? '').trim();
    }
    return '';
  };

  webPlatform.chat = () => {
    const there = /** @type {any[]} */ (webPlatform.roster() ?? webReadRoster() ?? []);
    const self = there.find(({ isSelf }) => isSelf);
    return webDocuments()
      .flatMap((inside) => [...inside.querySelectorAll("[aria-label='Side panel'] [data-message-id]")])
      .slice(-MEET_MOST_CAPTIONS)
      .map((bubble) => {
        const sender = senderOf(bubble);
        const own = sender === 'You';
        return {
          messageId: (bubble.getAttribute('data-message-id') ?? '').slice(0, 300),
          platformId: own ? (self?.platformId ?? '') : webOwnerOf(bubble, sender),
          displayName: (own ? (self?.displayName ?? '') : sender).slice(0, 1000),
          text: (bubble.textContent ?? '').trim().slice(0, 10_000),
          atMs: null,
        };
      });
  };

  let asked = false;

  webPlatform.tell = () => {
    if (asked) return;
    for (const dialog of document.querySelectorAll("[role='dialog']")) {
      if (!webVisible(dialog) || !NOTES.test(webPlain(dialog.textContent ?? ''))) continue;
      asked = true;
      emit('trouble', { detail: 'Google Meet asks for consent to notes by an AI; a person has to answer it.' });
    }
  };

  webPlatform.shape = () =>
    `channels: ${counted.collections} of collections, ${counted.captions} of captions, ` +
    `${counted.everybody} lists, ${counted.unread} unread`;
}
