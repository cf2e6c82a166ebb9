/** People, chat and captions out of the page's own lists, by the platform's file. */

/** So many of the newest are looked at: those before them were told. */
const WEB_MOST_MESSAGES = 1_000;

/** Rows get an id of ours where the page has none. @type {WeakMap<Element, string>} */
const webRowIds = new WeakMap();
let webRowCount = 0;

/** @param {Element} row */
function webRowId(row) {
  let id = webRowIds.get(row);
  if (id === undefined) {
    id = `row-${webDocument}-${webRowCount++}`;
    webRowIds.set(row, id);
  }
  return id;
}

/** @param {Element} row @param {WebField | undefined} field @returns {string | null} null: not there */
function webValue(row, field) {
  if (!field) return null;
  const at = field.css ? row.querySelector(field.css) : row;
  if (!at) return null;
  const value = field.attr ? at.getAttribute(field.attr) : (at.textContent ?? '');
  if (value === null) return null;
  const clean = field.strip ? value.replace(new RegExp(field.strip, 'gi'), '') : value;
  return clean.replace(/\s+/g, ' ').trim();
}

/** @param {Element} row @param {WebField | undefined} field */
function webIs(row, field) {
  const value = webValue(row, field);
  if (value === null || !field) return false;
  return field.matches ? new RegExp(field.matches, 'i').test(value) : true;
}

/** @param {WebRows} list @returns {Element[]} */
function webRows(list) {
  return webDocuments().flatMap((inside) => [...inside.querySelectorAll(list.rows)]);
}

/** @returns {Json[] | null} */
function webReadRoster() {
  const list = WEB.roster;
  if (!list) return null;
  /** @type {Map<string, Json>} */
  const people = new Map();
  for (const row of webRows(list)) {
    const { fields } = list;
    const name = webValue(row, fields.name) ?? '';
    const id = webValue(row, fields.id) || name;
    if (!id || people.has(id)) continue;
    people.set(id, {
      platformId: id.slice(0, 300),
      displayName: name.slice(0, 1000),
      isSelf: webIs(row, fields.self),
      isHost: webIs(row, fields.host),
      muted: fields.muted ? webIs(row, fields.muted) : null,
    });
  }
  return people.size > 0 ? [...people.values()] : null;
}

/** Bubbles of one sender are grouped under one name. @returns {Json[] | null} */
function webReadChat() {
  const list = WEB.chat;
  if (!list) return null;
  let sender = '';
  return webRows(list).slice(-WEB_MOST_MESSAGES).map((row) => {
    sender = webValue(row, list.fields.name) || sender;
    const at = Date.parse(webValue(row, list.fields.at) ?? '');
    return {
      messageId: (webValue(row, list.fields.id) || webRowId(row)).slice(0, 300),
      platformId: webOwnerOf(row, sender),
      displayName: sender.slice(0, 1000),
      text: (webValue(row, list.fields.text) ?? '').slice(0, 10_000),
      atMs: Number.isNaN(at) ? null : at,
    };
  });
}

/** Lines grow and are rewritten in place; one is done when the next one of its speaker begins. @returns {Json[] | null} */
function webReadCaptions() {
  const list = WEB.captions;
  if (!list) return null;
  const rows = webRows(list);
  return rows.map((row, index) => {
    const name = webValue(row, list.fields.name) ?? '';
    return {
      captionId: (webValue(row, list.fields.id) || webRowId(row)).slice(0, 300),
      platformId: webOwnerOf(row, name),
      displayName: name.slice(0, 1000),
      text: (webValue(row, list.fields.text) ?? '').slice(0, 5_000),
      final: index < rows.length - 1,
    };
  });
}

/** Tracks that hold everybody's voice. @param {WebMix} mix @returns {Json[]} */
function webReadMixes(mix) {
  const wanted = new RegExp(mix.stream);
  return capturedTracks
    .filter(({ track, streamIds }) => track.kind === 'audio' && streamIds.some((id) => wanted.test(id)))
    .map(({ track }) => ({
      trackId: captureTrackName(track),
      attribution: mix.attribution,
      confidence: mix.confidence,
    }));
}

/** Tracks that the page shows as somebody's screen. @param {WebRows} list @returns {Json[]} */
function webReadScreens(list) {
  return webRows(list)
    .filter(webVisible)
    .flatMap((row) => {
      const { fields } = list;
      const named = webValue(row, fields.id) || webIdOf(webValue(row, fields.name) ?? '');
      const platformId = webPlatform.presenter?.() || named;
      const shown = [...row.querySelectorAll('video')].flatMap((video) => {
        const stream = /** @type {any} */ (video.srcObject);
        return /** @type {MediaStreamTrack[]} */ (stream?.getVideoTracks?.() ?? []);
      });
      return capturedTracks
        .filter(({ track }) => platformId !== '' && shown.includes(track))
        .map(({ track }) => ({
          trackId: captureTrackName(track),
          platformId,
          source: 'screen',
          attribution: 'track-owner',
          isolation: 'track',
          confidence: 0.8,
        }));
    });
}

/** Who speaks now, as the page shows it. @param {WebMix} mix @returns {Set<string>} */
function webReadSpeaking(mix) {
  const { fields } = mix.speaking;
  const ids = webRows(mix.speaking)
    .filter(webVisible)
    .map((row) => webValue(row, fields.id) || webIdOf(webValue(row, fields.name) ?? ''));
  return new Set(ids.filter((id) => id !== ''));
}

/** Whose each row is, once that was known: who has left still said it. @type {WeakMap<Element, {name: string, id: string}>} */
const webRowOwners = new WeakMap();

/** @param {Element} row @param {string} name */
function webOwnerOf(row, name) {
  const known = webRowOwners.get(row);
  if (known?.name === name) return known.id;
  const id = webIdOf(name);
  if (id !== name) webRowOwners.set(row, { name, id });
  return id;
}

/** Who is called so, when exactly one is; else the name itself, which belongs to nobody. @param {string} name */
function webIdOf(name) {
  const people = /** @type {any[]} */ (webPlatform.roster() ?? webReadRoster() ?? []);
  const called = people.filter(({ displayName }) => displayName === name);
  return (called.length === 1 ? called[0].platformId : name).slice(0, 300);
}
