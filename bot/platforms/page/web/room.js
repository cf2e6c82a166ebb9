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

if (window === window.top) {
  const tell = teller(5_000);
  let lookedAt = -1e9;
  let state = '';
  let told = '';

  /** @param {() => void} part of what is told; the others go on without it */
  const attempt = (part) => {
    try {
      part();
    } catch (error) {
      tell('trouble', 'trouble', { detail: String(error).slice(0, 500) });
    }
  };

  /** @type {Set<string>} */
  let speaking = new Set();

  const observeMix = () => {
    if (!WEB.mix) return;
    for (const mix of webReadMixes(WEB.mix)) {
      tell(`mix ${/** @type {any} */ (mix).trackId}`, 'mix', mix);
    }
    const now = webReadSpeaking(WEB.mix);
    const lagMs = WEB.mix.lag_ms;
    for (const platformId of new Set([...now, ...speaking])) {
      if (now.has(platformId) !== speaking.has(platformId)) {
        emit('speaking', { platformId, speaking: now.has(platformId), lagMs });
      }
    }
    speaking = now;
  };

  const observeRoom = () => {
    attempt(() => {
      const participants = webPlatform.roster() ?? webReadRoster();
      const leftLateMs = webPlatform.leftLateMs();
      if (participants) tell('roster', 'roster', { participants, leftLateMs });
    });
    attempt(() => {
      for (const owner of webPlatform.owners()) {
        tell(`owner ${/** @type {any} */ (owner).trackId}`, 'owner', owner);
      }
    });
    attempt(() => webPlatform.tell?.(tell));
    attempt(() => {
      for (const voice of webPlatform.voices()) {
        tell(`source ${/** @type {any} */ (voice).csrc}`, 'source', voice);
      }
    });
    attempt(observeMix);
    attempt(() => {
      for (const message of webPlatform.chat() ?? webReadChat() ?? []) {
        tell(`chat ${/** @type {any} */ (message).messageId}`, 'chat', message);
      }
    });
    attempt(() => {
      for (const caption of webPlatform.captions() ?? webReadCaptions() ?? []) {
        tell(`caption ${/** @type {any} */ (caption).captionId}`, 'caption', caption);
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
