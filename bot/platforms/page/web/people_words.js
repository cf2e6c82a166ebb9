/**
 * Words of people that a page shows outside of its lists: a message that pops up, somebody's name in
 * "… has joined", what is read out to the blind. While the room is shown they are no signs of anything,
 * whatever they say.
 */

const WEB_MOST_WORDS = 500;
const webSignTexts = [...WEB.rules, ...WEB.notices].flatMap(({ text }) => text.map(webPlain));
/** What people wrote or are called, of all that somebody could take for a sign. @type {Set<string>} */
const webPeoplesWords = new Set();

/** Pages part words by icons and pictures of emoji. @param {string} text */
function webLetters(text) {
  return text.replace(/[^\p{L}\p{N}]+/gu, ' ').trim();
}

/** Somebody is called so, or wrote or said it. @param {string} text */
function webPeopleSay(text) {
  const plain = webPlain(text);
  if (!webSignTexts.some((sign) => plain.includes(sign))) return;
  webPeoplesWords.add(webLetters(plain));
  if (webPeoplesWords.size > WEB_MOST_WORDS) {
    webPeoplesWords.delete(webPeoplesWords.values().next().value ?? '');
  }
}

/** All of them that the page has now: what pops up may be new. */
function webHearPeople() {
  const lists = [
    () => webPlatform.roster() ?? webReadRoster(),
    () => webPlatform.chat() ?? webReadChat(),
    () => webPlatform.captions() ?? webReadCaptions(),
  ];
  for (const list of lists) {
    webAttempt(() => {
      for (const { displayName, text } of /** @type {any[]} */ (list() ?? [])) {
        webPeopleSay(displayName);
        webPeopleSay(text ?? '');
      }
    });
  }
}

/**
 * Whether a sign is in the page's words only where people wrote it. What pops up may be cut short, so
 * theirs count up to the sign.
 * @param {string} sign @param {string} words both plain
 */
function webIsPeoples(sign, words) {
  webHearPeople();
  const wanted = webLetters(sign);
  let rest = webLetters(words);
  for (const own of webPeoplesWords) {
    const at = own.indexOf(wanted);
    if (at >= 0) rest = rest.replaceAll(own.slice(0, at + wanted.length), ' ');
  }
  return !rest.includes(wanted);
}
