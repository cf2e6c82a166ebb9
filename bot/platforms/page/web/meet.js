/**
 * Google Meet: three tracks that those who speak use in turn. Its own channels say who is there, whose
 * each source of these tracks is, and who says each caption; where they cannot be read, the tiles do.
 */
{
  const SYNC = /\/google\.rtc\.meetings\.v1\.MeetingSpaceService\/SyncMeetingSpaceCollections(\?|$)/;
  const IN_MEETING = 1;
  const AUDIO = 1;
  const MOST_PEOPLE = 2_000;
  const MOST_CAPTIONS = 200;
  const MOST_WAITING = 500;
  const SOURCE_CONFIDENCE = 0.95;
  /** A channel of captions that says nothing for so long cannot be read: then the page can. */
  const SILENT_MS = 10_000;
  const NOTES = /take notes for me|gemini/;

  /** By device, which is what Meet calls a participant. @type {Map<string, MeetPerson>} */
  const people = new Map();
  /** Since when each one has been there. @type {Map<string, number>} */
  const since = new Map();
  /** By stream id. @type {Map<string, MeetOutput>} */
  const outputs = new Map();
  /** @type {Map<string, MeetCaption>} */
  const captions = new Map();
  const counted = { collections: 0, captions: 0, everybody: 0, unread: 0 };
  /** Whether there is a channel of captions, and since when the page has shown some. */
  let captionsOpen = false;
  let shownSince = 0;
  /** When everybody was last listed, and how long before a list somebody on it may have left. */
  let listedAt = 0;
  let leftLateMs = 0;

  /** @type {Record<string, (bytes: Uint8Array) => void>} */
  const read = {
    collections: (bytes) => {
      const said = meetCollections(bytes);
      for (const person of said.people) keepPerson(person);
      for (const output of said.outputs) {
        if (output.stream && output.device) bounded(outputs, output.stream, output, MOST_PEOPLE);
      }
    },
    captions: (bytes) => {
      for (const caption of meetCaptions(bytes)) {
        const key = `${caption.device} ${caption.id}`;
        const known = captions.get(key);
        if (!caption.device || (known && known.version > caption.version)) continue;
        bounded(captions, key, caption, MOST_CAPTIONS);
      }
    },
    everybody: (bytes) => {
      const listed = meetEverybody(bytes);
      if (listed.length === 0) return;
      const now = performance.now();
      const there = new Set(listed.map(({ id }) => id));
      for (const person of people.values()) {
        if (there.has(person.id) || person.status !== IN_MEETING) continue;
        person.status = 0;
        // Nobody left before they were last seen there, or before they came.
        const late = now - Math.max(listedAt, since.get(person.id) ?? now);
        leftLateMs = leftLateMs ? Math.min(leftLateMs, late) : late;
      }
      listedAt = now;
      for (const person of listed) keepPerson(person);
    },
  };

  /** @template T @param {Map<string, T>} store @param {string} key @param {T} value @param {number} most */
  function bounded(store, key, value, most) {
    if (!store.has(key) && store.size >= most) store.delete(store.keys().next().value ?? '');
    store.set(key, value);
  }

  /** What a message leaves out was said before. @param {MeetPerson} person */
  function keepPerson(person) {
    const known = people.get(person.id);
    if (!person.id || (!known && people.size >= MOST_PEOPLE)) return;
    if (known?.status !== IN_MEETING) since.set(person.id, performance.now());
    people.set(person.id, {
      ...person,
      name: person.name || (known?.name ?? ''),
      self: person.self || (known?.self ?? false),
      parent: person.parent || (known?.parent ?? ''),
      host: person.host || (known?.host ?? false),
    });
  }

  // One after the other: to inflate takes a moment, and a newer message must not be overtaken.
  let reading = Promise.resolve();
  let waiting = 0;

  /** @param {'collections' | 'captions' | 'everybody'} what @param {() => Promise<Uint8Array<ArrayBuffer>>} get */
  const take = (what, get) => {
    if (waiting >= MOST_WAITING) return;
    waiting++;
    reading = reading.then(async () => {
      try {
        const bytes = await get();
        if (bytes.length > MEET_MOST_BYTES) throw new RangeError('a message of too many bytes');
        read[what](await meetInflate(bytes));
        counted[what]++;
      } catch (error) {
        counted.unread++;
        if (counted.unread === 1) emit('trouble', { detail: `${what}: ${String(error)}`.slice(0, 500) });
      } finally {
        waiting--;
      }
    });
  };

  /** @type {WeakSet<RTCDataChannel>} */
  const heard = new WeakSet();

  /** @param {RTCDataChannel} channel the server's or the page's own */
  const listen = (channel) => {
    const label = channel.label.toLowerCase();
    // Builds call the one of captions differently.
    const what = label === 'collections' ? 'collections' : label.includes('caption') ? 'captions' : null;
    if (!what || heard.has(channel)) return;
    heard.add(channel);
    captionsOpen ||= what === 'captions';
    channel.addEventListener('message', ({ data }) => {
      if (data instanceof ArrayBuffer) take(what, async () => new Uint8Array(data));
      else if (data instanceof Blob) take(what, async () => new Uint8Array(await data.arrayBuffer()));
    });
  };

  captureVisitors.push((pc) => pc.addEventListener('datachannel', ({ channel }) => listen(channel)));
  const nativeCreate = RTCPeerConnection.prototype.createDataChannel;
  RTCPeerConnection.prototype.createDataChannel = {
    /** @this {RTCPeerConnection} @param {any} args */
    createDataChannel(...args) {
      const channel = Reflect.apply(nativeCreate, this, args);
      listen(channel);
      return channel;
    },
  }.createDataChannel;

  /** Base64 of a protobuf message. @param {Response} answer */
  const bodyOf = async (answer) => {
    const text = (await answer.text()).trim().replace(/-/g, '+').replace(/_/g, '/');
    if (text.length > MEET_MOST_BYTES * 2) throw new RangeError('an answer of too many bytes');
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  };

  const nativeFetch = window.fetch;
  window.fetch = {
    /** @this {any} @param {any} input @param {any} init */
    fetch(input, init) {
      const answering = Reflect.apply(nativeFetch, this ?? window, [input, init]);
      if (SYNC.test(String(input?.url ?? input))) {
        answering.then(
          (/** @type {Response} */ answer) => {
            // Cloned now: afterwards the page may have read it.
            const copy = answer.ok ? answer.clone() : null;
            if (copy) take('everybody', () => bodyOf(copy));
          },
          () => undefined,
        );
      }
      return answering;
    },
  }.fetch;

  /** @param {string} device */
  const nameOf = (device) => people.get(device)?.name ?? '';

  /** @param {any} tile */
  const isTileOf = (tile) => {
    const person = people.get(tile.platformId);
    return !person || (person.status === IN_MEETING && !person.parent);
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
      .filter(({ status, parent }) => status === IN_MEETING && !parent)
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

  webPlatform.leftLateMs = () => {
    const late = Math.min(Math.round(leftLateMs), 120_000);
    leftLateMs = 0;
    return late;
  };

  webPlatform.voices = () =>
    [...outputs.values()]
      .filter(({ kind, stream }) => kind === AUDIO && /^\d{1,10}$/.test(stream))
      .map(({ stream, device }) => ({
        csrc: Number(stream),
        platformId: device,
        isolation: 'time-slice',
        confidence: SOURCE_CONFIDENCE,
      }));

  /** Whether the page shows captions although its channel has long been silent. */
  const silent = () => {
    if (!captionsOpen || captions.size > 0) return !captionsOpen;
    if (shownSince === 0 && (webReadCaptions() ?? []).length > 0) shownSince = performance.now();
    return shownSince > 0 && performance.now() - shownSince > SILENT_MS;
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
      .slice(-MOST_CAPTIONS)
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
