/** What a bot does in a platform's page, and what it tells of it. */

const WEB_LOOK_EVERY_MS = 250;
const WEB_MENU_MS = 1_500;
const WEB_DEVICE_MS = 10_000;

/** @param {HTMLElement} element @param {string} text as a framework's own handlers see it */
function webSetValue(element, text) {
  if (element.isContentEditable) {
    element.textContent = text;
  } else {
    const view = /** @type {any} */ (element.ownerDocument.defaultView);
    const prototype = element.tagName === 'TEXTAREA' ? view.HTMLTextAreaElement : view.HTMLInputElement;
    Object.getOwnPropertyDescriptor(prototype.prototype, 'value')?.set?.call(element, text);
  }
  element.dispatchEvent(new Event('input', { bubbles: true }));
  element.dispatchEvent(new Event('change', { bubbles: true }));
}

/** @param {HTMLElement} element */
function webGetValue(element) {
  return element.isContentEditable ? (element.textContent ?? '') : String(/** @type {any} */ (element).value);
}

/** For real keys that follow; '' where the page has no such field. */
onCommand('web.focus', ({ purpose }) => {
  const found = webAnchor(purpose);
  if (!found) return '';
  found.element.focus();
  /** @type {any} */ (found.element).select?.();
  return found.anchor;
});

/** The field holds the text now, whatever the keys did. */
onCommand('web.fill', ({ purpose, text }) => {
  const element = webAnchor(purpose)?.element;
  if (element && webGetValue(element) !== text) webSetValue(element, text);
});

onCommand('web.press', async ({ purpose, wait }) =>
  webPress(await webUntil(() => webAnchor(purpose), wait ?? 0)),
);

onCommand('web.has', ({ purpose }) => webAnchor(purpose) !== null);

/** Whether something is gone or there: a page may have to ask for a device first. */
onCommand('web.until', async ({ purpose }) => {
  const found = await webUntil(() => webAnchor(purpose), WEB_DEVICE_MS);
  if (!found) throw new Error(`the page did not show ${purpose}`);
});

onCommand('web.rename', ({ name }) => webPlatform.rename?.(name) ?? false);

onCommand('web.captions', async () => {
  if (webPlatform.showCaptions?.()) return 'the client itself';
  const direct = webPress(webAnchor('captions_on'));
  if (direct || !webPress(webAnchor('captions_menu'))) return direct;
  return webPress(await webUntil(() => webAnchor('captions_on'), WEB_MENU_MS));
});

/** False: by the page's chat. */
onCommand('web.say', async ({ text }) => (await webPlatform.say?.(text)) ?? false);

onCommand('web.pin', ({ platformId }) => webPlatform.pin?.(platformId) ?? false);

/** False: by the page's own button. */
onCommand('web.receiveNoVideo', () => webPlatform.stopIncomingVideo?.() ?? false);

/** False: the page shows no way out. */
onCommand('web.leave', async () => {
  if (await webPlatform.leave?.()) return true;
  const lobby = webPress(webAnchor('leave_lobby'));
  const left = webPress(webAnchor('leave')) || lobby;
  if (left && (WEB.anchors.leave_confirm ?? []).length > 0) {
    webPress(await webUntil(() => webAnchor('leave_confirm'), 300));
  }
  return left !== '';
});

const webTell = teller(5_000);

/** @param {() => void} part of what is told; the others go on without it */
function webAttempt(part) {
  try {
    part();
  } catch (error) {
    webTell('trouble', 'trouble', { detail: String(error).slice(0, 500) });
  }
}

/** Whose the tracks of this document are; clients may keep their connections in a frame. */
function webObserveTracks() {
  webAttempt(() => {
    const screens = WEB.screen ? webReadScreens(WEB.screen) : [];
    const isScreen = (/** @type {any} */ one) =>
      screens.some((/** @type {any} */ screen) => screen.trackId === one.trackId);
    for (const owner of [...screens, ...webPlatform.owners().filter((one) => !isScreen(one))]) {
      webTell(`owner ${/** @type {any} */ (owner).trackId}`, 'owner', owner);
    }
  });
  webAttempt(() => {
    for (const voice of webPlatform.voices()) {
      webTell(`source ${/** @type {any} */ (voice).csrc}`, 'source', voice);
    }
  });
  webAttempt(() => {
    for (const mix of WEB.mix ? webReadMixes(WEB.mix) : []) {
      webTell(`mix ${/** @type {any} */ (mix).trackId}`, 'mix', mix);
    }
  });
}

