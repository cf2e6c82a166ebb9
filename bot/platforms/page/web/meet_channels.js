/**
 * What Google Meet's own channels have said: who is there, whose each stream is, and captions.
 */

/** The status of who is in the meeting; 6 has left, 7 was removed. */
const MEET_PRESENT = 1;
const MEET_MOST_CAPTIONS = 200;

const meetRoom = (() => {
  const SYNC = /\/google\.rtc\.meetings\.v1\.MeetingSpaceService\/SyncMeetingSpaceCollections(\?|$)/;
  const MOST_WAITING = 500;

  /** By device, which is what Meet calls a participant. @type {Map<string, MeetPerson>} */
  const people = new Map();
  /** Since when each one has been there. @type {Map<string, number>} */
  const since = new Map();
  /** By stream id. @type {Map<string, MeetOutput>} */
  const outputs = new Map();
  /** @type {Map<string, MeetCaption>} */
  const captions = new Map();
  const counted = { collections: 0, captions: 0, everybody: 0, unread: 0 };
  /** Whether there is a channel of captions. */
  let captionsOpen = false;
  /** When everybody was last listed, and how long before a list somebody on it may have left. */
  let listedAt = 0;
  let leftLateMs = 0;

  /** @type {Record<string, (bytes: Uint8Array, askedAt: number) => void>} */
  const read = {
    collections: (bytes) => {
      const said = meetCollections(bytes);
      for (const person of said.people) keepPerson(person);
      for (const output of said.outputs) {
        if (output.stream && output.device) bounded(outputs, output.stream, output, MEET_MOST_ITEMS);
      }
    },
    captions: (bytes) => {
      for (const caption of meetCaptions(bytes)) {
        const key = `${caption.device} ${caption.id}`;
        const known = captions.get(key);
        if (!caption.device || (known && known.version > caption.version)) continue;
        bounded(captions, key, caption, MEET_MOST_CAPTIONS);
      }
    },
    everybody: (bytes, askedAt) => {
      const listed = meetEverybody(bytes);
      if (listed.length === 0) return;
      const there = new Set(listed.map(({ id }) => id));
      for (const person of people.values()) {
        const came = since.get(person.id) ?? 0;
        // Whoever came after the list was asked for cannot be on it.
        if (there.has(person.id) || person.status !== MEET_PRESENT || came > askedAt) continue;
        person.status = 0;
        // Nobody left before the list that they were last on, or before they came.
        const late = performance.now() - Math.max(listedAt, came);
        leftLateMs = leftLateMs ? Math.min(leftLateMs, late) : late;
      }
      listedAt = askedAt;
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
    if (!person.id || (!known && people.size >= MEET_MOST_ITEMS)) return;
    const status = person.status || (known?.status ?? MEET_PRESENT);
    if (known?.status !== MEET_PRESENT) since.set(person.id, performance.now());
    people.set(person.id, {
      ...person,
      status,
      name: person.name || (known?.name ?? ''),
      self: person.self || (known?.self ?? false),
      parent: person.parent || (known?.parent ?? ''),
      host: person.host || (known?.host ?? false),
    });
  }

  // One after the other: to inflate takes a moment, and a newer message must not be overtaken.
  let reading = Promise.resolve();
  let waiting = 0;

  /** @param {'collections' | 'captions' | 'everybody'} what @param {() => Promise<Uint8Array<ArrayBuffer>>} get @param {number} askedAt */
  const take = (what, get, askedAt = 0) => {
    if (waiting >= MOST_WAITING) return;
    waiting++;
    reading = reading.then(async () => {
      try {
        const bytes = await get();
        if (bytes.length > MEET_MOST_BYTES) throw new RangeError('a message of too many bytes');
        read[what](await meetInflate(bytes), askedAt);
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
  if (window.RTCPeerConnection) {
    const nativeCreate = RTCPeerConnection.prototype.createDataChannel;
    RTCPeerConnection.prototype.createDataChannel = {
      /** @this {RTCPeerConnection} @param {any} args */
      createDataChannel(...args) {
        const channel = Reflect.apply(nativeCreate, this, args);
        listen(channel);
        return channel;
      },
    }.createDataChannel;
  }

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
      const askedAt = performance.now();
      const answering = Reflect.apply(nativeFetch, this ?? window, [input, init]);
      if (SYNC.test(String(input?.url ?? input))) {
        answering.then(
          (/** @type {Response} */ answer) => {
            // Cloned now: afterwards the page may have read it.
            const copy = answer.ok ? answer.clone() : null;
            if (copy) take('everybody', () => bodyOf(copy), askedAt);
          },
          () => undefined,
        );
      }
      return answering;
    },
  }.fetch;

  return {
    people,
    outputs,
    captions,
    counted,
    hasCaptions: () => captionsOpen,
    /** How long ago those whom the last list leaves out may have left; told once. */
    takeLateMs() {
      const late = Math.min(Math.round(leftLateMs), 120_000);
      leftLateMs = 0;
      return late;
    },
  };
})();