/** What is shown of each person: since when, and what of it was told. @type {Map<string, {shown: boolean, since: number, told: boolean}>} */
const webVoices = new Map();

/** Tell who began and who stopped to speak, once it has been shown for long enough. */
function webObserveSpeaking() {
  if (!WEB.mix) return;
  const { lag_ms: lagMs, steady_ms: steadyMs } = WEB.mix;
  const speaking = webReadSpeaking(WEB.mix);
  const now = webChangedAt ?? captureEpochMs();
  webChangedAt = null;
  let unsteady = false;
  for (const platformId of new Set([...speaking, ...webVoices.keys()])) {
    const shown = speaking.has(platformId);
    const voice = webVoices.get(platformId) ?? { shown: false, since: now, told: false };
    webVoices.set(platformId, voice);
    if (shown !== voice.shown) Object.assign(voice, { shown, since: now });
    if (shown !== voice.told && now - voice.since >= steadyMs) {
      voice.told = shown;
      emit('speaking', { platformId, speaking: shown, atMs: voice.since, lagMs });
      emit.flush();
    }
    unsteady ||= shown !== voice.told;
    if (!shown && !voice.told) webVoices.delete(platformId);
  }
  if (unsteady) webObserveSpeakingIn(steadyMs / 2 + 10);
}

let webSpeakingSoon = false;

/** @param {number} milliseconds */
function webObserveSpeakingIn(milliseconds) {
  if (webSpeakingSoon) return;
  webSpeakingSoon = true;
  setTimeout(() => {
    webSpeakingSoon = false;
    webAttempt(webObserveSpeaking);
  }, milliseconds);
}

/** When the page changed, for a page that is busy is looked at late. @type {number | null} */
let webChangedAt = null;
/** @type {WeakSet<Document>} */
const webWatched = new WeakSet();

/** Changes inside of frames are not those of the page: there, too, signs of speaking are seen at once. */
function webWatchFrames() {
  if (!WEB.mix) return;
  for (const inside of webDocuments()) {
    if (webWatched.has(inside)) continue;
    webWatched.add(inside);
    const watcher = new MutationObserver(() => {
      webChangedAt ??= captureEpochMs();
      webObserveSpeakingIn(OBSERVE_AFTER_MS);
    });
    watcher.observe(inside, { subtree: true, childList: true, attributeFilter: ['class', 'style'] });
  }
}

if (window !== window.top) {
  setInterval(() => {
    if (capturedTracks.length > 0) webObserveTracks();
  }, WEB_LOOK_EVERY_MS);
} else {
  let lookedAt = -1e9;
  let state = '';
  let told = '';

  const observeRoom = () => {
    webAttempt(() => {
      const participants = webPlatform.roster() ?? webReadRoster();
      const leftLateMs = webPlatform.leftLateMs();
      if (participants && webTell('roster', 'roster', { participants, leftLateMs })) {
        for (const { displayName } of /** @type {any[]} */ (participants)) webPeopleSay(displayName);
      }
    });
    webAttempt(() => webPlatform.tell?.(webTell));
    webObserveTracks();
    webAttempt(webObserveSpeaking);
    webAttempt(webWatchFrames);
    webAttempt(() => {
      for (const message of /** @type {any[]} */ (webPlatform.chat() ?? webReadChat() ?? [])) {
        if (webTell(`chat ${message.messageId}`, 'chat', message)) webPeopleSay(message.text);
      }
    });
    webAttempt(() => {
      for (const caption of webPlatform.captions() ?? webReadCaptions() ?? []) {
        webTell(`caption ${/** @type {any} */ (caption).captionId}`, 'caption', caption);
      }
    });
  };

  /** @type {Record<string, string>} */
  const views = { prejoin: 'prejoin', name_required: 'prejoin', lobby: 'lobby' };
  views.waiting_for_host = 'lobby';
  views.admitted = 'in_room';

  observePage(
    () => {
      const now = performance.now();
      if (now - lookedAt >= WEB_LOOK_EVERY_MS) {
        lookedAt = now;
        ({ state } = webLook());
        // Python looks for itself when it is told that something is new.
        if (state !== told) {
          told = state;
          emit('view', { view: views[state] ?? 'loading' });
          emit.flush();
        }
      }
      if (state === 'admitted') observeRoom();
    },
    ['class', 'style', 'hidden', 'aria-label', 'aria-pressed', 'aria-checked', 'disabled'],
  );
}
